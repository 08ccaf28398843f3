"""UMRL: uncertainty guided multi-scale residual learning (Yasarla and Patel, CVPR 2019).

Not one of the three papers. A U-net of dense layers; at a quarter and half of the resolution it
also estimates the rain and how sure it is of it, and both guide the scale above. After the
authors' code (rajeevyasarla/UMRL--using-Cycle-Spinning), whose weights fit
(derain.weights.convert). Their test program stretches every result to the full range, which we
leave out: it costs half a decibel.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from derain.models.blocks import concatenate, on_padded, require, require_one_of
from derain.models.dense import DenseLayer, Scale, Transition
from derain.models.network import Network
from derain.models.norms import STATISTICS, Statistics

# Pixels: what its convolutions in a row read, and where cells of 16 pixels begin.
REACH = 168


@dataclass(frozen=True)
class UMRLConfig:
    """The width, and how the network normalises outside training."""

    width: int = 32
    # "image" as the authors test: one set of running statistics serves several scales, so they
    # suit none of them, and cost 4 dB.
    statistics: Statistics = "image"

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require(
            type(self.width) is int and self.width >= 4 and self.width % 2 == 0,
            f"width must be an even number from 4 up: {self.width!r}",
        )
        require_one_of(self, statistics=STATISTICS)


class Residuals(NamedTuple):
    """The rain at three scales, how sure the network is of it, and the features it comes from."""

    rain1: Tensor  # (N, 3, H, W), in -1..1
    rain2: Tensor  # (N, 3, H / 2, W / 2)
    rain4: Tensor
    confidence2: Tensor  # in 0..1, of each value of rain2
    confidence4: Tensor
    features: Tensor  # (N, width / 2, H, W)


class Estimates(NamedTuple):
    """All that the loss looks at; clean images and rain in -1..1, confidence in 0..1."""

    rain1: Tensor
    clean1: Tensor
    clean4: Tensor
    clean2: Tensor
    confidence4: Tensor
    confidence2: Tensor
    confidence1: Tensor


class UMRL(Network[UMRLConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, in [0, 1].

    Any height and width from 1 up; inside, padded to multiples of 16, and values in -1..1.
    """

    def __init__(self, config: UMRLConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UMRLConfig()
        width, half = config.width, config.width // 2

        def stage(inputs: int, growth: int, outputs: int, scale: Scale) -> nn.Sequential:
            return nn.Sequential(
                DenseLayer(inputs, growth, 5, config.statistics),
                Transition(inputs + growth, outputs, scale, config.statistics),
            )

        self.down1 = stage(3, width - 3, width, "down")
        self.down2 = stage(width, width, width, "down")
        self.down3 = stage(width, width, width, "down")
        self.bottom = nn.Sequential(
            stage(width, width, width, "down"), stage(width, width, width, "up")
        )
        self.up4 = stage(2 * width, width, width, "up")
        self.up2 = stage(2 * width + 3, width, width, "up")
        self.up1 = nn.Sequential(
            stage(2 * width + 3, half, half, "up"), stage(half, half, half, "same")
        )
        self.rain = residual_estimator(config)  # of both lower scales
        self.confidence = confidence_estimator(config)  # of all scales
        self.rain1 = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, 3, 3, padding=1),
            nn.Tanh(),
        )
        self.polish = nn.Sequential(
            nn.Conv2d(3, 8, 7, padding=3),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8, 3, 3, padding=1),
            nn.Tanh(),
        )

    @property
    def size_multiple(self) -> int:
        """Four halvings."""
        return 16

    @property
    def receptive_radius(self) -> int | None:
        """All convolutions, with stored statistics; with those of the image, the whole of it."""
        return None if self.config.statistics == "image" else REACH

    def forward(self, image: Tensor) -> Tensor:
        return on_padded(self.derain, image, self.size_multiple)

    def derain(self, image: Tensor) -> Tensor:
        """``forward`` for a height and width that divide by ``size_multiple``."""
        x = 2 * image - 1
        return (self.polish(x - self.residuals(x).rain1) + 1) / 2

    def residuals(self, x: Tensor) -> Residuals:
        """The rain in an image x in -1..1, whose height and width divide by ``size_multiple``."""
        half = self.down1(x)
        quarter = self.down2(half)
        eighth = self.down3(quarter)
        y = self.up4(concatenate(self.bottom(eighth), eighth))
        rain4 = self.rain(concatenate(y, quarter))
        confidence4 = self.confidence(concatenate(y, rain4))
        y = self.up2(concatenate(y, quarter, rain4 * confidence4))
        rain2 = self.rain(concatenate(y, half))
        confidence2 = self.confidence(concatenate(y, rain2))
        y = self.up1(concatenate(y, half, rain2 * confidence2))
        return Residuals(self.rain1(y), rain2, rain4, confidence2, confidence4, y)

    def estimates(self, x: Tensor) -> Estimates:
        """What the loss needs for an image as ``residuals`` takes it."""
        rain1, rain2, rain4, confidence2, confidence4, features = self.residuals(x)
        clean1, clean2, clean4 = (
            self.polish(x[..., ::step, ::step] - rain)
            for step, rain in ((1, rain1), (2, rain2), (4, rain4))
        )
        confidence1 = self.confidence(concatenate(features, features, rain1))
        return Estimates(rain1, clean1, clean4, clean2, confidence4, confidence2, confidence1)


def residual_estimator(config: UMRLConfig) -> nn.Sequential:
    """The rain from features: (N, 2 * width, H, W) -> (N, 3, H, W) in -1..1."""
    width, statistics = config.width, config.statistics
    layers: list[nn.Module] = []
    for inputs in (2 * width, width, width):
        layers += [
            DenseLayer(inputs, width, 3, statistics),
            Transition(inputs + width, width, "same", statistics),
        ]
    return nn.Sequential(
        *layers,
        nn.Conv2d(width, width // 2, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width // 2, 3, 3, padding=1),
        nn.Tanh(),
    )


def confidence_estimator(config: UMRLConfig) -> nn.Sequential:
    """How sure the rain is, from features and it: (N, width + 3, H, W) -> (N, 3, H, W) in 0..1."""
    half, statistics = config.width // 2, config.statistics
    layers: list[nn.Module] = [nn.Conv2d(config.width + 3, half, 3, padding=1)]
    for _ in range(2):
        layers += [
            DenseLayer(half, half, 3, statistics),
            Transition(2 * half, half, "same", statistics),
        ]
    return nn.Sequential(*layers, nn.Conv2d(half, 3, 3, padding=1), nn.Sigmoid())
