"""DCSFN: deep cross-scale fusion network (Wang et al., ACM MM 2020).

Follows the authors' public code where paper and code disagree, except that width and scales are
the paper's (C = 32, K = 3; the code: 20 and 4); ``skip="output"``, ``direction="figure"`` and
``order="equation"`` are the paper's wording. Differs from the code in that LSTM states are never
overwritten while still needed, which shows only at sizes that do not divide by 4, and in that one
scale (K = 1) works.

Letters in brackets are the paper's. Scales run from fine (full resolution) to coarse.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import (
    COARSEST,
    concatenate,
    require_at_least,
    require_one_of,
    require_size,
)
from derain.models.network import Network

SLOPE = 0.2  # of every LeakyReLU
CHOICES = {
    "unit": ("gru", "lstm", "rnn"),
    "skip": ("input", "output", "none"),
    "direction": ("code", "figure"),
    "order": ("code", "equation"),
}

State = tuple[Tensor, ...]  # (h,) or, of an LSTM, (h, c); each (N, C, H, W)


@dataclass(frozen=True)
class DCSFNConfig:
    """Everything that the paper, its ablations and the authors' code vary."""

    width: int = 32  # C; 20 in the code
    blocks: int = 16  # L: units per encoder and per decoder
    scales: int = 3  # K: scales inside a unit; 4 in the code
    convolutions: int = 4  # n: 3x3 convolutions per scale of a unit
    unit: Literal["gru", "lstm", "rnn"] = "gru"  # the recurrent unit, Table 6
    cross: bool = True  # recurrent fusion between the sub-networks; without effect if single
    single: bool = False  # True is M3: one sub-network, at full resolution
    inner: bool = True  # links from scale to scale inside a unit, Table 4
    dense: bool = True  # False is M2: units in a plain row
    skip: Literal["input", "output", "none"] = "input"  # where encoder features enter; none is M1
    direction: Literal["code", "figure"] = "code"  # code: coarse to fine first; figure: after
    order: Literal["code", "equation"] = "code"  # equation: 1x1 fusion before each unit, Eq. 2

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "blocks", "convolutions")
        require_at_least(1, self, "scales", maximum=COARSEST)
        switches = dict.fromkeys(("cross", "single", "inner", "dense"), (True, False))
        require_one_of(self, **switches, **CHOICES)


def conv3(width: int) -> nn.Conv2d:
    """3x3 convolution that keeps the size and the width."""
    return nn.Conv2d(width, width, 3, padding=1)


def resize(x: Tensor, like: Tensor) -> Tensor:
    """Nearest pixels, to the size of another: source index = floor(index * old / new)."""
    return F.interpolate(x, size=like.shape[-2:], mode="nearest")


def pyramid(x: Tensor, levels: int) -> list[Tensor]:
    """A feature map at 1, 1/2, 1/4, ...: maxima of blocks of 2^level pixels, ends cut off."""
    pooled = [x]
    for _ in range(1, levels):
        pooled.append(F.max_pool2d(pooled[-1], 2))
    return pooled


