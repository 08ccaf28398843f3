"""Intervals of confidence: images are drawn again with replacement, the same for every version."""

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]  # (draws, images): how often each image counts


def draw_weights(images: int, draws: int, seed: int = 0) -> Weights:
    """Draw sets of images with replacement: (draws, images), each row sums to ``images``."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), size=draws).astype(np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the draws where a value is defined; NaN where it never is."""
    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def recovered(
    value: NDArray[np.float64], rain: NDArray[np.float64], clean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The fraction of what rain costs that comes back; NaN where rain costs nothing."""
    cost = clean - rain
    return np.divide(value - rain, cost, out=np.full_like(cost, np.nan), where=cost != 0)
