"""ReHEN: recurrent hierarchy enhancement network (Yang and Lu, ACM MM 2019).

Not one of the three papers. Four stages with shared weights, each of recurrent units that enhance
features by residual blocks and weigh channels. After the re-implementation in derain-toolbox; the
authors' own code was not at hand, so all of it is a reading.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, require_at_least
from derain.models.network import Network
from derain.models.rescan import Excitation, GRUCell

SQUEEZE = 4  # times fewer channels inside the excitation


@dataclass(frozen=True)
class ReHENConfig:
    """The numbers of the re-implementation."""

    width: int = 24
    stages: int = 4  # weights do not depend on it
    units: int = 5

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(SQUEEZE, self, "width")
        require_at_least(1, self, "stages", "units")


class ResidualBlock(nn.Module):
    """x + two convolutions with normalisation and ReLU: (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            normalisation(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            normalisation(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class HierarchyEnhancement(nn.Module):
    """HEU: features of three depths merged, their channels weighed: (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = ResidualBlock(width), ResidualBlock(width)
        self.merge = nn.Sequential(
            nn.Conv2d(3 * width, width, 3, padding=1), normalisation(width), excitation(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(first)
        return x + F.relu(self.merge(concatenate(x, first, second)))


class ReHEN(Network[ReHENConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: ReHENConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ReHENConfig()
        width = config.width
        self.cells = nn.ModuleList(
            GRUCell(width if k else 3, width, 1, activation(width)) for k in range(config.units)
        )
        self.enhance = nn.ModuleList(HierarchyEnhancement(width) for _ in range(config.units - 1))
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            activation(width),
            nn.Conv2d(width, 3, 3, padding=1),
        )

    @property
    def receptive_radius(self) -> None:
        """The whole image: the excitation averages over it."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image)[-1]

    def estimates(self, image: Tensor) -> list[Tensor]:
        """What every stage makes of the rainy image, the best last."""
        results, states = [image], [None] * len(self.cells)
        for _ in range(self.config.stages):
            x = results[-1]
            for k, cell in enumerate(self.cells):
                x, states[k] = cell(self.enhance[k - 1](x) if k else x, states[k])
            results.append(image - self.last(x))
        return results[1:]


def excitation(width: int) -> Excitation:
    """Channel attention without bias."""
    return Excitation(width, width // SQUEEZE, bias=False)


def activation(width: int) -> nn.Sequential:
    """Channel attention, then LeakyReLU."""
    return nn.Sequential(excitation(width), nn.LeakyReLU(0.2))


def normalisation(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of the re-implementation."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=3e-4)
