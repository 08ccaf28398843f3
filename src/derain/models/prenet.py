"""PReNet: progressive recurrent network (Ren et al., CVPR 2019), a baseline of the papers' tables.

Not one of the three papers. One small network runs six times, each time on the rainy image and its
last estimate, with a ConvLSTM as memory. PReNet_r shares one residual block too:
``PReNetConfig(recursive=True)``. The authors' weights fit (derain.weights.convert).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, require_at_least, require_one_of
from derain.models.network import Network


@dataclass(frozen=True)
class PReNetConfig:
    """What the paper and its ablations vary."""

    stages: int = 6  # T; weights do not depend on it
    width: int = 32
    blocks: int = 5  # residual blocks per stage
    recursive: bool = False  # True is PReNet_r: one block, run so many times

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "stages", "width", "blocks")
        require_one_of(self, recursive=(True, False))


class ConvLSTM(nn.Module):
    """The memory between stages: (features, (h, c)) -> new (h, c), all (N, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * width, 4 * width, 3, padding=1)  # gates i, f, g, o

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        h, c = state or (torch.zeros_like(x), torch.zeros_like(x))
        i, f, g, o = self.conv(concatenate(x, h)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each with ReLU, the input added, and ReLU once more."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class PReNet(Network[PReNetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: PReNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PReNetConfig()
        width, own = config.width, 1 if config.recursive else config.blocks
        self.first = nn.Conv2d(6, width, 3, padding=1)
        self.lstm = ConvLSTM(width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(own))
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    @property
    def receptive_radius(self) -> int:
        """Half of what its convolutions in a row can read; measured with the authors' weights."""
        return self.config.stages * (3 + 2 * self.config.blocks) // 2

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image)[-1]

    def estimates(self, image: Tensor) -> list[Tensor]:
        """What every stage makes of the rainy image, the best last."""
        results, state = [image], None
        for _ in range(self.config.stages):
            x = F.relu(self.first(concatenate(image, results[-1])))
            state = self.lstm(x, state)
            results.append(image + self.last(self.refine(state[0])))
        return results[1:]

    def refine(self, x: Tensor) -> Tensor:
        """The residual blocks, or one of them as often as there would be blocks."""
        for i in range(self.config.blocks):
            x = self.blocks[i % len(self.blocks)](x)
        return x
