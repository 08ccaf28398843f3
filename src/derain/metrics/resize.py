"""Halve an image as MATLAB's `imresize(x, 0.5)` does: bicubic with antialiasing.

Source: Keys 1981 (cubic convolution, a = -1/2), stretched by 2 so that it averages what it drops;
specs/metrics.md, sections 5 and 6. OpenCV, and any bicubic without antialiasing, give other
images and with them another NIQE and SSEQ.
"""

import numpy as np

from derain.metrics.filters import correlate
from derain.metrics.inputs import Plane, round_half_up

# The stretched cubic at -3.5, -2.5, ... 3.5 pixels from the new pixel's centre
_WEIGHTS = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256


def _halve_axis(x: Plane, axis: int) -> Plane:
    # An even and an odd length both need this much: output i reads inputs 2i - 3 to 2i + 4
    widths = [(0, 0)] * x.ndim
    widths[axis] = (3, 4)
    return correlate(np.pad(x, widths, "symmetric"), _WEIGHTS, axis, step=2)


def halve(x: Plane) -> Plane:
    """Halve (H, W) values of any range to (ceil(H / 2), ceil(W / 2)); the border is mirrored."""
    return _halve_axis(_halve_axis(x, 0), 1)


def halve_uint8(x: Plane) -> Plane:
    """Halve (H, W) values in 0..255 as MATLAB halves uint8: rows first, rounded after each axis.

    Rounding once at the end instead moves SSEQ scores by up to 0.8.
    """
    for axis in (0, 1):
        x = np.clip(round_half_up(_halve_axis(x, axis)), 0, 255)
    return x
