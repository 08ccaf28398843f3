"""SPANet: spatial attentive network (Wang et al., CVPR 2019, arXiv 1904.01538).

Not one of the three papers. Residual blocks, some of them weighted by a map of where rain is; to
find it, every pixel sees its whole row and column through recurrences in four directions. After
the authors' code (stevewongv/SPANet), whose weights fit (derain.weights.convert). Their code
computes the paper's direction weights and drops the result, so they are off by default.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, require_at_least, require_one_of
from derain.models.network import Network


@dataclass(frozen=True)
class SPANetConfig:
    """What the paper and its code differ in."""

    width: int = 32
    direction_weights: bool = False  # the paper's; the released weights were trained without

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(2, self, "width")
        require_one_of(self, direction_weights=(True, False))


class Body(nn.Sequential):
    """What a residual block adds: (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(width, width, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=2, dilation=2, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 1, bias=False),
        )


class Recurrence(nn.Module):
    """Four recurrences over the image: (N, C, H, W) -> (N, 4C, H, W).

    They run up the columns, to the right, down and to the left; so each output pixel has seen
    what lies below, left, above, right of it. Each channel has a weight and a bias per direction.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((4, width), 0.2))
        self.bias = nn.Parameter(torch.empty(4, width).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        read = recur_in_graph if torch.compiler.is_compiling() else recur
        columns = concatenate(x.flip(2), x)  # to be read from the bottom, and from the top
        rows = concatenate(x, x.flip(3)).transpose(2, 3)
        up, down = read(columns, *self.of_directions(0, 2)).chunk(2, dim=1)
        right, left = read(rows, *self.of_directions(1, 3)).transpose(2, 3).chunk(2, dim=1)
        return concatenate(up.flip(2), right, down, left.flip(3))

    def of_directions(self, *which: int) -> tuple[Tensor, Tensor]:
        """Weights and biases (len(which) * C, 1) of some directions."""
        chosen = list(which)
        return self.weight[chosen].view(-1, 1), self.bias[chosen].view(-1, 1)


class SpatialAttention(nn.Module):
    """SAM: a map of where the rain is, (N, C, H, W) -> (N, 1, H, W) in 0..1."""

    def __init__(self, config: SPANetConfig) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.rounds = nn.ModuleList(Recurrence(width) for _ in range(2))
        self.merges = nn.ModuleList(
            nn.Conv2d(4 * width, width, 3, padding=1, bias=False) for _ in range(2)
        )
        self.last = nn.Conv2d(width, 1, 1, bias=False)
        self.directions = direction_weights(width) if config.direction_weights else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        weights = self.directions(x) if self.directions else None
        for recurrence, merge in zip(self.rounds, self.merges, strict=True):
            y = recurrence(y)
            if weights is not None:
                y = y * weights.repeat_interleave(x.shape[1], dim=1)
            y = merge(y)
        return torch.sigmoid(self.last(F.relu(y)))


class SPANet(Network[SPANetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: SPANetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SPANetConfig()
        width = config.width
        self.first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.attention = SpatialAttention(config)
        self.before = nn.ModuleList(Body(width) for _ in range(3))
        self.attentive = nn.ModuleList(Body(width) for _ in range(4 * 3))
        self.after = nn.ModuleList(Body(width) for _ in range(2))
        self.last = nn.Conv2d(width, 3, 3, padding=1, bias=False)

    @property
    def receptive_radius(self) -> None:
        """The whole image: attention reads whole rows and columns."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        return self.derain(image)[0]

    def derain(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The derained image and the four attention maps (N, 1, H, W), the first one supervised."""
        x, maps = F.relu(self.first(image)), []
        for body in self.before:
            x = F.relu(x + body(x))
        for k, body in enumerate(self.attentive):
            if k % 3 == 0:
                maps.append(self.attention(x))
            x = F.relu(x + maps[-1] * body(x))
        for body in self.after:
            x = F.relu(x + body(x))
        return self.last(x), maps


def direction_weights(width: int) -> nn.Sequential:
    """How much each of the four directions counts: (N, C, H, W) -> (N, 4, H, W) in 0..1."""
    return nn.Sequential(
        nn.Conv2d(width, width // 2, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width // 2, width // 2, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width // 2, 4, 1),
        nn.Sigmoid(),
    )


def recur(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """v_1 = relu(u_1), v_t = relu(weight * v_(t-1) + bias + u_t) down the rows.

    Args:
        u: (N, C, T, W).
        weight: (C, 1).
        bias: (C, 1).

    Returns:
        v, the shape of u.
    """
    if u.is_meta:  # counting the cost asks for shapes alone; the loop would take seconds
        return u
    first, *others = u.unbind(2)
    v = [F.relu(first)]
    for u_t in others:
        v.append(F.relu(torch.addcmul(u_t + bias, weight, v[-1])))
    return torch.stack(v, dim=2)


def recur_in_graph(u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``recur`` as one operator, for graphs, which do not know how many rows there will be."""
    from torch._higher_order_ops.scan import scan  # no public name yet

    def step(v: Tensor, u_t: Tensor) -> tuple[Tensor, Tensor]:
        v = F.relu(torch.addcmul(u_t, weight, v))
        return v, v.clone()

    later = F.pad(torch.ones_like(u[:, :, 1:]), (0, 0, 1, 0))  # 0 in the first row: no bias there
    start = torch.zeros_like(u[:, :, 0])
    return scan(step, start, u + bias[..., None] * later, dim=2)[1]
