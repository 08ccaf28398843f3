"""DDN: deep detail network (Fu et al., CVPR 2017).

Not one of the three papers. A guided filter takes the image apart; a small residual network sees
only the detail and finds the rain in it. It was published in three forms, which differ in the
block and in the statistics of the normalisation: ``DDNConfig.form``. The weights of "image" and
"matlab" fit (derain.weights.convert). For "matlab" the authors published weights and no readable
code: its block is our reading, after the statistics of the weights.
"""

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import require_at_least, require_one_of
from derain.models.network import Network
from derain.models.norms import ImageNorm2d

RADIUS = 15  # of the guided filter, in pixels
SUBSAMPLING = 4  # of its fast version: every fourth pixel, from the third on
FAST_RADIUS = 4  # in pixels of the subsampled image
SMOOTHNESS = 1.0  # eps of the guided filter; larger than any variance, so the base is very smooth


@dataclass(frozen=True)
class DDNConfig:
    """Which of the published forms."""

    width: int = 16
    blocks: int = 12
    # "image": statistics of the image itself, as in the published TensorFlow checkpoints;
    # "running": running statistics, as in the authors' later code, which has no weights;
    # "matlab": normalisation before convolutions, as in the authors' network.mat.
    form: Literal["image", "running", "matlab"] = "image"

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "blocks")
        require_one_of(self, form=("image", "running", "matlab"))


class ResidualBlock(nn.Module):
    """x + two convolutions with normalisation and ReLU, before them or after: a same shape."""

    def __init__(self, config: DDNConfig) -> None:
        super().__init__()
        first, second = (convolution(config.width, config.width) for _ in range(2))
        norm, other = normalisation(config, config.width), normalisation(config, config.width)
        relu = nn.ReLU()
        self.body = (
            nn.Sequential(norm, relu, first, other, relu, second)
            if config.form == "matlab"
            else nn.Sequential(first, norm, relu, second, other, relu)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class DDN(Network[DDNConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up; from 3 up in the form "matlab".
    """

    def __init__(self, config: DDNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DDNConfig()
        self.first = nn.Sequential(
            convolution(3, config.width), normalisation(config, config.width), nn.ReLU()
        )
        self.blocks = nn.Sequential(*(ResidualBlock(config) for _ in range(config.blocks)))
        self.last = nn.Sequential(convolution(config.width, 3), normalisation(config, 3))

    @property
    def minimum_size(self) -> int:
        """The fast guided filter needs a third row and column."""
        return 3 if self.config.form == "matlab" else 1

    @property
    def receptive_radius(self) -> int | None:
        """Of stored statistics, the guided filter and all convolutions; else the whole image.

        The filter of "matlab" interpolates between pixels whose distance follows the image's size.
        """
        if self.config.form != "running":
            return None
        return 2 * RADIUS + 2 * self.config.blocks + 2

    def forward(self, image: Tensor) -> Tensor:
        fast = self.config.form == "matlab"
        base = fast_guided_filter(image) if fast else guided_filter(image)
        return image + self.negative_rain(image - base)

    def negative_rain(self, detail: Tensor) -> Tensor:
        """What is to be added to the image, from its detail layer: (N, 3, H, W) both."""
        top = 255 if self.config.form == "matlab" else 1
        return self.last(self.blocks(self.first(top * detail))) / top


def convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3x3, initialised as the authors do."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def normalisation(config: DDNConfig, width: int) -> nn.BatchNorm2d:
    """Batch normalisation as the form has it; TensorFlow's constants in the authors' later code."""
    if config.form == "image":
        return ImageNorm2d(width)
    return nn.BatchNorm2d(width, eps=1e-3 if config.form == "running" else 1e-5, momentum=0.01)


def guided_filter(image: Tensor) -> Tensor:
    """The base layer: each channel filtered with itself as guide (He et al., 2013)."""
    slope, offset = linear_model(image, RADIUS)
    return slope * image + offset


def fast_guided_filter(image: Tensor) -> Tensor:
    """``guided_filter`` with a model of every fourth pixel: (N, 3, H, W), H and W from 3 up."""
    few = image[..., SUBSAMPLING // 2 :: SUBSAMPLING, SUBSAMPLING // 2 :: SUBSAMPLING]
    slope, offset = (
        F.interpolate(x, image.shape[-2:], mode="bilinear") for x in linear_model(few, FAST_RADIUS)
    )
    return slope * image + offset


def linear_model(image: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Slope and offset around each pixel, so that slope * image + offset is the base layer."""
    mean = box_mean(image, radius)
    variance = box_mean(image * image, radius) - mean * mean
    slope = variance / (variance + SMOOTHNESS)
    return box_mean(slope, radius), box_mean(mean - slope * mean, radius)


def box_mean(x: Tensor, radius: int) -> Tensor:
    """The mean over a square of 2 * radius + 1 pixels, as far as it lies in the image."""
    size = 2 * radius + 1
    x = F.avg_pool2d(x, (size, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(x, (1, size), 1, (0, radius), count_include_pad=False)
