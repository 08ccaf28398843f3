"""What a metric accepts: 8-bit RGB arrays of one size.

Source: specs/metrics.md, section 1. The papers measure saved 8-bit files, so a network's output
is quantised first (`quantise`); sizes are never made equal silently.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Picture = NDArray[Any]  # (H, W, 3) or (H, W) uint8; the protocol `dcsfn` also takes floats
Plane = NDArray[np.float64]


def round_half_up(x: ArrayLike) -> Plane:
    """Round to the nearest integer, halves upwards, as MATLAB does for values >= 0.

    Not `numpy.round`, which rounds halves to even. Exact halves do occur: the weights of a bicubic
    x0.5 are multiples of 1/256.
    """
    return np.floor(np.asarray(x, dtype=np.float64) + 0.5)


def quantise(output: ArrayLike) -> NDArray[np.uint8]:
    """Turn a network's output, any shape in [0, 1], into the uint8 values that would be saved."""
    return round_half_up(255 * np.clip(output, 0, 1)).astype(np.uint8)


def as_rgb(picture: Picture) -> Picture:
    """Check a uint8 picture and return it as (H, W, 3); grey becomes three equal channels.

    Raises:
        ValueError: not uint8, or of another shape.
    """
    if picture.dtype != np.uint8:
        raise ValueError(
            f"metrics take uint8 pictures, this one is {picture.dtype}: "
            "derain.metrics.quantise converts values in [0, 1]"
        )
    return _three_channels(picture)


def as_rgb_values(picture: Picture, allow_floats: bool) -> Plane:
    """Return (H, W, 3) float64 in 0..255, from uint8 or, if allowed, from floats in [0, 1].

    Raises:
        ValueError: of another type or shape.
    """
    if allow_floats and np.issubdtype(picture.dtype, np.floating):
        return 255 * _three_channels(picture).astype(np.float64)
    return as_rgb(picture).astype(np.float64)


def check_same_size(picture: Picture, reference: Picture) -> None:
    """Refuse to compare pictures of different sizes.

    Raises:
        ValueError: the sizes differ; the message names both.
    """
    if picture.shape[:2] != reference.shape[:2]:
        sizes = (f"{image.shape[1]}x{image.shape[0]}" for image in (picture, reference))
        raise ValueError("sizes differ: " + " and ".join(sizes))


def _three_channels(picture: Picture) -> Picture:
    if picture.ndim == 2:
        picture = np.broadcast_to(picture[..., None], (*picture.shape, 3))
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise ValueError(f"metrics take (H, W, 3) or (H, W) arrays, this one is {picture.shape}")
    return picture
