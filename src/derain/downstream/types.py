"""What detectors and segmenters are to an evaluation: any callable of these shapes.

A wrapper of one's own model is five lines; thresholds belong to the evaluation, so a detector
returns all that it finds above a low score (0.05 or less).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from derain.io.decode import Image8


@dataclass(frozen=True)
class Detections:
    """What a detector finds in one image of n objects."""

    boxes: NDArray[np.float32]  # (n, 4): left, top, right, bottom in pixels of the image
    scores: NDArray[np.float32]  # (n,) in [0, 1]
    labels: NDArray[np.int64]  # (n,): category ids of the annotations


@runtime_checkable
class Detector(Protocol):
    """Finds objects."""

    name: str

    def __call__(self, images: Sequence[Image8]) -> list[Detections]:
        """(H, W, 3) RGB uint8 images of any sizes -> what is in each."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Gives every pixel a class."""

    name: str
    num_classes: int  # classes are 0 .. num_classes - 1

    def __call__(self, images: Sequence[Image8]) -> list[NDArray[np.int64]]:
        """(H, W, 3) RGB uint8 images -> (h, w) classes of each, resized to the mask's size."""
        ...


@dataclass(frozen=True)
class AnnotatedImage:
    """An image that annotations speak of."""

    name: str  # its path below the folder of images, without suffix, "/" between folders
    height: int
    width: int
