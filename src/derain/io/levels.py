"""The one way from values to the levels that a file stores, and from 16 bits to 8."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def quantise(values: ArrayLike, top: int = 255) -> NDArray[Any]:
    """Values of any shape -> levels 0..``top``: clipped to [0, 1], scaled, halves rounded upwards.

    Args:
        values: A network's output, or anything else in [0, 1].
        top: 255 for uint8, 65535 for uint16.

    Returns:
        uint8, or uint16 where ``top`` needs it.
    """
    return (np.clip(values, 0, 1) * top + 0.5).astype(np.uint8 if top < 256 else np.uint16)


def to_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 or uint16 levels -> uint8, rounded to the nearest (65535 / 255 is 257 exactly)."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
