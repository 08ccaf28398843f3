"""JORDER-E: joint rain detection and removal (Yang et al., IEEE TPAMI 2019).

Not one of the three papers. Two passes of one design with weights of their own: each finds where
rain is and how strong, and both guide how the image is put together; the second pass sees what the
first has made. After the authors' code (flyywh/JORDER-E-Deep-Image-Deraining-TPAMI-2019-Journal).
Weights are published for its smaller, "practical" form (derain.weights.convert).
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from derain.models.blocks import concatenate, require_at_least
from derain.models.network import Network

MASK = 2  # channels of the mask: logits of no rain and of rain


@dataclass(frozen=True)
class JORDEREConfig:
    """The paper's size; ``JORDEREConfig(width=32, units=3)`` is the practical form."""

    width: int = 64
    units: int = 9  # per pass

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "units")


class Unit(nn.Module):
    """Contextualized dilated unit: three paths that look around less and more far.

    (N, C, H, W), and the features of the same unit in the pass before -> the same shape.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(
                convolution(width, width, first),
                nn.ReLU(inplace=True),
                convolution(width, width, second),
                nn.ReLU(inplace=True),
            )
            for first, second in ((1, 1), (2, 2), (2, 4))  # dilations
        )

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        near, middle, far = (path(x) for path in self.paths)
        y = x + near + 0.1 * middle + 0.1 * far
        return y if before is None else y + before


class Estimate(NamedTuple):
    """What a pass finds; images and level in 0..255."""

    clean: Tensor  # (N, 3, H, W)
    features: list[Tensor]  # of every unit, (N, C, H, W)
    mask: Tensor  # where rain is: (N, 2, H, W), logits
    level: Tensor  # how much the clean image differs: (N, 3, H, W)


class Pass(nn.Module):
    """Detection and removal: the rainy image and the last pass's estimate -> a better one."""

    def __init__(self, config: JORDEREConfig) -> None:
        super().__init__()
        width = config.width
        self.first = convolution(6, width)
        self.units = nn.ModuleList(Unit(width) for _ in range(config.units))
        self.mask = nn.Sequential(convolution(width, 8), convolution(8, MASK))
        self.level = nn.Sequential(convolution(width, 8), convolution(8, 3))
        self.mask_added, self.mask_factor = guide(MASK, width), factor(MASK, width)
        self.level_added, self.level_factor = guide(3, width), factor(3, width)
        self.last = nn.Sequential(convolution(width, width), convolution(width, 3))

    def forward(self, rainy: Tensor, before: Estimate | None) -> Estimate:
        x = self.first(concatenate(rainy, before.clean if before else rainy))
        features: list[Tensor] = []
        for k, unit in enumerate(self.units):
            x = unit(x, before.features[k] if before else None)
            features.append(x)
        mask, level = self.mask(x), self.level(x)
        if before:
            mask, level = mask + before.mask, level + before.level
        x = x + x * self.mask_factor(mask) * self.level_factor(level)
        x = x + self.mask_added(mask) + self.level_added(level)
        return Estimate(rainy + self.last(x), features, mask, level)


class JORDERE(Network[JORDEREConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up. Inside, values are in 0..255, as in the authors' code.
    """

    def __init__(self, config: JORDEREConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or JORDEREConfig()
        self.passes = nn.ModuleList(Pass(config) for _ in range(2))

    @property
    def receptive_radius(self) -> int:
        """What its convolutions in a row read, in both passes."""
        first, unit, estimates, guides, last = 1, 2 + 4, 2, 2, 2
        return 2 * (first + self.config.units * unit + estimates + guides + last)

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image)[-1].clean / 255

    def estimates(self, image: Tensor) -> list[Estimate]:
        """What each pass makes of the rainy image, the best last."""
        estimates: list[Estimate] = []
        for each in self.passes:
            estimates.append(each(255 * image, estimates[-1] if estimates else None))
        return estimates


def convolution(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """3x3, keeping the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def guide(inputs: int, width: int) -> nn.Sequential:
    """From a mask or level (N, inputs, H, W) to features (N, width, H, W)."""
    return nn.Sequential(convolution(inputs, 16), nn.ReLU(inplace=True), convolution(16, width))


def factor(inputs: int, width: int) -> nn.Sequential:
    """A guide whose features start as 1."""
    last = convolution(16, width)
    assert last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.ones_(last.bias)
    return nn.Sequential(convolution(inputs, 16), nn.ReLU(inplace=True), last)
