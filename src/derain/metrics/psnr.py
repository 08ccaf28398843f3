"""PSNR: peak signal-to-noise ratio in dB, 10 log10(255^2 / MSE). NumPy alone.

Source: specs/metrics.md, section 3. One mean squared error over all values of all channels of one
image; a set's figure is the mean of the dB values, never the PSNR of a pooled error.
"""

import numpy as np

from derain.metrics.inputs import AnyImage
from derain.metrics.protocols import get_protocol, plane_pair


def psnr(image: AnyImage, reference: AnyImage, protocol: str = "y") -> float:
    """Measure how far an image is from its reference; higher is better.

    Args:
        image: (H, W, 3) or (H, W) uint8. `dcsfn` also takes floats in [0, 1], which it clips.
        reference: The same.
        protocol: `y`, `y_float`, `rgb` or `dcsfn`.

    Returns:
        dB; infinite for equal images, except that `dcsfn` gives 100.

    Raises:
        ValueError: Unknown protocol, sizes that differ, or arrays that are no 8-bit images.
    """
    rules = get_protocol(protocol)
    x, y = plane_pair(image, reference, rules)
    error = np.mean(np.square(np.clip(x, 0, 255) - np.clip(y, 0, 255)))
    return float(10 * np.log10(255**2 / error)) if error else rules.equal_psnr
