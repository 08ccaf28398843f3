"""Small linear filters that several metrics share, each with its border rule spelled out.

Source: specs/metrics.md, sections 3 to 6. Plain NumPy sums of shifted slices: as fast as SciPy's
filters for kernels this short, and `derain` measures PSNR, SSIM and FSIM without SciPy.
"""

from typing import Literal

import numpy as np

from derain.metrics.inputs import Plane, round_half_up


def gaussian(size: int, sigma: float) -> Plane:
    """Sample a Gaussian at `size` (odd) points around its centre; the sum is 1."""
    x = np.arange(size) - size // 2
    kernel = np.exp(-(x**2) / (2 * sigma**2))
    return kernel / kernel.sum()


def correlate(x: Plane, kernel: Plane, axis: int, step: int = 1) -> Plane:
    """Correlate along one axis where the kernel fits entirely, at every `step`-th place.

    The axis shrinks from n to (n - k) // step + 1 for a kernel of k values.
    """
    x = np.moveaxis(x, axis, 0)
    stop = len(x) - len(kernel) + 1
    out = kernel[0] * x[:stop:step]
    term = np.empty_like(out)
    for i in range(1, len(kernel)):
        out += np.multiply(kernel[i], x[i : i + stop : step], out=term)
    return np.moveaxis(out, 0, axis)


def blur(x: Plane, kernel: Plane) -> Plane:
    """Correlate the last two axes with the same kernel, without a border: each loses k - 1."""
    return correlate(correlate(x, kernel, axis=-2), kernel, axis=-1)


def pad(x: Plane, before: int, after: int, mode: Literal["constant", "edge", "symmetric"]) -> Plane:
    """Pad the last two axes alike: with zeros, the edge value, or mirrored with the edge twice."""
    return np.pad(x, [(0, 0)] * (x.ndim - 2) + [(before, after)] * 2, mode)


def downsampling_factor(height: int, width: int) -> int:
    """Return the factor, at least 1, that brings the smaller of height and width nearest to 256.

    Wang's SSIM and Zhang's FSIM look at images from a distance where they are about that size.
    """
    return max(1, int(round_half_up(min(height, width) / 256)))


def box_downsample(x: Plane, factor: int, mode: Literal["constant", "symmetric"]) -> Plane:
    """Average boxes of factor x factor around every factor-th pixel, from the first one.

    MATLAB's alignment: an even box reaches one pixel further right and down. SciPy's `same` lies
    one pixel off.

    Args:
        x: (..., H, W).
        factor: 1 returns `x`.
        mode: What lies beyond the border: zeros, or the mirrored image.

    Returns:
        (..., ceil(H / factor), ceil(W / factor)).
    """
    if factor == 1:
        return x
    before = (factor - 1) // 2
    box = np.full(factor, 1 / factor)
    padded = pad(x, before, factor - 1 - before, mode)
    return correlate(correlate(padded, box, axis=-2, step=factor), box, axis=-1, step=factor)
