"""Rain from given layers: mirrored, turned, zoomed, dimmed, summed.

After RainMix of EfficientDeRain (Guo et al., AAAI 2021), which mixes transformed photographs of
streaks. Here the layers are our own or a user's; the ranges are those of the specification,
section 9.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.rain.arrays import Layer, Size
from derain.rain.ranges import Draw, Integers, LogUniform, Ranges, Uniform, constant

AUGMENT: Ranges = {
    "augment_probability": constant(0.0),  # of the samples; 0 leaves a preset as it was measured
    "mirror_probability": constant(0.5),
    "rotation": Uniform(-15, 15),
    "zoom": LogUniform(0.7, 1.4),
    "size_exponent": Uniform(0, 0),  # 1 zooms as much as the image is larger than 640 px
    "amplitude": LogUniform(0.5, 1.5),
    "layers": Integers(1, 3),
}


def mix_layers(layers: Sequence[NDArray[Any]], shape: Size, draw: Draw) -> Layer:
    """Sum of one to three of the given layers, each transformed anew.

    Args:
        layers: (h, w) each, uint8 or float in [0, 1], of any size; rain on black.
        shape: (H, W) of the result.
        draw: Has the ranges of `AUGMENT`.

    Returns:
        (H, W) float32, at least 0.
    """
    total = np.zeros(shape, np.float32)
    for _ in range(int(draw("layers"))):
        layer = layers[int(draw.rng.integers(len(layers)))]
        scale = np.float32(255 if layer.dtype == np.uint8 else 1)
        total += _transformed(layer.astype(np.float32) / scale, shape, draw("zoom"), draw)
    return total


def vary(render: Callable[[Size], Layer], shape: Size, scale: float, draw: Draw) -> Layer:
    """Transform a layer that is rendered for the purpose, large enough to leave no empty corner.

    Args:
        render: Makes a layer of a given (H, W).
        shape: (H, W) of the result.
        scale: Larger of height and width of the whole image / 640.
        draw: Has the ranges of `AUGMENT`.

    Returns:
        (H, W) float32, at least 0.
    """
    zoom = draw("zoom") * max(scale, 1) ** draw("size_exponent")
    reach = math.ceil(math.hypot(*shape) / zoom) + 2
    return _transformed(render((reach, reach)), shape, zoom, draw)


def _transformed(layer: Layer, shape: Size, zoom: float, draw: Draw) -> Layer:
    """Turn and zoom a layer about its middle, cut out `shape`, perhaps mirror, scale its light."""
    height, width = shape
    matrix = cv2.getRotationMatrix2D(
        (layer.shape[1] / 2 - 0.5, layer.shape[0] / 2 - 0.5), draw("rotation"), zoom
    )
    matrix[:, 2] += (width - layer.shape[1]) / 2, (height - layer.shape[0]) / 2
    # A layer that is too small goes on periodically: mirroring it would bend the streaks.
    out = cv2.warpAffine(layer, matrix, (width, height), borderMode=cv2.BORDER_WRAP)
    if zoom > 1.5:
        out = cv2.GaussianBlur(out, (0, 0), 0.35 * zoom)  # hides the enlarged pixels
    if draw.chance("mirror_probability"):
        out = out[:, ::-1]
    return np.ascontiguousarray(out) * np.float32(draw("amplitude"))
