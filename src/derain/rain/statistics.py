"""Statistics of a rain layer, as measured on Rain100H (specification, sections 2.2 and 10).

They tell whether synthetic rain is like the rain of a benchmark: how much there is, how its
directions spread, how long and how wide its streaks are. The layer is recovered from an 8-bit
pair, so that real and synthetic pairs are measured by one method.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.rain.arrays import Layer, Mask

ANGLE_BINS = 72  # of 2.5 degrees, over 180


def recover_rain(rainy: NDArray[np.uint8], clean: NDArray[np.uint8]) -> tuple[Layer, Mask]:
    """Undo O = min(1, B + R): R and where it is known.

    Args:
        rainy: (H, W, 3) uint8.
        clean: (H, W, 3) uint8.

    Returns:
        R (H, W) in levels 0 to 255, and a mask that is False where all three channels of `rainy`
        are saturated, so that R is only a lower bound.
    """
    difference = rainy.astype(np.float32) - clean
    return difference.max(axis=2), ~(rainy == 255).all(axis=2)


def layer_statistics(rain: Layer, known: Mask) -> dict[str, float]:
    """All statistics of one layer that are a number.

    Args:
        rain: (H, W), levels 0 to 255.
        known: (H, W), False where the layer is censored.

    Returns:
        Name -> number. Lengths in px, angles in degrees, levels 0 to 255, fractions 0 to 1.
    """
    values = rain[known]
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    histogram, coherence = orientation(rain, known)
    angle = dominant_angle(histogram)
    across, along, along_quarter = correlation_lengths(rain, known, angle)
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "median": float(p50),
        "p95": float(p95),
        "p99": float(p99),
        "fraction above 10": float((values > 10).mean()),
        "fraction 0": float((values <= 0).mean()),
        "fraction censored": float(1 - known.mean()),
        "coherence": coherence,
        "angle": angle,
        "angle spread": angle_spread(histogram),
        "correlation across": across,
        "correlation along": along,
        "correlation along, quarter": along_quarter,
        **run_lengths(rain, known, angle),
    }


def orientation(rain: Layer, known: Mask) -> tuple[NDArray[np.float64], float]:
    """Directions of the streaks by the structure tensor.

    Args:
        rain: (H, W).
        known: (H, W); what is within 3 px of an unknown pixel is left out.

    Returns:
        Histogram (72,) of the directions over 0 to 180 degrees, weighted by anisotropy times
        coherence, with sum 1; and the mean coherence.
    """
    smooth = cv2.GaussianBlur(rain, (0, 0), 0.8)
    gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(p, (0, 0), 1.5) for p in (gx * gx, gy * gy, gx * gy))
    anisotropy = np.hypot(xx - yy, 2 * xy)
    coherence = anisotropy / np.maximum(xx + yy, 1e-6)
    near_unknown = cv2.dilate((~known).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    weight = np.where(near_unknown, 0, anisotropy)
    # The gradient lies across the streak, and image rows count downwards.
    gradient = 0.5 * np.degrees(np.arctan2(2 * xy, xx - yy))
    angle = (90 - gradient) % 180
    histogram, _ = np.histogram(angle, ANGLE_BINS, (0, 180), weights=weight * coherence)
    return histogram / max(histogram.sum(), 1e-6), float(coherence[~near_unknown].mean())


def dominant_angle(histogram: NDArray[np.float64]) -> float:
    """Mode of an orientation histogram, degrees, after smoothing by 1.5 bins."""
    offset = np.arange(-6, 7)
    kernel = np.exp(-0.5 * (offset / 1.5) ** 2)
    smooth = sum(w * np.roll(histogram, k) for w, k in zip(kernel, offset, strict=True))
    return float((np.argmax(smooth) + 0.5) * 180 / len(histogram))


def angle_spread(histogram: NDArray[np.float64]) -> float:
    """Circular standard deviation of directions (period 180), degrees."""
    centres = np.radians((np.arange(len(histogram)) + 0.5) * 180 / len(histogram))
    resultant = abs(np.sum(histogram * np.exp(2j * centres)))
    return float(np.degrees(np.sqrt(-2 * np.log(max(resultant, 1e-12))) / 2))


def correlation_lengths(rain: Layer, known: Mask, angle: float) -> tuple[float, float, float]:
    """Lags at which the autocorrelation falls: across to 0.5, along to 0.5, along to 0.25 (px)."""
    correlation = _autocorrelation(rain, known)
    along = _profile(correlation, angle)
    across = _profile(correlation, angle + 90)
    return _first_below(across, 0.5), _first_below(along, 0.5), _first_below(along, 0.25)


def run_lengths(rain: Layer, known: Mask, angle: float) -> dict[str, float]:
    """Sizes of the runs above mean + sd / 2, along and across the direction `angle`.

    A run ends at a pixel that is not known.
    """
    values = rain[known]
    bright = np.where(known, rain, 0)
    height, width = rain.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 90 - angle, 1.0)
    bright = cv2.warpAffine(bright, turn, (width, height)) > values.mean() + 0.5 * values.std()
    along, across = _runs(bright.T), _runs(bright)
    if not len(along):
        return {"run length": 0.0, "run width": 0.0, "run width p90": 0.0}
    return {
        "run length": float((along**2).sum() / along.sum()),  # weighted by length
        "run width": float(np.median(across)),
        "run width p90": float(np.percentile(across, 90)),
    }


def _autocorrelation(rain: Layer, known: Mask) -> NDArray[Any]:
    """Autocorrelation of the known pixels, zero lag in the middle, 1 there."""
    height, width = rain.shape
    size = (2 * height, 2 * width)
    centred = np.where(known, rain - rain[known].mean(), 0)

    def power(x: NDArray[Any]) -> NDArray[Any]:
        return np.fft.irfft2(np.abs(np.fft.rfft2(x, size)) ** 2, size)

    correlation = power(centred) / np.maximum(power(known.astype(float)), 1)
    return np.fft.fftshift(correlation / max(correlation[0, 0], 1e-9))


def _profile(correlation: NDArray[Any], angle: float, step: float = 0.25) -> NDArray[Any]:
    """Values of the autocorrelation from the middle outwards in one direction."""
    middle_y, middle_x = (n // 2 for n in correlation.shape)
    t = np.arange(0, min(middle_x, middle_y) / 2, step)
    x = (middle_x + t * np.cos(np.radians(angle))).astype(np.float32)
    y = (middle_y - t * np.sin(np.radians(angle))).astype(np.float32)
    return cv2.remap(correlation.astype(np.float32), x, y, cv2.INTER_LINEAR).ravel()


def _first_below(profile: NDArray[Any], level: float, step: float = 0.25) -> float:
    """First lag, px, at which a profile is below `level`; its end if it never is."""
    below = np.flatnonzero(profile < level)
    return float((below[0] if len(below) else len(profile)) * step)


def _runs(bright: Mask) -> NDArray[np.int64]:
    """Lengths of all horizontal runs of True."""
    padded = np.pad(bright, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    return np.nonzero(change == -1)[1] - np.nonzero(change == 1)[1]
