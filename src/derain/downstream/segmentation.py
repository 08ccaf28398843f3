"""How well pixels are classified: one confusion matrix per image, summed over images."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.downstream.annotations import Masks
from derain.downstream.bootstrap import Weights
from derain.downstream.types import AnnotatedImage

Array = NDArray[np.float64]


def check_classes(
    found: Any,
    image: AnnotatedImage,
    truth: NDArray[np.uint8],
    ignore: int,
    classes: int,
    name: str,
) -> NDArray[np.int64]:
    """Refuse what is no classification of an image's pixels; bring it to the mask's size.

    Args:
        found: What the segmenter returned: (h, w) whole numbers.
        image: The image.
        truth: Its mask (H, W).
        ignore: The value of mask pixels that do not count.
        classes: How many classes the segmenter has.
        name: What messages call the segmenter.

    Returns:
        (H, W), resized to the nearest value.

    Raises:
        ValueError: Wrong shape, type or class, or a mask with classes that the segmenter lacks;
            names segmenter and image.
    """
    where = f"{name}: {image.name}"
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind not in "iu":
        raise ValueError(f"{where}: not an array (H, W) of class numbers")
    lowest, most = int(found.min()), int(found.max())
    if lowest < 0 or most >= classes:
        wrong = lowest if lowest < 0 else most
        raise ValueError(f"{where}: class {wrong} is not one of its {classes}")
    highest = max((int(v) for v in np.unique(truth) if v != ignore), default=0)
    if highest >= classes:
        raise ValueError(
            f"{where}: its mask has class {highest}, {name} has {classes}; if {highest} marks "
            f"pixels that do not count, say so with the ignore label"
        )
    if found.shape != truth.shape:
        size = truth.shape[1], truth.shape[0]
        resized = cv2.resize(found.astype(np.int32), size, interpolation=cv2.INTER_NEAREST)
        return np.asarray(resized, np.int64)
    return found.astype(np.int64)


def confusion(
    truth: NDArray[np.uint8], found: NDArray[np.int64], ignore: int, classes: int
) -> NDArray[np.int64]:
    """(classes, classes): pixels of class i that were taken for j; ignored ones are left out."""
    counts = truth != ignore
    pairs = truth[counts].astype(np.int64) * classes + found[counts]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class SegmentationResult:
    """The classes of all pixels against the masks.

    Args:
        masks: The annotations.
        matrices: The confusion of each image, in the order of ``masks.images``.
    """

    metrics = ("miou", "mpa", "pa")

    def __init__(self, masks: Masks, matrices: Sequence[NDArray[np.int64]]) -> None:
        self.masks = masks
        self.matrices = np.array(matrices)

    @property
    def counts(self) -> dict[str, list[float]]:
        """What was counted, by image: pixels, and those whose class is right."""
        right = np.trace(self.matrices, axis1=1, axis2=2)
        return {"right": right.tolist(), "pixels": self.matrices.sum((1, 2)).tolist()}

    @property
    def by_class(self) -> dict[int, float]:
        """IoU in percent of each class that the masks have."""
        whole = self.matrices.sum(0)
        union = whole.sum(0) + whole.sum(1) - np.diag(whole)
        return {int(k): 100 * float(whole[k, k] / union[k]) for k in np.flatnonzero(whole.sum(1))}

    def measure(self, weights: Weights) -> dict[str, Array]:
        """Every metric in percent: (draws, images) weights -> (draws,) values."""
        matrices = np.tensordot(weights, self.matrices.astype(float), axes=1)
        right = np.diagonal(matrices, axis1=1, axis2=2)
        truths, found = matrices.sum(2), matrices.sum(1)
        there = truths > 0  # classes that do not occur have no IoU
        union = np.where(there, truths + found - right, 1)
        classes = there.sum(1)
        return {
            "miou": 100 * np.where(there, right / union, 0).sum(1) / classes,
            "mpa": 100 * np.where(there, right / np.where(there, truths, 1), 0).sum(1) / classes,
            "pa": 100 * right.sum(1) / truths.sum(1),
        }

    def gains(self, before: "SegmentationResult") -> Array:
        """The change of the pixel accuracy in percent, by image."""
        return _accuracy(self.matrices) - _accuracy(before.matrices)


def _accuracy(matrices: NDArray[np.int64]) -> Array:
    pixels = np.maximum(matrices.sum((1, 2)), 1)
    return 100 * np.trace(matrices, axis1=1, axis2=2) / pixels
