"""NAFNet: nonlinear activation free network (Chen et al., ECCV 2022), a modern baseline.

Not one of the three papers. A U-net whose blocks hold no activation but products: a gate that
multiplies two halves of the channels, and a channel attention without a sigmoid. Layers have the
names of the authors' release (megvii-research/NAFNet), so that its checkpoints fit by name.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import (
    COARSEST,
    attend,
    on_padded,
    require,
    require_at_least,
    require_window,
    whole_cells,
    windowed_radius,
)
from derain.models.network import Network


@dataclass(frozen=True)
class NAFNetConfig:
    """Width and number of blocks; the default is the authors' layout for deblurring at width 32."""

    width: int = 32  # w, at full resolution; doubles with every stage
    encoder_blocks: tuple[int, ...] = (1, 1, 1, 28)  # one entry per stage, fine to coarse
    middle_blocks: int = 1
    decoder_blocks: tuple[int, ...] = (1, 1, 1, 1)  # one entry per stage, coarse to fine
    window: int | None = None  # of channel attention, outside training; None: the whole image

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width")
        require_window(self.window)
        require_at_least(0, self, "middle_blocks", "encoder_blocks", "decoder_blocks")
        for name in ("encoder_blocks", "decoder_blocks"):
            value = getattr(self, name)
            require(
                isinstance(value, tuple) and 1 <= len(value) <= COARSEST,
                f"{name} must be a tuple with one entry per stage, at most {COARSEST}: {value!r}",
            )
        require(
            len(self.decoder_blocks) == len(self.encoder_blocks),
            f"decoder_blocks must have one entry per encoder stage ({len(self.encoder_blocks)}): "
            f"{self.decoder_blocks}",
        )


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel: (N, C, H, W) -> the same.

    Computed in f32 at least: in half precision it costs over 2 dB. Two forms of one function:
    torch has a kernel for the last axis, 2 to 12 times faster than the plain form, and in
    ``channels_last`` its permutations copy nothing. An exported graph gets the plain form, with
    which OpenVINO runs the whole network 1.4 times faster than with transpositions.
    """

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        precise = torch.promote_types(x.dtype, torch.float32)
        form = self.plain if torch.compiler.is_compiling() else self.fused
        return form(x.to(precise), self.weight.to(precise), self.bias.to(precise)).to(x.dtype)

    def fused(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Normalise with one kernel over the last axis."""
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, weight.shape, weight, bias, self.eps).permute(0, 3, 1, 2)

    def plain(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Normalise by mean and variance over the channel axis."""
        x = x - x.mean(dim=1, keepdim=True)
        x = x * torch.rsqrt((x * x).mean(dim=1, keepdim=True) + self.eps)
        return x * weight[:, None, None] + bias[:, None, None]


class SimpleGate(nn.Module):
    """The product of the two halves of the channels: (N, 2C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        return left * right


class SimplifiedChannelAttention(nn.Sequential):
    """SCA: channels weighted by a linear map of their means over the image, or a window of it.

    The pooling stands where the authors have it and is ``attend``'s here, which knows windows.
    """

    def __init__(self, width: int, window: int | None = None, step: int = 1) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.window, self.step = window, step

    def forward(self, input: Tensor) -> Tensor:  # torch's name, which a Sequential keeps
        return attend(input, self[1], None if self.training else self.window, self.step)


class NAFBlock(nn.Module):
    """Two residual halves: one looks around, one mixes channels. Starts as the identity.

    (N, C, H, W) -> the same.
    """

    def __init__(self, width: int, window: int | None = None, step: int = 1) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.sg = SimpleGate()
        self.sca = SimplifiedChannelAttention(width, window, step)
        self.conv3 = nn.Conv2d(width, width, 1)
        self.norm2 = ChannelNorm(width)
        self.conv4 = nn.Conv2d(width, 2 * width, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.sg(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(self.sca(y))
        y = self.sg(self.conv4(self.norm2(x)))
        return x + self.gamma * self.conv5(y)


class Up(nn.Sequential):
    """1x1 convolution, then pixel shuffle: (N, C, H, W) -> (N, C/2, 2H, 2W)."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(width, 2 * width, 1, bias=False), nn.PixelShuffle(2))


class NAFNet(Network[NAFNetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up; inside, padded to a multiple of 2^stages.
    """

    def __init__(self, config: NAFNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NAFNetConfig()
        stages = range(len(config.encoder_blocks))
        widths = [config.width * 2**stage for stage in range(len(stages) + 1)]
        self.intro = nn.Conv2d(3, config.width, 3, padding=1)
        self.encoders = nn.ModuleList(
            stack(config, config.encoder_blocks[stage], stage) for stage in stages
        )
        self.downs = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 2, stride=2) for i in stages)
        self.middle_blks = stack(config, config.middle_blocks, len(stages))
        self.ups = nn.ModuleList(Up(widths[i + 1]) for i in reversed(stages))
        self.decoders = nn.ModuleList(
            stack(config, count, stage)
            for count, stage in zip(config.decoder_blocks, reversed(stages), strict=True)
        )
        self.ending = nn.Conv2d(config.width, 3, 3, padding=1)

    @property
    def size_multiple(self) -> int:
        """What height and width must divide by in exported graphs, which do not pad inside."""
        return whole_cells(2 ** len(self.config.encoder_blocks), self.config.window)

    @property
    def receptive_radius(self) -> int | None:
        """Windows, where channel attention averages over them; else the whole image."""
        return windowed_radius(self.config.window)

    def forward(self, image: Tensor) -> Tensor:
        return on_padded(self.derain, image, self.size_multiple)

    def derain(self, image: Tensor) -> Tensor:
        """``forward`` for a height and width that divide by ``size_multiple``."""
        x = self.intro(image)
        skips: list[Tensor] = []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            skips.append(blocks(x))
            x = down(skips[-1])
        x = self.middle_blks(x)
        for up, blocks in zip(self.ups, self.decoders, strict=True):
            x = blocks(up(x) + skips.pop())
        return image + self.ending(x)


def stack(config: NAFNetConfig, count: int, stage: int) -> nn.Sequential:
    """So many blocks in a row, at 1 / 2^stage of the image's size."""
    width, step = config.width * 2**stage, 2**stage
    return nn.Sequential(*(NAFBlock(width, config.window, step) for _ in range(count)))
