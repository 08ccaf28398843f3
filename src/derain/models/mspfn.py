"""MSPFN: multi-scale progressive fusion network (Jiang et al., CVPR 2020).

Follows the paper where it and the authors' TensorFlow release disagree: ConvLSTM widths of 128,
64 and 32 with inputs as wide, RGB instead of BGR. Sizes that are no multiple of four work (the
release fails on them). The lightweight MSPFN* of the paper's Tables 3 and 6 is
``MSPFNConfig(fine_modules=5, width=32, lstm_widths=(32, 32, 32), strides=2)``.

Letters in brackets are the paper's. Levels run from fine (full resolution) to coarse.
"""

from collections.abc import Sequence
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
    require_window,
    whole_cells,
    windowed_radius,
)
from derain.models.network import Network

Align = Literal["tf", "torch"]


@dataclass(frozen=True)
class MSPFNConfig:
    """Everything that the paper, its ablations and the authors' release vary."""

    fine_modules: int = 17  # M; 10 in the ablations; 0 is Model3
    attention_units: int | tuple[int, ...] = 1  # N, for every level or one per level
    width: int = 64  # W
    levels: int = 3  # 1 is Model1
    lstm_widths: tuple[int, ...] = (128, 64, 32)  # h, one per level
    rru_widths: tuple[int, ...] | None = None  # c, one per level; None: as lstm_widths (not stated)
    recurrent_steps: int = 1  # of each ConvLSTM; the paper calls it recurrent, the release runs one
    strides: int = 1  # S: strided convolutions in a URAB; 2 in MSPFN*
    outer_skip: bool = True  # concatenate in a URAB's outer step too (matters for S > 1)
    reconstruction_width: int | None = None  # None: W / 2
    reduction: int = 4  # r, in the channel attention
    pyramid: Literal["box", "gaussian"] = "box"  # box: the release; gaussian: the paper's words
    align: Align = "tf"  # which pixels strided layers meet; weights fit one alignment only
    coarse_fusion: bool = True  # False is Model2
    cross_scale: bool = True  # False is Model4: levels meet in image space only
    window: int | None = None  # of channel attention, outside training; None: the whole image

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "reduction", "recurrent_steps")
        require_at_least(1, self, "levels", "strides", maximum=COARSEST)
        require_at_least(1, self, "attention_units", "lstm_widths", "rru_widths")
        require_at_least(1, self, "reconstruction_width")
        require_at_least(0, self, "fine_modules")
        require_window(self.window)
        require_one_of(self, pyramid=("box", "gaussian"), align=("tf", "torch"))
        instead = {"lstm_widths": (), "rru_widths": type(None), "attention_units": int}
        for name, kind in instead.items():
            value = getattr(self, name)
            require(
                isinstance(value, kind) or (isinstance(value, tuple) and len(value) == self.levels),
                f"{name} must be a tuple with one entry per level ({self.levels}): {value!r}",
            )
        require(
            self.width % self.reduction == 0,
            f"width must divide by reduction ({self.reduction}): {self.width}",
        )

    def units(self, level: int) -> int:
        """Channel-attention units (N) at a level, counted from 0 at full resolution."""
        n = self.attention_units
        return n if isinstance(n, int) else n[level]


