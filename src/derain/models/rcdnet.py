"""RCDNet: rain convolutional dictionary network (Wang et al., CVPR 2020, arXiv 2005.01333).

Not one of the three papers. Rain is a sum of few rain kernels, each convolved with a map of where
it falls; 17 stages of a proximal gradient method, with small residual networks as proximal
operators, find the maps and the clean image. After the authors' code (hongwang01/RCDNet and
RCDNet_simple), whose weights fit (derain.weights.convert).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, require_at_least
from derain.models.network import Network

KERNEL = 9  # pixels; height and width of a rain kernel
SLOWER = 10  # the code divides kernels and steps by it, so that Adam moves them less
BLOCKS = 4  # residual blocks of a proximal operator


@dataclass(frozen=True)
class RCDNetConfig:
    """The numbers of the paper."""

    stages: int = 17  # S
    rain_maps: int = 32  # N, as many as rain kernels
    dual_channels: int = 32  # Z, features that the image carries from stage to stage

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "rain_maps", "dual_channels")
        require_at_least(2, self, "stages")


class ResidualBlock(nn.Module):
    """relu(x + two convolutions with batch normalisation): (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class BackgroundProx(nn.Sequential):
    """ProxB: (N, 3 + Z, H, W), the image and its dual channels -> the same, never negative."""

    def __init__(self, config: RCDNetConfig) -> None:
        super().__init__(*(ResidualBlock(3 + config.dual_channels) for _ in range(BLOCKS)))


class RainMapProx(nn.Module):
    """ProxM: (N, maps, H, W) -> the same, never negative and, above a threshold, sparse."""

    def __init__(self, config: RCDNetConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(*(ResidualBlock(config.rain_maps) for _ in range(BLOCKS)))
        self.threshold = nn.Parameter(torch.full((1, config.rain_maps, 1, 1), 0.5))

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.body(maps) - self.threshold)


class Estimates(NamedTuple):
    """All that the loss looks at, in [0, 1]: (N, 3, H, W) each."""

    backgrounds: list[Tensor]  # the start, every stage, and the result
    rains: list[Tensor]  # every stage


class RCDNet(Network[RCDNetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up. Inside, values are in 0..255, as in the authors' code.
    """

    def __init__(self, config: RCDNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or RCDNetConfig()
        later = config.stages - 1  # the first stage has no rain maps yet
        self.first_kernels = nn.Parameter(rain_kernels(config.rain_maps))  # C0
        self.kernels = nn.Parameter(rain_kernels(config.rain_maps))  # C, of all stages
        self.tau = nn.Parameter(torch.ones(1))
        self.first_background_step = nn.Parameter(torch.full((1,), 5.0))  # eB0
        self.background_steps = nn.Parameter(torch.full((later,), 5.0))  # eB
        self.rain_map_steps = nn.Parameter(torch.ones(later))  # eM
        self.dual = nn.Conv2d(3, config.dual_channels, 3, padding=1, bias=False)
        nn.init.constant_(self.dual.weight, 1 / 9)
        self.start = BackgroundProx(config)
        self.backgrounds = nn.ModuleList(BackgroundProx(config) for _ in range(config.stages))
        self.rain_maps = nn.ModuleList(RainMapProx(config) for _ in range(config.stages))
        self.end = BackgroundProx(config)

    @property
    def receptive_radius(self) -> int:
        """What its convolutions in a row read: less with trained weights, which are not at hand."""
        proximal = 2 * BLOCKS
        stage = 2 * (KERNEL // 2) + 2 * proximal  # kernels there and back, maps and image
        return 1 + proximal + self.config.stages * stage + proximal

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image).backgrounds[-1]

    def estimates(self, image: Tensor) -> Estimates:
        """What every stage makes of the rainy image."""
        rainy = 255 * image
        state = self.start(concatenate(rainy, self.dual(rainy)))
        backgrounds, rains = [state[:, :3]], []
        steps = torch.cat([self.first_background_step, self.background_steps]) / SLOWER
        maps = fall(F.relu(rainy - backgrounds[0] - self.tau), self.first_kernels)
        for k, (find_rain, clean) in enumerate(zip(self.rain_maps, self.backgrounds, strict=True)):
            background, dual = state[:, :3], state[:, 3:]
            if k:
                error = rains[-1] - (rainy - background)
                maps = maps - self.rain_map_steps[k - 1] / SLOWER * fall(error, self.kernels)
            maps = find_rain(maps)
            rains.append(F.conv2d(maps, self.kernels / SLOWER, padding=KERNEL // 2))
            error = background - (rainy - rains[-1])
            background = background - steps[k] * error
            state = clean(concatenate(background, dual))
            backgrounds.append(state[:, :3])
        backgrounds.append(self.end(state)[:, :3])
        return Estimates([b / 255 for b in backgrounds], [r / 255 for r in rains])


def fall(rain: Tensor, kernels: Tensor) -> Tensor:
    """How well each rain kernel fits everywhere: (N, 3, H, W) -> (N, maps, H, W).

    The transpose of the convolution that makes rain of rain maps.
    """
    return F.conv_transpose2d(rain, kernels / SLOWER, padding=KERNEL // 2)


def rain_kernels(count: int) -> Tensor:
    """The kernels that the authors' script starts from: (3, count, 9, 9), vertical streaks.

    Later ones are longer. Each adds up to 1 per colour, and the colours are equal.
    """
    y, x = torch.meshgrid(*2 * (torch.arange(KERNEL) - KERNEL // 2.0,), indexing="ij")
    kernels = []
    for i in range(1, count + 1):
        length, inner, sigma = (2.5 + i / 4, 0.1, 0.25) if i <= 12 else (2 + i / 4, 0.2, 0.5)
        u, v = (z.sign() * (z.abs() - round(4 * inner)).clamp(min=0) for z in (x, y))
        kernel = torch.exp(-(u**2 + (v / length) ** 2) / (2 * sigma**2))
        kernel = torch.where(kernel < 2.2e-16 * kernel.max(), 0.0, kernel)
        kernels.append(kernel / kernel.sum())
    return torch.stack(kernels).expand(3, -1, -1, -1).clone()
