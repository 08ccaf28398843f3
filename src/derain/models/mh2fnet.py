"""MH2F-Net: multi-scale hourglass hierarchical fusion network (Chen et al., CVPR Workshops 2021).

The authors' code could not be obtained, and the figures with the layer settings are not in the
text, so this is a consistent reading of it, with every open choice a field of the configuration.
Max-pooling with joins by plain addition, the nearest reading, multiplies the activations by about
five per block; the default joins by concatenation and a 1x1 convolution, which keeps them bounded.

Letters in brackets are the paper's.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import (
    COARSEST,
    attend,
    concatenate,
    on_padded,
    require,
    require_at_least,
    require_one_of,
    require_size,
    require_window,
    whole_cells,
    windowed_radius,
)
from derain.models.network import Network

CHOICES = {
    "down": ("max", "conv"),
    "join": ("concat", "add"),
    "entry": ("concat", "gradual"),
    "attention": ("sequential", "parallel"),
    "fusion": ("rpff", "concat", "add"),
}


@dataclass(frozen=True)
class MH2FNetConfig:
    """Everything that the paper and its ablations vary, and what it leaves open."""

    extraction_blocks: int = 8  # N; 4, 6 and 10 in Table 3
    width: int = 32  # C; not stated, 32 in the authors' sibling network MARD-Net
    growth: int | None = None  # G, of a densely connected block; None: C / 2 as in DHDN
    streams: int = 3  # S: scales 1, 1/2, 1/4
    down: Literal["max", "conv"] = "max"  # 2x2 max-pool as in Stacked Hourglass, or strided 3x3
    join: Literal["concat", "add"] = "concat"  # how an up-sampled stream meets its skip
    hadb: bool = True  # False is Figure 7a: all outputs are concatenated, whatever `fusion` says
    distillation_width: int | None = None  # D; None: C. MDCN, whose wording is echoed: 3/4 C
    entry: Literal["concat", "gradual"] = "concat"  # how the HADB takes L_1 ... L_(N-1) in
    attention: Literal["sequential", "parallel"] = "sequential"  # parallel: as in MIRNet
    reduction: int = 4  # r, in the channel attention
    fusion: Literal["rpff", "concat", "add"] = "rpff"  # Figure 7d, b, c
    residual: bool = False  # output = O + network; the paper argues against, short trainings gain
    window: int | None = None  # of channel attention, outside training; None: the whole image

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "reduction", "growth", "distillation_width")
        require_at_least(1, self, "streams", maximum=COARSEST)
        fewest = 2 if self.hadb else 1  # the HADB reads all outputs but the last
        require_at_least(fewest, self, "extraction_blocks")
        require(
            self.growth is not None or self.width >= 2,
            f"width must be at least 2 unless growth is given: {self.width}",
        )
        require_one_of(self, **CHOICES)
        require_window(self.window)
        name = "width" if self.distillation_width is None else "distillation_width"
        require(
            not self.hadb or getattr(self, name) % self.reduction == 0,
            f"{name} must divide by reduction ({self.reduction}): {getattr(self, name)}",
        )


def conv(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    """Convolution that keeps height and width, with bias."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


class Merge(nn.Module):
    """One convolution on the concatenation of feature maps: several times (N, C, H, W) -> one."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.conv = conv(inputs, outputs, size)

    def forward(self, *features: Tensor) -> Tensor:
        return self.conv(concatenate(*features))


class DenselyConnectedResidual(nn.Module):
    """DCR: three convolutions, each reading all before it, and a skip; C -> C channels."""

    def __init__(self, config: MH2FNetConfig) -> None:
        super().__init__()
        width = config.width
        growth = config.growth or width // 2
        self.convs = nn.ModuleList(
            Merge(width + i * growth, width if i == 2 else growth, 3) for i in range(3)
        )
        self.acts = nn.ModuleList(nn.PReLU() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for merge, act in zip(self.convs, self.acts, strict=True):
            features.append(act(merge(*features)))
        return x + features[-1]


class Join(nn.Module):
    """A coarser stream, brought up to the exact size of its skip by nearest pixels, joins it."""

    def __init__(self, config: MH2FNetConfig) -> None:
        super().__init__()
        self.mix = Merge(2 * config.width, config.width, 1) if config.join == "concat" else None

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        raised = F.interpolate(coarse, size=skip.shape[-2:], mode="nearest")
        return skip + raised if self.mix is None else self.mix(skip, raised)


class HourglassExtraction(nn.Module):
    """MHEB: one DCR per scale on the way down, one per scale on the way up; C -> C channels."""

    def __init__(self, config: MH2FNetConfig) -> None:
        super().__init__()
        width, scales, steps = config.width, range(config.streams), range(config.streams - 1)
        self.top_down = nn.ModuleList(DenselyConnectedResidual(config) for _ in scales)
        self.bottom_up = nn.ModuleList(DenselyConnectedResidual(config) for _ in scales)
        self.joins = nn.ModuleList(Join(config) for _ in steps)
        self.downs = nn.ModuleList(
            nn.MaxPool2d(2) if config.down == "max" else nn.Conv2d(width, width, 3, 2, padding=1)
            for _ in steps
        )

    def forward(self, x: Tensor) -> Tensor:
        path = [self.top_down[0](x)]
        for down, block in zip(self.downs, self.top_down[1:], strict=True):
            path.append(block(down(path[-1])))
        y = self.bottom_up[-1](path[-1])
        for scale in reversed(range(len(self.joins))):
            y = self.bottom_up[scale](self.joins[scale](path[scale], y))
        return y


class GradualEntry(nn.Module):
    """The HADB's head read as "gradually": a bottleneck per output, on what came before and it."""

    def __init__(self, outputs: int, width: int, inner: int) -> None:
        super().__init__()
        self.first = conv(width, inner, 1)
        self.rest = nn.ModuleList(Merge(inner + width, inner, 1) for _ in range(outputs - 1))

    def forward(self, *outputs: Tensor) -> Tensor:
        x = self.first(outputs[0])
        for merge, output in zip(self.rest, outputs[1:], strict=True):
            x = merge(x, output)
        return x


