"""One channel from three: the `Y` of the deraining papers and MATLAB's `gray`.

Source: specs/metrics.md, section 1; ITU-R BT.601 as in MATLAB's `rgb2ycbcr` and `rgb2gray`.
The weights are kept as the whole numbers of an exact fraction. Sums of integer products are exact
in float64, so a value half-way between two grey levels is seen as such and rounds upwards
whatever the order of summation; with 6-digit weights one pixel of Rain100H 17 flips, and its NIQE
moves by 5e-4.
"""

import numpy as np
from numpy.typing import NDArray

from derain.metrics.inputs import AnyImage, Plane, as_rgb, round_half_up

# Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, range 16..235
_Y_WEIGHTS = np.array([65481.0, 128553.0, 24966.0])
_Y_DIVISOR = 255_000

# First row of inv([1 .956 .621; 1 -.272 -.647; 1 -1.106 1.703]), about (.2989, .5870, .1140)
_GRAY_WEIGHTS = np.array([589399.0, 1157447.0, 224810.0])
_GRAY_DIVISOR = 1_971_656

# Rows Y, I, Q as FSIM uses them (Zhang et al. 2011, eq. 12)
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def luma(image: AnyImage) -> Plane:
    """Y of an (H, W, 3) or (H, W) uint8 image, not rounded: (H, W) in 16..235."""
    return (16 * _Y_DIVISOR + as_rgb(image) @ _Y_WEIGHTS) / _Y_DIVISOR


def luma_uint8(image: AnyImage) -> NDArray[np.uint8]:
    """Y of a uint8 image, rounded half up once: (H, W) in 16..235."""
    return round_half_up(luma(image)).astype(np.uint8)


def gray_uint8(image: AnyImage) -> NDArray[np.uint8]:
    """MATLAB's `rgb2gray` of a uint8 image: (H, W) in 0..255, rounded half up once."""
    return round_half_up((as_rgb(image) @ _GRAY_WEIGHTS) / _GRAY_DIVISOR).astype(np.uint8)


def yiq(image: AnyImage) -> Plane:
    """Y, I and Q of a uint8 image, not rounded: (3, H, W), Y in 0..255."""
    return np.moveaxis(as_rgb(image) @ _YIQ.T, -1, 0)
