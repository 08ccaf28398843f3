"""Noise engine: rain as it is made in Photoshop (specification, section 5).

Noise, threshold, motion blur, levels: the steps of the recipe by which Rain800, Rain1200 and part
of Rain1400 were made.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from derain.rain.arrays import Layer


@dataclass(frozen=True)
class NoiseLayer:
    """Settings of one layer of noise rain."""

    amount: float  # fraction of the noise that passes the threshold
    grain: float  # px, size of a noise cell
    angle: float  # degrees, counter-clockwise from +x with y up; 90 is vertical
    length: float  # px, of the motion blur
    black: float  # quantile that becomes 0
    white: float  # quantile that becomes 1
    gamma: float = 1.0  # exponent after the levels
    soft: float = 0.0  # px, sd of a Gaussian blur


def line_kernel(length: float, angle: float) -> Layer:
    """Motion-blur kernel: an antialiased line through the centre, with sum 1.

    End points are sub-pixel: whole ones would draw short lines only at multiples of 45 degrees.

    Args:
        length: Pixels.
        angle: Degrees, counter-clockwise from +x with y up.

    Returns:
        (2r+1, 2r+1) float32, r = half the length rounded up, plus 1.
    """
    radius = math.ceil(length / 2) + 1
    size = 2 * radius + 1
    t = np.linspace(-length / 2, length / 2, 8 * math.ceil(length) + 1)
    x = radius + t * math.cos(math.radians(angle))
    y = radius - t * math.sin(math.radians(angle))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    kernel = np.zeros((size, size))
    for i in (0, 1):
        for j in (0, 1):
            weight = np.abs(1 - j - (x - column)) * np.abs(1 - i - (y - row))
            np.add.at(kernel, (row + i, column + j), weight)
    return (kernel / kernel.sum()).astype(np.float32)


def levels(layer: Layer, black: float, white: float, gamma: float) -> Layer:
    """Stretch the quantiles `black` and `white` to 0 and 1, clip, raise to `gamma`."""
    low, high = np.quantile(layer, [black, white])
    stretched = np.clip((layer - low) / max(high - low, 1e-6), 0, 1)
    return np.power(stretched, np.float32(gamma), dtype=np.float32)


def render(noise: NoiseLayer, shape: tuple[int, int], rng: np.random.Generator) -> Layer:
    """Draw one layer of noise rain.

    Args:
        noise: Settings.
        shape: (H, W) of the layer.
        rng: Source of the noise.

    Returns:
        (H, W) float32 in [0, 1], not yet scaled to a wanted brightness.
    """
    pad = math.ceil(noise.length / 2 + 3 * noise.soft) + 2
    height, width = shape[0] + 2 * pad, shape[1] + 2 * pad
    coarse = (math.ceil(height / noise.grain) + 1, math.ceil(width / noise.grain) + 1)
    grid = rng.standard_normal(coarse, dtype=np.float32)
    grid = cv2.resize(grid, None, fx=noise.grain, fy=noise.grain)[:height, :width]
    threshold = np.quantile(grid, 1 - noise.amount)
    drops = np.clip((grid - threshold) / (0.6 * float(grid.std())), 0, 1)
    rain = cv2.filter2D(drops, -1, line_kernel(noise.length, noise.angle))
    if noise.soft > 0:
        rain = cv2.GaussianBlur(rain, (0, 0), noise.soft)
    rain = levels(rain, noise.black, noise.white, noise.gamma)
    return np.ascontiguousarray(rain[pad : pad + shape[0], pad : pad + shape[1]])


def with_mean(layer: Layer, mean: float) -> Layer:
    """Scale a layer to a mean; an empty layer stays empty."""
    return layer * np.float32(mean / max(float(layer.mean()), 1e-6))


def with_quantile(layer: Layer, quantile: float, value: float) -> Layer:
    """Scale a layer so that its `quantile` becomes `value`; an empty layer stays empty."""
    return layer * np.float32(value / max(float(np.quantile(layer, quantile)), 1e-6))
