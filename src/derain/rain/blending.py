"""Blend modes: how a rain layer joins the image (specification, section 6).

Measured on real pairs: Rain100H adds grey light and clips, Rain1400 screens as Photoshop does.
Images are gamma-encoded sRGB, as in the benchmarks. B (H, W, 3) and R (H, W) -> (H, W, 3).
"""

import numpy as np

from derain.rain.arrays import ImageF, Layer


def add(background: ImageF, rain: Layer) -> ImageF:
    """O = min(1, B + R): Rain100L/H, Rain200L/H."""
    return np.minimum(background + rain[..., None], 1)


def screen(background: ImageF, rain: Layer, offset: float = 0.0) -> ImageF:
    """O = (1 - (1 - B)(1 - R))(1 - o) + o: the Photoshop sets; o washes the contrast out."""
    return 1 - (1 - background) * ((1 - rain) * np.float32(1 - offset))[..., None]


def over(background: ImageF, rain: Layer, colour: ImageF) -> ImageF:
    """O = B(1 - R) + E R: rain of the colour E, as seen in photographs."""
    return background + (colour - background) * rain[..., None]


def screen_layers(first: Layer, second: Layer) -> Layer:
    """1 - (1 - R1)(1 - R2): two layers as one."""
    return 1 - (1 - first) * (1 - second)
