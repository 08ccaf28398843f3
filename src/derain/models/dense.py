"""The dense layers and transitions that UMRL and DID-MDN are made of."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate
from derain.models.norms import ImageNorm2d, Statistics

Scale = Literal["down", "up", "same"]


class DenseLayer(nn.Module):
    """The input and ``growth`` channels more: (N, C, H, W) -> (N, C + growth, H, W)."""

    def __init__(self, inputs: int, growth: int, kernel: int, statistics: Statistics) -> None:
        super().__init__()
        self.grow = nn.Sequential(
            normalisation(inputs, statistics),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            normalisation(4 * growth, statistics),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, kernel, padding=kernel // 2, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return concatenate(x, self.grow(x))


class Transition(nn.Module):
    """Other channels at half the resolution, twice of it, or the same.

    Halves by means of 2x2 pixels and doubles by repeating them.
    """

    def __init__(self, inputs: int, outputs: int, scale: Scale, statistics: Statistics) -> None:
        super().__init__()
        self.change = nn.Sequential(
            normalisation(inputs, statistics),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.change(x)
        if self.scale == "same":
            return x
        return F.avg_pool2d(x, 2) if self.scale == "down" else double(x)


def double(x: Tensor) -> Tensor:
    """Repeat every pixel 2x2: (N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def normalisation(width: int, statistics: Statistics) -> nn.BatchNorm2d:
    """By the image's own statistics or the stored ones; both keep them, as the checkpoints do."""
    if statistics == "image":
        return ImageNorm2d(width, track_running_stats=True)
    return nn.BatchNorm2d(width)
