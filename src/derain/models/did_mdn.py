"""DID-MDN: density-aware multi-stream dense network (Zhang and Patel, CVPR 2018, 1802.07412).

Not one of the three papers. One network makes a first guess of the rain; a second tells from what
is left how dense the rain is; a third, told the density, takes the rain out by three streams of
dense layers with small, middle and large kernels. After the authors' code
(hezhangsprinter/DID-MDN). The density is judged on the image at 512x512, and the rain is taken out
at the image's own size: our reading, where theirs resizes everything.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, on_padded, require_one_of, require_size
from derain.models.dense import DenseLayer, Scale, Transition, normalisation
from derain.models.network import Network
from derain.models.norms import STATISTICS, Statistics

DENSITY_SIZE = 512  # pixels; the only height and width that the density network takes
POOLED = (32, 16, 8, 4)  # pixels; sizes of the pyramid's cells
SCALES: dict[str, Scale] = {"-": "down", "+": "up", "=": "same"}

Rows = tuple[tuple[int, int, int, str], ...]  # input channels, growth, output channels, scale

# Streams with kernels 3, 5, 7 that end in 4 channels; later layers also see earlier ones.
DERAIN_STREAMS: tuple[Rows, Rows, Rows] = (
    ((3, 5, 4, "-"), (4, 8, 12, "="), (12, 4, 12, "="), (12, 4, 12, "="), (24, 8, 4, "="),
     (8, 8, 4, "+")),
    ((3, 13, 8, "-"), (8, 16, 16, "-"), (16, 16, 16, "="), (16, 16, 16, "="), (32, 8, 8, "+"),
     (16, 8, 4, "+")),
    ((3, 13, 8, "-"), (8, 16, 16, "-"), (16, 16, 16, "-"), (16, 16, 16, "+"), (32, 8, 8, "+"),
     (16, 8, 4, "+")),
)  # fmt: skip
# All with kernel 3, ending in 2 channels.
RESIDUAL_STREAMS: tuple[Rows, Rows, Rows] = (
    ((3, 5, 4, "="), (4, 8, 12, "="), (12, 4, 12, "="), (12, 4, 12, "="), (12, 8, 4, "="),
     (4, 8, 2, "=")),
    ((3, 13, 8, "-"), (8, 16, 16, "="), (16, 16, 16, "="), (16, 16, 16, "="), (16, 8, 8, "="),
     (8, 8, 2, "+")),
    ((3, 13, 8, "-"), (8, 16, 16, "-"), (16, 16, 16, "="), (16, 16, 16, "="), (16, 8, 8, "+"),
     (8, 8, 2, "+")),
)  # fmt: skip


@dataclass(frozen=True)
class DIDMDNConfig:
    """How the density is found, and how the network normalises outside training."""

    density: int = 0  # 0: estimated; 1 heavy, 2 medium, 3 light: known, without a density network
    statistics: Statistics = "image"  # as the authors test; "running" for the stored ones

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_one_of(self, density=(0, 1, 2, 3), statistics=STATISTICS)


class Stream(nn.Module):
    """Six dense layers with transitions: x in -1..1 -> features.

    Args:
        rows: One for each layer.
        kernel: Height and width of the convolutions' kernels.
        joins: How later layers see earlier ones: side by side, or added.
        statistics: What the normalisation uses outside training.
    """

    def __init__(self, rows: Rows, kernel: int, joins: bool, statistics: Statistics) -> None:
        super().__init__()
        self.joins = joins
        self.layers = nn.ModuleList(
            nn.Sequential(
                DenseLayer(inputs, growth, kernel, statistics),
                Transition(inputs + growth, outputs, SCALES[scale], statistics),
            )
            for inputs, growth, outputs, scale in rows
        )
        self.skip = nn.Conv2d(rows[0][2], 1, 3, padding=1) if joins else None

    def forward(self, x: Tensor) -> Tensor:
        first = self.layers[0](x)
        second = self.layers[1](first)
        y = self.layers[3](self.layers[2](second))
        y = self.layers[4](self.join(y, second))
        y = self.layers[5](self.join(y, first))
        if self.skip is None:
            return y
        skip = F.interpolate(F.leaky_relu(self.skip(first), 0.2), y.shape[2:])
        # The code makes five outputs from layers of different depth, by accident all the same.
        return concatenate(y, *5 * [skip], x)

    def join(self, late: Tensor, early: Tensor) -> Tensor:
        """Features of two depths as one."""
        return concatenate(late, early) if self.joins else late + early


class MultiStream(nn.Module):
    """Three streams and a pyramid: (N, 3, H, W) in -1..1 -> the rain, the same shape.

    Args:
        streams: The rows of each.
        kernels: The kernel size of each stream.
        joins: As ``Stream``.
        label: Channels that hold the density.
        width: Channels of the features from which the rain is made.
        pooled: Channels of each of the pyramid's means.
        statistics: What the normalisation uses outside training.
    """

    def __init__(
        self,
        streams: tuple[Rows, Rows, Rows],
        kernels: tuple[int, int, int],
        joins: bool,
        label: int,
        width: int,
        pooled: int,
        statistics: Statistics,
    ) -> None:
        super().__init__()
        self.label = label
        self.streams = nn.ModuleList(
            Stream(rows, kernel, joins, statistics)
            for rows, kernel in zip(streams, kernels, strict=True)
        )
        each = streams[0][-1][2] + (5 + 3 if joins else 0)
        self.merge = nn.Conv2d(3 * each + 3 + label, width, 3, padding=1)
        self.pyramid = nn.ModuleList(nn.Conv2d(width, pooled, 1) for _ in POOLED)
        self.last = nn.Conv2d(width + len(POOLED) * pooled, 3, 3, padding=1)

    def forward(self, x: Tensor, density: Tensor) -> Tensor:
        """The rain in x, told the density (N,): 0 unknown, 1 heavy, 2 medium, 3 light."""
        small, middle, large = (stream(x) for stream in self.streams)
        constant = density.view(-1, 1, 1, 1).to(x) * torch.ones_like(x[:, :1])
        label = constant.expand(-1, self.label, -1, -1)
        y = F.leaky_relu(self.merge(concatenate(small, x, middle, large, label)), 0.2)
        means = [
            F.interpolate(F.leaky_relu(layer(F.avg_pool2d(y, size)), 0.2), y.shape[2:])
            for size, layer in zip(POOLED, self.pyramid, strict=True)
        ]
        return torch.tanh(self.last(concatenate(*means, y)))


class ResidualNet(MultiStream):
    """The first guess of the rain; height and width are multiples of 4 from 32 up."""

    def __init__(self, statistics: Statistics) -> None:
        super().__init__(RESIDUAL_STREAMS, (3, 3, 3), False, 4, 20, 1, statistics)


class DerainNet(MultiStream):
    """The rain, and the clean image; height and width are multiples of 8 from 32 up."""

    def __init__(self, statistics: Statistics) -> None:
        super().__init__(DERAIN_STREAMS, (3, 5, 7), True, 8, 47, 2, statistics)
        self.polish = nn.Sequential(
            nn.Conv2d(3, 8, 7, padding=3),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 3, 3, padding=1),
            nn.Tanh(),
        )

    def clean(self, x: Tensor, rain: Tensor) -> Tensor:
        """The clean image in -1..1, from the rainy one and its rain."""
        return self.polish(x - rain)


class DensityNet(nn.Module):
    """How dense the rain is: (N, 3, 512, 512) in -1..1 -> (N, 4), the fourth never trained."""

    def __init__(self, statistics: Statistics) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1),  # begin as the first layers of VGG-19
            normalisation(64, statistics),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 24, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(7),
        )
        size = DENSITY_SIZE // 7
        self.classify = nn.Sequential(
            nn.Linear(24 * size * size, 512), nn.ReLU(inplace=True), nn.Linear(512, 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).flatten(1))


class DIDMDN(Network[DIDMDNConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, in [0, 1].

    Height and width from 25 up; inside, padded to multiples of 8, and values in -1..1.
    """

    def __init__(self, config: DIDMDNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DIDMDNConfig()
        self.derain_net = DerainNet(config.statistics)
        if not config.density:
            self.residual_net = ResidualNet(config.statistics)
            self.density_net = DensityNet(config.statistics)

    @property
    def minimum_size(self) -> int:
        """Becomes 32, of which the pyramid takes one mean."""
        return 25

    @property
    def size_multiple(self) -> int:
        """Three halvings."""
        return 8

    @property
    def receptive_radius(self) -> None:
        """The whole image: its statistics and density, and the pyramid's cells follow its size."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        require_size(image, self.minimum_size)
        x = 2 * image - 1
        density = self.density(x)

        def clean(x: Tensor) -> Tensor:
            return self.derain_net.clean(x, self.derain_net(x, density))

        return (on_padded(clean, x, self.size_multiple) + 1) / 2

    def density(self, x: Tensor) -> Tensor:
        """The density of the rain in x (N, 3, H, W) in -1..1: (N,), 1 heavy, 2 medium, 3 light."""
        if self.config.density:
            return x.new_full((len(x),), self.config.density)
        x = F.interpolate(x, (DENSITY_SIZE, DENSITY_SIZE), mode="bilinear")
        rest = x - self.residual_net(x, x.new_zeros(len(x)))
        return self.density_net(rest).argmax(dim=1) + 1