class Conv(nn.Module):
    """Convolution of one or several feature maps joined along their channels, then LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        x = concatenate(x, *more) if more else x
        # In place: training keeps one tensor per convolution instead of two.
        return F.leaky_relu(self.conv(x), SLOPE, inplace=True)


class InnerScaleConnection(nn.Module):
    """ISCB, one unit: coarse scales first, each passing its features on to the next finer one."""

    def __init__(self, config: DCSFNConfig) -> None:
        super().__init__()
        width, scales = config.width, config.scales
        self.scales = nn.ModuleList(
            nn.Sequential(*(Conv(width, width, 3) for _ in range(config.convolutions)))
            for _ in range(scales)
        )
        self.links = nn.ModuleList(
            Conv(2 * width, width, 1) for _ in range(scales - 1 if config.inner else 0)
        )
        self.fuse = Conv(scales * width, width, 1) if scales > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        pooled = pyramid(x, len(self.scales))
        outputs = [self.scales[-1](pooled[-1])]  # fine to coarse, filled from its end
        for scale in reversed(range(len(self.scales) - 1)):
            y = pooled[scale]
            if self.links:
                y = self.links[scale](y, resize(outputs[0], like=y))
            outputs.insert(0, self.scales[scale](y))
        if self.fuse is None:
            return outputs[0] + x
        return self.fuse(outputs[0], *(resize(y, like=x) for y in outputs[1:])) + x


class Coder(nn.Module):
    """Encoder or decoder: L densely connected units.

    Gives the output and the list of what the units gave. A decoder takes that list from the
    encoder of its scale: the first unit's features meet its own first unit.
    """

    def __init__(self, config: DCSFNConfig) -> None:
        super().__init__()
        width, count = config.width, config.blocks
        self.blocks = nn.ModuleList(InnerScaleConnection(config) for _ in range(count))
        joined = 1 if config.order == "equation" else 2  # feature maps before the first fusion
        self.fuse = nn.ModuleList(
            Conv((i + joined) * width, width, 1) for i in range(count if config.dense else 0)
        )
        self.skip, self.order = config.skip, config.order

    def forward(
        self, x: Tensor, encoded: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        y, outputs = x, []
        for i, block in enumerate(self.blocks):
            if self.order == "equation" and self.fuse:
                y = self.fuse[i](x, *outputs)
            if encoded is None or self.skip == "none":
                outputs.append(block(y))
            elif self.skip == "input":
                outputs.append(block(y + encoded[i]))
            else:
                outputs.append(block(y) + encoded[i])
            y = outputs[-1]
            if self.order == "code" and self.fuse:
                y = self.fuse[i](x, *outputs)
        return y, outputs


class Cell(nn.Module):
    """A recurrent unit: (features, state or None) -> new state, whose first part is the output.

    Without a state, as in the first cell of a pass, everything on the state's side is skipped:
    those convolutions, and those of ``gates_of_state`` on the side of the features, are dead
    weights there. They are built for the parameter count and for the authors' files.
    """

    gates: ClassVar[str]
    gates_of_state: ClassVar[str] = ""  # gates that only ever weigh the state
    state_parts: ClassVar[int] = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.x = nn.ModuleDict({gate: conv3(width) for gate in self.gates})
        self.h = nn.ModuleDict({gate: conv3(width) for gate in self.gates})

    def drop_state(self) -> None:
        """Remove what a cell without a state never uses."""
        self.h = nn.ModuleDict()
        live = {gate: self.x[gate] for gate in self.gates if gate not in self.gates_of_state}
        self.x = nn.ModuleDict(live)


class RNN(Cell):
    """h' = a(tanh(Wx x + Wh h))."""

    gates = "n"

    def forward(self, x: Tensor, state: State | None = None) -> State:
        n = self.x["n"](x) if state is None else self.x["n"](x) + self.h["n"](state[0])
        return (F.leaky_relu(torch.tanh(n), SLOPE),)


class GRU(Cell):
    """h' = a((1 - z) h + z n), with the gates z (update) and r (reset) and the candidate n."""

    gates = "zrn"
    gates_of_state = "r"

    def forward(self, x: Tensor, state: State | None = None) -> State:
        if state is None:
            z, n = torch.sigmoid(self.x["z"](x)), torch.tanh(self.x["n"](x))
            return (F.leaky_relu(z * n, SLOPE),)
        h = state[0]
        z = torch.sigmoid(self.x["z"](x) + self.h["z"](h))
        r = torch.sigmoid(self.x["r"](x) + self.h["r"](h))
        n = torch.tanh(self.x["n"](x) + self.h["n"](r * h))
        return (F.leaky_relu((1 - z) * h + z * n, SLOPE),)


class LSTM(Cell):
    """c' = f c + i j, h' = a(o tanh(c')); the authors' first cell leaves that tanh out."""

    gates = "fioj"
    gates_of_state = "f"
    state_parts = 2

    def forward(self, x: Tensor, state: State | None = None) -> State:
        if state is None:
            i, o = (torch.sigmoid(self.x[gate](x)) for gate in "io")
            c = i * torch.tanh(self.x["j"](x))
            return F.leaky_relu(o * c, SLOPE), c
        h, c = state
        f, i, o = (torch.sigmoid(self.x[gate](x) + self.h[gate](h)) for gate in "fio")
        c = f * c + i * torch.tanh(self.x["j"](x) + self.h["j"](h))
        return F.leaky_relu(o * torch.tanh(c), SLOPE), c