class Conv(nn.Sequential):
    """3x3 convolution without bias, then PReLU that starts as ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.PReLU(outputs, init=0.0)
        )


class Down(nn.Module):
    """3x3 convolution with stride 2, then PReLU: (N, a, H, W) -> (N, b, ceil(H/2), ceil(W/2))."""

    def __init__(self, inputs: int, outputs: int, align: Align) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, bias=False)
        self.act = nn.PReLU(outputs, init=0.0)
        self.align = align

    def forward(self, x: Tensor) -> Tensor:
        if self.align == "torch":
            return self.act(F.conv2d(x, self.conv.weight, stride=2, padding=1))
        # TensorFlow's "same": an even length is padded at its end only, an odd one at both.
        top, left = x.shape[-2] % 2, x.shape[-1] % 2
        return self.act(self.conv(F.pad(x, (left, 1, top, 1))))


class Up(nn.Module):
    """3x3 transposed convolution with stride 2, then PReLU, to a size of 2n or 2n - 1."""

    def __init__(self, inputs: int, outputs: int, align: Align) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, bias=False)
        self.act = nn.PReLU(outputs, init=0.0)
        self.align = align

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        height, width = like.shape[-2:]
        if self.align == "torch":
            odd = (1 - height % 2, 1 - width % 2)
            weight = self.conv.weight
            return self.act(F.conv_transpose2d(x, weight, stride=2, padding=1, output_padding=odd))
        top, left = height % 2, width % 2
        return self.act(self.conv(x)[..., top : top + height, left : left + width])


class ChannelAttention(nn.Module):
    """CAU: a residual block whose channels are weighted by their mean over the image.

    Args:
        width: Channels.
        reduction: How many times narrower the gate is inside.
        window: As in the configuration.
        step: Pixels of the image per pixel here.
    """

    def __init__(self, width: int, reduction: int, window: int | None = None, step: int = 1):
        super().__init__()
        self.window, self.step = window, step
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.PReLU(width, init=0.0),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.gate = nn.Sequential(
            nn.Conv2d(width, width // reduction, 1),
            nn.PReLU(width // reduction, init=0.0),
            nn.Conv2d(width // reduction, width, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        window = None if self.training else self.window
        return x + attend(self.body(x), self.gate, window, self.step)


class URAB(nn.Module):
    """U-shaped residual attention block: S times down, N attention units, S times up.

    The residual itself is added by the caller, with the state before the fusion.
    """

    def __init__(self, config: MSPFNConfig, level: int) -> None:
        super().__init__()
        width, steps = config.width, range(config.strides)
        step = 2 ** (level + config.strides)
        concat = [config.outer_skip or step == config.strides - 1 for step in steps]
        self.downs = nn.ModuleList(Down(width, width, config.align) for _ in steps)
        self.attention = nn.Sequential(
            *(
                ChannelAttention(width, config.reduction, config.window, step)
                for _ in range(config.units(level))
            )
        )
        self.ups = nn.ModuleList(
            Up(2 * width if joined else width, width, config.align) for joined in concat
        )
        self.concat = concat

    def forward(self, x: Tensor) -> Tensor:
        path = [x]
        for down in self.downs:
            path.append(down(path[-1]))
        y = self.attention(path[-1])
        for step in reversed(range(len(self.ups))):
            y = concatenate(path[step + 1], y) if self.concat[step] else y
            y = self.ups[step](y, like=path[step])
        return y


class ConvLSTM(nn.Module):
    """A ConvLSTM that starts from a zero state: (N, c, H, W) -> its hidden state (N, h, H, W).

    The release runs one step. The convolution has the published shape, (4h, c + h, 3, 3) with
    gates i, j, f, o. With a zero state its hidden columns and its forget gate cannot change the
    output, so the first step computes the live part alone; with one step the rest stays for the
    parameter count and for converted weights until `fold`. Further steps see the same input and
    the state of the step before.
    """

    def __init__(self, inputs: int, hidden: int, steps: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + hidden, 4 * hidden, 3, padding=1)
        self.inputs, self.hidden, self.steps = inputs, hidden, steps

    def forward(self, x: Tensor) -> Tensor:
        i, j, o = F.conv2d(x, *self.live(), padding=1).chunk(3, dim=1)
        memory = torch.sigmoid(i) * torch.tanh(j)
        state = torch.tanh(memory) * torch.sigmoid(o)
        for _ in range(1, self.steps):
            i, j, f, o = self.conv(concatenate(x, state)).chunk(4, dim=1)
            memory = memory * torch.sigmoid(f + 1) + torch.sigmoid(i) * torch.tanh(j)
            state = torch.tanh(memory) * torch.sigmoid(o)
        return state

    def live(self) -> tuple[Tensor, Tensor]:
        """Weight (3h, c, 3, 3) and bias (3h) of the gates i, j, o for the input alone."""
        weight, bias, h = self.conv.weight, self.conv.bias, self.hidden
        assert bias is not None
        if len(bias) == 3 * h:  # folded
            return weight, bias
        rows = [*range(2 * h), *range(3 * h, 4 * h)]
        return weight[rows, : self.inputs], bias[rows]

    def fold(self) -> None:
        """Drop the weights that cannot change the output; several steps use all of them."""
        if self.steps > 1:
            return
        weight, bias = (nn.Parameter(parameter.detach()) for parameter in self.live())
        self.conv.weight, self.conv.bias = weight, bias
        self.conv.in_channels, self.conv.out_channels = self.inputs, 3 * self.hidden


class RRU(nn.Sequential):
    """Residual recurrent unit without its residual: conv, ConvLSTM, conv."""

    def __init__(self, width: int, inputs: int, hidden: int, steps: int) -> None:
        super().__init__(Conv(width, inputs), ConvLSTM(inputs, hidden, steps), Conv(hidden, width))


class ProgressiveFusion(nn.Module):
    """One coarse-to-fine pass: the coarse-fusion module with RRUs, a fine-fusion one with URABs.

    ``out_l = x_l + block_l(x_l + everything coarser, brought up to level l)``. An output two
    levels below arrives through two transposed convolutions of its own.
    """

    def __init__(self, blocks: Sequence[nn.Module], config: MSPFNConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        coarser = reversed(range(config.levels)) if config.cross_scale else [0] * config.levels
        self.ups = nn.ModuleList(
            nn.ModuleList(Up(config.width, config.width, config.align) for _ in range(count))
            for count in coarser
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = []
        raised: list[Tensor] = []  # the coarser outputs, each brought up to the level at hand
        for x, block, ups in zip(features[::-1], self.blocks[::-1], self.ups[::-1], strict=True):
            # Without cross_scale there are no ups, and nothing is raised.
            raised = [up(y, like=x) for up, y in zip(ups.children(), raised, strict=False)]
            outputs.append(x + block(sum(raised, start=x)))
            raised.append(outputs[-1])
        return outputs[::-1]


class Reconstruction(nn.Module):
    """RM: coarse and fine features of every level -> rain residual (N, 3, H, W)."""

    def __init__(self, config: MSPFNConfig) -> None:
        super().__init__()
        width, levels = config.width, config.levels
        hidden = config.reconstruction_width or width // 2
        self.joins = nn.ModuleList(Conv(2 * width, width) for _ in range(levels))
        self.ups = nn.ModuleList(
            Up(width if level == levels - 1 else 2 * width, width, config.align)
            for level in range(1, levels)
        )
        self.narrow = Conv(width if levels == 1 else 2 * width, hidden)
        self.last = nn.Conv2d(hidden, 3, 3, padding=1, bias=False)

    def forward(self, fine: list[Tensor], coarse: list[Tensor]) -> Tensor:
        joined = [
            join(concatenate(f, c)) for join, f, c in zip(self.joins, fine, coarse, strict=True)
        ]
        x = joined[-1]
        for level in range(len(self.ups) - 1, -1, -1):
            raised = self.ups[level](x, like=joined[level])
            # The order of the halves follows the release, for converted weights.
            x = concatenate(raised, joined[level]) if level else concatenate(joined[0], raised)
        return self.last(self.narrow(x))


class SeparateReconstruction(nn.Module):
    """Model4's ending: every level predicts its own residual; they meet in image space."""

    def __init__(self, config: MSPFNConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.reconstruction_width or config.width // 2
        self.heads = nn.ModuleList(
            nn.Sequential(
                Conv(2 * width, width),
                Conv(width, hidden),
                nn.Conv2d(hidden, 3, 3, padding=1, bias=False),
            )
            for _ in range(config.levels)
        )

    def forward(self, fine: list[Tensor], coarse: list[Tensor]) -> Tensor:
        residuals = [
            head(concatenate(f, c)) for head, f, c in zip(self.heads, fine, coarse, strict=True)
        ]
        rain = residuals.pop()
        while residuals:
            finer = residuals.pop()
            rain = finer + F.interpolate(rain, finer.shape[-2:], mode="bilinear")
        return rain


class MSPFN(Network[MSPFNConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up. Inside, images are in [-1, 1] as in the paper.
    """

    def __init__(self, config: MSPFNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or MSPFNConfig()
        width, levels = config.width, range(config.levels)
        rru_widths = config.rru_widths or config.lstm_widths
        self.initial = nn.ModuleList(Conv(3, width) for _ in levels)
        rrus = [
            RRU(width, rru_widths[i], config.lstm_widths[i], config.recurrent_steps) for i in levels
        ]
        self.coarse = ProgressiveFusion(rrus, config) if config.coarse_fusion else nn.Identity()
        self.fine = nn.ModuleList(
            ProgressiveFusion([URAB(config, level) for level in levels], config)
            for _ in range(config.fine_modules)
        )
        ending = Reconstruction if config.cross_scale else SeparateReconstruction
        self.reconstruction = ending(config)
        self.apply(initialise)

    @property
    def size_multiple(self) -> int:
        """What height and width divide by in exported graphs: every inner size is then even."""
        return whole_cells(2 ** (self.config.levels - 1 + self.config.strides), self.config.window)

    @property
    def receptive_radius(self) -> int | None:
        """Windows, where channel attention averages over them; else the whole image."""
        return windowed_radius(self.config.window)

    def forward(self, image: Tensor) -> Tensor:
        multiple = whole_cells(2 ** (self.config.levels - 1), self.config.window)
        return on_padded(self.derain, image, multiple)

    def derain(self, image: Tensor) -> Tensor:
        """``forward`` for a height and width that divide by 2^(levels - 1)."""
        pyramid = image_pyramid(2 * image - 1, self.config.levels, self.config.pyramid)
        features = [conv(x) for conv, x in zip(self.initial, pyramid, strict=True)]
        coarse = fine = self.coarse(features)
        for module in self.fine:
            fine = module(fine)
        rain = self.reconstruction(fine, coarse)
        return image - rain / 2

    def fold(self) -> "MSPFN":
        """A copy that computes the same, bit for bit, without its dead weights."""
        folded = super().fold()
        for cell in folded.modules():
            if isinstance(cell, ConvLSTM):
                cell.fold()
        return folded


def image_pyramid(image: Tensor, levels: int, kind: str) -> list[Tensor]:
    """The image at 1, 1/2, 1/4, ...: (N, 3, H, W), H and W divisible by 2^(levels - 1).

    ``box`` averages blocks of the full image; ``gaussian`` smooths with the 5x5 binomial kernel
    and takes every second pixel, level by level.
    """
    if kind == "box":
        return [image, *(F.avg_pool2d(image, 2**level) for level in range(1, levels))]
    pyramid = [image]
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=image.dtype, device=image.device) / 16
    kernel = torch.outer(line, line).expand(3, 1, 5, 5)
    for _ in range(1, levels):
        # Lengths of one or two pixels are too short to reflect two of them.
        mode = "reflect" if min(pyramid[-1].shape[-2:]) > 2 else "replicate"
        padded = F.pad(pyramid[-1], (2, 2, 2, 2), mode=mode)
        pyramid.append(F.conv2d(padded, kernel, stride=2, groups=3))
    return pyramid


def initialise(layer: nn.Module) -> None:
    """The authors' start: Xavier kernels, zero biases, ConvLSTMs near zero so that C = x."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if isinstance(layer, ConvLSTM):  # applied after its own convolution, and replaces it
        nn.init.trunc_normal_(layer.conv.weight, std=1e-3, a=-2e-3, b=2e-3)
