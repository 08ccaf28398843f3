"""What a metric accepts: 8-bit RGB arrays of one size.

Source: specs/metrics.md, section 1. The papers measure saved 8-bit files, so a network's output
is quantised first (`derain.metrics.quantise`); sizes are never made equal silently.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

AnyImage = NDArray[Any]  # (H, W, 3) or (H, W) uint8; the protocol `dcsfn` also takes floats
Plane = NDArray[np.float64]


def round_half_up(x: ArrayLike) -> Plane:
    """Round to the nearest integer, halves upwards, as MATLAB does for values >= 0.

    Not `numpy.round`, which rounds halves to even. Exact halves do occur: the weights of a bicubic
    x0.5 are multiples of 1/256.
    """
    return np.floor(np.asarray(x, dtype=np.float64) + 0.5)


def as_rgb(image: AnyImage) -> AnyImage:
    """Check a uint8 image and return it as (H, W, 3); grey becomes three equal channels.

    Raises:
        ValueError: Not uint8, or of another shape.
    """
    if image.dtype != np.uint8:
        raise ValueError(
            f"metrics take uint8 images, this one is {image.dtype}: "
            "derain.metrics.quantise converts values in [0, 1]"
        )
    return _three_channels(image)


def as_rgb_values(image: AnyImage, allow_floats: bool) -> Plane:
    """Return (H, W, 3) float64 in 0..255, from uint8 or, if allowed, from floats in [0, 1].

    Raises:
        ValueError: Of another type or shape.
    """
    if allow_floats and np.issubdtype(image.dtype, np.floating):
        return 255 * _three_channels(image).astype(np.float64)
    return as_rgb(image).astype(np.float64)


def check_same_size(image: AnyImage, reference: AnyImage) -> None:
    """Refuse to compare images of different sizes.

    Raises:
        ValueError: The sizes differ; the message names both.
    """
    if image.shape[:2] != reference.shape[:2]:
        sizes = (f"{one.shape[1]}x{one.shape[0]}" for one in (image, reference))
        raise ValueError("sizes differ: " + " and ".join(sizes))


def _three_channels(image: AnyImage) -> AnyImage:
    if image.ndim == 2:
        image = np.broadcast_to(image[..., None], (*image.shape, 3))
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"metrics take (H, W, 3) or (H, W) arrays, this one is {image.shape}")
    return image