CELLS: dict[str, type[Cell]] = {"gru": GRU, "lstm": LSTM, "rnn": RNN}


class RecurrentPass(nn.Module):
    """One run of a recurrent unit over the three sub-networks, each with a cell of its own.

    The last cell's state is made from the states of both before it.
    """

    def __init__(self, config: DCSFNConfig, order: tuple[int, int, int]) -> None:
        super().__init__()
        cell = CELLS[config.unit]
        self.cells = nn.ModuleList(cell(config.width) for _ in order)
        self.fuse = nn.ModuleList(
            Conv(2 * config.width, config.width, 1) for _ in range(cell.state_parts)
        )
        self.order = order

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        first, second, last = self.order
        states: list[State] = [(), (), ()]
        states[first] = self.cells[first](features[first])
        handed_on = tuple(resize(part, like=features[second]) for part in states[first])
        states[second] = self.cells[second](features[second], handed_on)
        finer, coarser = (states[scale] for scale in sorted((first, second)))
        both = tuple(
            fuse(resize(a, like=features[last]), resize(b, like=features[last]))
            for fuse, a, b in zip(self.fuse, finer, coarser, strict=True)
        )
        states[last] = self.cells[last](features[last], both)
        return [state[0] for state in states]

    def drop_dead_weights(self) -> None:
        """Remove what the first cell, which never has a state, does not use."""
        first = self.cells[self.order[0]]
        assert isinstance(first, Cell)
        first.drop_state()


class DCSFN(Network[DCSFNConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from ``minimum_size`` up, without padding.
    """

    def __init__(self, config: DCSFNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DCSFNConfig()
        networks = range(1 if config.single else 3)  # sub-networks at 1, 1/2 and 1/4
        orders = [(2, 1, 0), (0, 1, 2)] if config.cross and not config.single else []
        if config.direction == "figure":
            orders.reverse()
        self.first = Conv(3, config.width, 3)
        self.encoders = nn.ModuleList(Coder(config) for _ in networks)
        self.passes = nn.ModuleList(RecurrentPass(config, order) for order in orders)
        self.decoders = nn.ModuleList(Coder(config) for _ in networks)
        self.merge = Conv(len(networks) * config.width, 3, 1)
        self.last = conv3(3)

    @property
    def size_multiple(self) -> int:
        """What height and width divide by in exported graphs: every inner size is then whole."""
        return self.minimum_size

    @property
    def minimum_size(self) -> int:
        """The least height and width: one pixel is left at the coarsest scale."""
        return (1 if self.config.single else 4) * 2 ** (self.config.scales - 1)

    @property
    def receptive_radius(self) -> int:
        """Measured with trained weights of ``dcsfn-small``; all that could be read is far more."""
        return 96

    def forward(self, image: Tensor) -> Tensor:
        """Derain.

        Raises:
            ValueError: The height or width is below ``minimum_size``.
        """
        require_size(image, self.minimum_size)
        scales = pyramid(self.first(image), len(self.encoders))
        encoded = [encoder(x) for encoder, x in zip(self.encoders, scales, strict=True)]
        features = [output for output, _ in encoded]
        for fuse_across_scales in self.passes:
            features = fuse_across_scales(features)
        decoded = [
            decoder(x, skips)[0]
            for decoder, x, (_, skips) in zip(self.decoders, features, encoded, strict=True)
        ]
        rain = self.last(self.merge(decoded[0], *(resize(x, like=image) for x in decoded[1:])))
        return image - rain

    def fold(self) -> "DCSFN":
        """A copy that computes the same, bit for bit, without its dead weights."""
        folded = super().fold()
        for part in folded.modules():
            if isinstance(part, RecurrentPass):
                part.drop_dead_weights()
        return folded
