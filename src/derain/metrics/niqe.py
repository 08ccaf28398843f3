"""NIQE: natural image quality evaluator, without a reference (Mittal et al., IEEE SPL 2013).

Source: the paper, sections II.A to II.D; specs/metrics.md, section 5. Differs from the authors'
release in one rule: normalised values below 1e-9 are set to 0. In flat areas they are rounding
noise, by which the release depends on the order of its sums. MATLAB's built-in `niqe` uses another
model and gives other numbers.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from derain.metrics import parameters
from derain.metrics.colour import gray_uint8
from derain.metrics.filters import blur, gaussian, pad
from derain.metrics.inputs import AnyImage, Plane
from derain.metrics.resize import halve

_BLOCK = 96  # pixels, at the first scale
_WINDOW = gaussian(7, sigma=7 / 6)
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # neighbours: right, below, and the two diagonals
_FLAT = 1e-9

_gamma = np.vectorize(math.gamma, otypes=[np.float64])
_SHAPES = np.arange(200, 10001) / 1000


@dataclass(frozen=True)
class NIQEModel:
    """Statistics of 125 undistorted photographs: mean (36,) and covariance (36, 36)."""

    mean: Plane
    covariance: Plane


def load_model(source: Path | None = None) -> NIQEModel:
    """Load the authors' model from a file or folder, or from where `find_parameters` looks.

    Raises:
        ParametersError: The file is absent, damaged or unreadable.
    """
    return _read_model(parameters.find_parameters("niqe", source))


@cache
def _read_model(path: Path) -> NIQEModel:
    variables = parameters.load_parameters("niqe", path)
    return NIQEModel(variables["mu_prisparam"], variables["cov_prisparam"])


@cache
def _shape_ratios() -> Plane:
    # E|x|^2 / E[x^2] of a generalised Gaussian for every shape; it grows with the shape
    return _gamma(2 / _SHAPES) ** 2 / (_gamma(1 / _SHAPES) * _gamma(3 / _SHAPES))


def mscn(plane: Plane) -> Plane:
    """Subtract the local mean and divide by the local contrast (paper, eq. 1); edges repeat.

    Args:
        plane: (H, W) in 0..255.

    Returns:
        (H, W), exactly 0 in flat areas.
    """
    padded = pad(plane, 3, 3, "edge")
    mean = blur(padded, _WINDOW)
    deviation = np.sqrt(np.abs(blur(padded**2, _WINDOW) - mean**2))
    normalised = (plane - mean) / (deviation + 1)
    return np.where(np.abs(normalised) < _FLAT, 0, normalised)


class AGGD(NamedTuple):
    """Asymmetric generalised Gaussians fitted to n sets of values; each (n,)."""

    shape: Plane
    left: Plane  # scale below zero
    right: Plane  # scale above zero

    def mean(self) -> Plane:
        """Return the means of the distributions (paper, eq. 8)."""
        return (self.right - self.left) * _gamma(2 / self.shape) / _gamma(1 / self.shape)


def fit_aggd(values: Plane) -> AGGD:
    """Fit by moments (paper, eq. 4; Lasmar et al. 2009) to each row of (n, values).

    A row without negative or without positive values has scales of NaN and the smallest shape.
    """
    squares = values**2
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN announced above
        left, right = (
            np.sqrt((squares * side).sum(1) / side.sum(1)) for side in (values < 0, values > 0)
        )
        skew = left / right
        ratio = np.abs(values).mean(1) ** 2 / squares.mean(1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    table = _shape_ratios()
    upper = np.clip(np.searchsorted(table, ratio), 1, len(table) - 1)
    nearest = upper - (ratio - table[upper - 1] <= table[upper] - ratio)
    shape = _SHAPES[np.where(np.isnan(ratio), 0, nearest)]
    scale = np.sqrt(_gamma(1 / shape) / _gamma(3 / shape))
    return AGGD(shape, left * scale, right * scale)


def block_features(normalised: Plane, size: int) -> Plane:
    """Describe every block of an image by its values and the products of its neighbours.

    Args:
        normalised: (H, W) of `mscn`, multiples of `size`.
        size: Height and width of a block in pixels.

    Returns:
        (blocks, 18) in the order of the paper's table I.
    """
    rows, columns = normalised.shape[0] // size, normalised.shape[1] // size
    blocks = normalised.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)
    fit = fit_aggd(blocks.reshape(len(blocks), -1))
    features = [fit.shape, (fit.left + fit.right) / 2]
    for shift in _SHIFTS:
        products = blocks * np.roll(blocks, shift, axis=(1, 2))  # around the block's own edges
        fit = fit_aggd(products.reshape(len(blocks), -1))
        features += [fit.shape, fit.mean(), fit.left, fit.right]
    return np.stack(features, axis=1)


def niqe(image: AnyImage, model: NIQEModel | None = None) -> float:
    """Measure how far an image's statistics are from those of good photographs; lower is better.

    Args:
        image: (H, W, 3) or (H, W) uint8; measured on its `gray`, cut to multiples of 96 pixels.
        model: The authors' parameters; None is `load_model()`.

    Returns:
        0 and above; photographs about 2 to 6.

    Raises:
        ParametersError: No model given and none found.
        ValueError: Fewer than two blocks of 96x96 pixels, in the image or outside flat areas, or
            no 8-bit image.
    """
    gray = gray_uint8(image).astype(np.float64)
    rows, columns = (length // _BLOCK for length in gray.shape)
    if rows * columns < 2:
        height, width = gray.shape
        raise ValueError(f"NIQE needs at least 192x96 pixels, this image is {width}x{height}")
    model = model or load_model()
    gray = gray[: rows * _BLOCK, : columns * _BLOCK]
    features = np.hstack(
        [block_features(mscn(gray), _BLOCK), block_features(mscn(halve(gray)), _BLOCK // 2)]
    )
    complete = features[~np.isnan(features).any(axis=1)]
    if len(complete) < 2:
        raise ValueError("NIQE needs at least two blocks of 96x96 pixels that are not flat")
    difference = model.mean - np.nanmean(features, axis=0)
    covariance = (model.covariance + np.cov(complete, rowvar=False)) / 2
    return float(np.sqrt(difference @ np.linalg.pinv(covariance) @ difference))
