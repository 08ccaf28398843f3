"""SSIM: structural similarity (Wang et al., IEEE TIP 2004), as the deraining papers compute it.

Source: the paper's eq. 13 and section III.C; specs/metrics.md, section 3. NumPy alone. MATLAB's
built-in `ssim` (replicated border) and scikit-image's defaults (flat window) are other metrics.
"""

import numpy as np

from derain.metrics.filters import blur, box_downsample, downsampling_factor, gaussian, pad
from derain.metrics.inputs import AnyImage, Plane
from derain.metrics.protocols import get_protocol, plane_pair

_WINDOW = gaussian(11, sigma=1.5)
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def ssim_map(x: Plane, y: Plane) -> Plane:
    """Compare two planes window by window, where the 11x11 window fits entirely.

    Args:
        x: (..., H, W) in 0..255, H and W at least 11.
        y: The same shape.

    Returns:
        (..., H - 10, W - 10) in -1..1.
    """
    mean_x, mean_y = blur(x, _WINDOW), blur(y, _WINDOW)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = blur(x * y, _WINDOW) - product
    variances = blur(x**2 + y**2, _WINDOW) - squares  # only the sum of the two enters
    return ((2 * product + _C1) * (2 * covariance + _C2)) / ((squares + _C1) * (variances + _C2))


def ssim(image: AnyImage, reference: AnyImage, protocol: str = "y") -> float:
    """Measure how alike the structures of two images are; higher is better.

    Args:
        image: (H, W, 3) or (H, W) uint8. `dcsfn` also takes floats, near [0, 1], not clipped.
        reference: The same.
        protocol: `y`, `y_float`, `rgb` or `dcsfn`.

    Returns:
        The mean of the map, over all channels, at most 1 (equal images).

    Raises:
        ValueError: Unknown protocol, sizes that differ, arrays that are no 8-bit images, or an
            image smaller than the 11x11 window where the protocol has no border.
    """
    rules = get_protocol(protocol)
    x, y = plane_pair(image, reference, rules)
    if rules.downsample:
        factor = downsampling_factor(*x.shape[-2:])
        x, y = (box_downsample(plane, factor, "symmetric") for plane in (x, y))
    if rules.border == "zero":
        x, y = (pad(plane, 5, 5, "constant") for plane in (x, y))
    if min(x.shape[-2:]) < len(_WINDOW):
        height, width = x.shape[-2:]
        raise ValueError(f"SSIM needs at least 11x11 pixels, this image is {width}x{height}")
    # Channel by channel: a map and its temporaries then stay in the processor's cache
    return float(np.mean([ssim_map(a, b).mean() for a, b in zip(x, y, strict=True)]))