class SpatialAttention(nn.Module):
    """Pixels weighted by the mean and the maximum over their channels, as in CBAM."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = concatenate(x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True))
        return x * torch.sigmoid(self.weigh(pooled))


class ChannelAttention(nn.Module):
    """Channels weighted by their means over the image, or a window of it, as in RCAN."""

    def __init__(self, width: int, reduction: int, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.weigh = nn.Sequential(
            conv(width, width // reduction, 1),
            nn.ReLU(),
            conv(width // reduction, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return attend(x, self.weigh, None if self.training else self.window, step=1)


class HierarchicalDistillation(nn.Module):
    """HADB: bottleneck, spatial and channel attention, bottleneck; all L_i but the last -> L_d."""

    def __init__(self, config: MH2FNetConfig) -> None:
        super().__init__()
        width, inner = config.width, config.distillation_width or config.width
        outputs = config.extraction_blocks - 1
        self.head = (
            Merge(outputs * width, inner, 1)
            if config.entry == "concat"
            else GradualEntry(outputs, width, inner)
        )
        self.spatial = SpatialAttention()
        self.channel = ChannelAttention(inner, config.reduction, config.window)
        self.merge = Merge(2 * inner, inner, 1) if config.attention == "parallel" else None
        self.end = conv(inner, width, 1)

    def forward(self, *outputs: Tensor) -> Tensor:
        x = self.head(*outputs)
        if self.merge is None:
            return self.end(self.channel(self.spatial(x)))
        return self.end(self.merge(self.spatial(x), self.channel(x)))


class ResidualProjectedFusion(nn.Module):
    """RPFF: what distillation took away is projected back onto the deep features (Eq. 3-4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project, self.deepen, self.fuse = (conv(width, width, 3) for _ in range(3))

    def forward(self, low: Tensor, deep: Tensor, distilled: Tensor) -> Tensor:
        projected = self.project(deep - distilled) + deep
        return self.fuse(low + self.deepen(projected))


class AddFusion(nn.Module):
    """The plain sum of all features."""

    def forward(self, *features: Tensor) -> Tensor:
        return sum(features[1:], start=features[0])


class MH2FNet(Network[MH2FNetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from ``minimum_size`` up, without padding.
    """

    def __init__(self, config: MH2FNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MH2FNetConfig()
        width, blocks = config.width, config.extraction_blocks
        self.first = conv(3, width, 3)
        self.extraction = nn.ModuleList(HourglassExtraction(config) for _ in range(blocks))
        self.distillation = HierarchicalDistillation(config) if config.hadb else None
        if not config.hadb:
            self.fusion = Merge((1 + blocks) * width, width, 3)
        elif config.fusion == "rpff":
            self.fusion = ResidualProjectedFusion(width)
        else:
            self.fusion = Merge(3 * width, width, 3) if config.fusion == "concat" else AddFusion()
        self.last = conv(width, 3, 3)

    @property
    def size_multiple(self) -> int:
        """What height and width divide by in exported graphs: every inner size is then whole."""
        return whole_cells(2 ** (self.config.streams - 1), self.config.window)

    @property
    def minimum_size(self) -> int:
        """The least height and width: one pixel is left at the coarsest scale."""
        return 2 ** (self.config.streams - 1)

    @property
    def receptive_radius(self) -> int | None:
        """Windows, where channel attention averages over them; else the whole image."""
        return windowed_radius(self.config.window)

    def forward(self, image: Tensor) -> Tensor:
        """Derain.

        Raises:
            ValueError: The height or width is below ``minimum_size``.
        """
        require_size(image, self.minimum_size)
        return on_padded(self.derain, image, whole_cells(1, self.config.window))

    def derain(self, image: Tensor) -> Tensor:
        """``forward`` for a height and width that divide by ``CELL`` if there are windows."""
        low = self.first(image)
        outputs = self.extract(low)
        if self.distillation is None:
            fused = self.fusion(low, *outputs)
        else:
            fused = self.fusion(low, outputs[-1], self.distillation(*outputs[:-1]))
        clean = self.last(fused)
        return image + clean if self.config.residual else clean

    def extract(self, low: Tensor) -> list[Tensor]:
        """The stacked hourglasses: L_o -> L_1 ... L_N."""
        outputs = [low]
        for block in self.extraction:
            outputs.append(block(outputs[-1]))
        return outputs[1:]
