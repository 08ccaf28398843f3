"""RESCAN: recurrent squeeze-and-excitation context aggregation network (Li et al., ECCV 2018).

Not one of the three papers. One small network of dilated convolutions runs four times, each time
on the rainy image minus the rain found so far, with a memory at every layer. After the authors'
code (XiaLiPKU/RESCAN). ``unit="conv", stages=1`` is the paper's SCAN. Weights of the authors' code
fit (derain.weights.convert).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from derain.models.blocks import attend, require_at_least, require_one_of
from derain.models.network import Network

HIDDEN = 6  # width inside the excitation; the code names it a reduction and uses it as the width


Unit = Literal["conv", "rnn", "gru", "lstm"]


@dataclass(frozen=True)
class RESCANConfig:
    """What the paper's ablations vary."""

    width: int = 24
    stages: int = 4  # weights do not depend on it
    depth: int = 7  # a cell, depth - 3 dilated cells and two convolutions of the decoder
    unit: Unit = "gru"
    frame: Literal["full", "add"] = "full"  # a stage predicts all rain, or what is left of it
    excitation: bool = True

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "stages")
        require_at_least(3, self, "depth")
        require_one_of(self, unit=tuple(CELLS), frame=("full", "add"), excitation=(True, False))


class Excitation(nn.Module):
    """Channel attention by the means over the image: (N, C, H, W) -> the same."""

    def __init__(self, width: int, hidden: int = HIDDEN, bias: bool = True) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(width, hidden, 1, bias=bias),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, width, 1, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return attend(x, self.gate, None, 1)


class Gate(nn.Module):
    """A dilated convolution of the input and, once there is a state, a plain one of the state."""

    def __init__(self, inputs: int, width: int, dilation: int) -> None:
        super().__init__()
        self.x = nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation)
        self.h = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, h: Tensor | None) -> Tensor:
        return self.x(x) if h is None else self.x(x) + self.h(h)


class Cell(nn.Module):
    """A layer with a memory: (features, state of the last stage) -> (features, state).

    Args:
        inputs: Channels of the features that it takes.
        width: Channels of those that it gives.
        dilation: Distance of the kernel's points, in pixels, where it reads the input.
        activate: Follows the unit; what it gives is also the state.
    """

    gates: ClassVar[str] = ""

    def __init__(self, inputs: int, width: int, dilation: int, activate: nn.Module) -> None:
        super().__init__()
        self.gate = nn.ModuleDict({name: Gate(inputs, width, dilation) for name in self.gates})
        self.activate = activate


class ConvCell(nn.Module):
    """A convolution without memory, in the form of ``Cell``."""

    def __init__(self, inputs: int, width: int, dilation: int, activate: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, padding=dilation, dilation=dilation)
        self.activate = activate

    def forward(self, x: Tensor, _: None) -> tuple[Tensor, None]:
        return self.activate(self.conv(x)), None


class RNNCell(Cell):
    """The plain recurrent unit."""

    gates = "n"

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        y = self.activate(torch.tanh(self.gate["n"](x, h)))
        return y, y


class GRUCell(Cell):
    """The gated recurrent unit; the reset comes before the convolution of the state."""

    gates = "zrn"

    def forward(self, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        z = torch.sigmoid(self.gate["z"](x, h))
        if h is None:
            y = self.activate(z * torch.tanh(self.gate["n"](x, h)))
        else:
            r = torch.sigmoid(self.gate["r"](x, h))
            y = self.activate((1 - z) * h + z * torch.tanh(self.gate["n"](x, r * h)))
        return y, y


class LSTMCell(Cell):
    """The long short-term memory; as in the authors' code, no tanh of the first stage's c."""

    gates = "fioj"

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        h, c = state or (None, None)
        i, o = (torch.sigmoid(self.gate[name](x, h)) for name in "io")
        j = torch.tanh(self.gate["j"](x, h))
        if c is None:
            c = i * j
            y = self.activate(o * c)
        else:
            c = torch.sigmoid(self.gate["f"](x, h)) * c + i * j
            y = self.activate(o * torch.tanh(c))
        return y, (y, c)


CELLS = {"conv": ConvCell, "rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}


class RESCAN(Network[RESCANConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: RESCANConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RESCANConfig()
        width, cell = config.width, CELLS[config.unit]
        dilations = [1, *(2**k for k in range(config.depth - 3))]
        self.cells = nn.ModuleList(
            cell(width if k else 3, width, dilation, activation(config))
            for k, dilation in enumerate(dilations)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), activation(config), nn.Conv2d(width, 3, 1)
        )

    @property
    def receptive_radius(self) -> int | None:
        """What its convolutions in a row read; with excitation, which averages, the whole image."""
        if self.config.excitation:
            return None
        cells = 1 + sum(2**k for k in range(self.config.depth - 3))
        gated = self.config.depth - 2 if self.config.unit == "gru" else 0  # a reset is read again
        return self.config.stages * (cells + 1) + (self.config.stages - 1) * gated

    def forward(self, image: Tensor) -> Tensor:
        return image - self.rains(image)[-1]

    def rains(self, image: Tensor) -> list[Tensor]:
        """What every stage takes for the rain, the best last."""
        rains: list[Tensor] = []
        states: list[Any] = [None] * len(self.cells)
        for _ in range(self.config.stages):
            x = image - rains[-1] if rains else image
            for k, cell in enumerate(self.cells):
                x, states[k] = cell(x, states[k])
            rain = self.decoder(x)
            if self.config.frame == "add" and rains:
                rain = rain + rains[-1].detach()
            rains.append(rain)
        return rains


def activation(config: RESCANConfig) -> nn.Module:
    """Excitation, if it is on, then LeakyReLU."""
    rectify = nn.LeakyReLU(0.2)
    return nn.Sequential(Excitation(config.width), rectify) if config.excitation else rectify
