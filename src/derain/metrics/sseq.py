"""SSEQ: spatial-spectral entropy-based quality, without a reference (Liu et al., SPIC 2014).

Source: the paper, sections 2 and 3; specs/metrics.md, section 6. The regression is libsvm's, with
probabilities coupled after Wu, Lin and Weng (JMLR 2004, algorithm 2); no SVM library is needed.
"""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from derain.metrics import parameters
from derain.metrics.colour import gray_uint8
from derain.metrics.inputs import AnyImage, Plane
from derain.metrics.resize import halve_uint8

_SCALES = 3
_BLOCK = 8
_TINY = 1e-8  # stands for coefficients of zero, and for the mean of a block
_GAMMA = 1 / 12  # of the radial basis functions

_INDEX = np.arange(_BLOCK)
_DCT = np.sqrt(2 / _BLOCK) * np.cos(np.pi / _BLOCK * np.outer(_INDEX, _INDEX + 0.5))
_DCT[0] = np.sqrt(1 / _BLOCK)  # orthonormal DCT-II; a row is a frequency


def spatial_entropy(blocks: Plane) -> Plane:
    """Return the entropy in bits, 0..6, of the values in each of (n, 8, 8) blocks."""
    values = np.sort(blocks.reshape(len(blocks), -1), axis=1)
    count = values.shape[1]
    starts = np.ones(values.shape, dtype=bool)
    starts[:, 1:] = values[:, 1:] != values[:, :-1]  # equal values lie together in runs
    positions = np.flatnonzero(starts)
    fractions = np.diff(positions, append=values.size) / count
    bits = -fractions * np.log2(fractions)
    return np.add.reduceat(bits, np.flatnonzero(positions % count == 0))


def spectral_entropy(blocks: Plane) -> Plane:
    """Return the entropy in bits of the DCT energies, without the mean, of (n, 8, 8) blocks."""
    coefficients = _DCT @ blocks @ _DCT.T
    coefficients[:, 0, 0] = _TINY
    energy = (coefficients**2).reshape(len(blocks), -1)
    fraction = energy / energy.sum(axis=1, keepdims=True)
    fraction[fraction == 0] = _TINY
    return -(fraction * np.log2(fraction)).sum(axis=1)


def _summary(entropies: Plane) -> tuple[float, float]:
    # Mean of the middle 60 % and biased skewness of all (paper, eq. 7)
    ordered = np.sort(entropies)
    middle = ordered[math.ceil(0.2 * len(ordered)) - 1 : math.ceil(0.8 * len(ordered))]
    deviation = ordered - ordered.mean()
    spread = np.mean(deviation**2) ** 1.5
    skewness = np.mean(deviation**3) / spread if spread else math.nan
    return float(middle.mean()), float(skewness)


def _blocks(plane: Plane) -> Plane:
    # (H, W) -> (n, 8, 8), filled up with zeros at the right and at the bottom
    plane = np.pad(plane, [(0, -length % _BLOCK) for length in plane.shape])
    rows, columns = (length // _BLOCK for length in plane.shape)
    return plane.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK)


def sseq_features(image: AnyImage) -> Plane:
    """Return the 12 features of an image, before scaling; no parameter file is needed.

    Args:
        image: (H, W, 3) or (H, W) uint8; measured on its `gray`.

    Returns:
        (12,): for each of three scales the mean and skewness of the spatial, then of the spectral
        entropies. A skewness is NaN where all blocks have the same entropy.
    """
    plane = gray_uint8(image).astype(np.float64)
    features: list[float] = []
    for scale in range(_SCALES):
        if scale:
            plane = halve_uint8(plane)
        blocks = _blocks(plane)
        features += [*_summary(spatial_entropy(blocks)), *_summary(spectral_entropy(blocks))]
    return np.array(features)


@dataclass(frozen=True)
class SVM:
    """A support vector machine with radial basis functions, in libsvm's layout.

    For k classes, support vectors are sorted by class, column j - 1 of `weights` weighs those of
    class i < j against class j, column i those of class j against class i; a regression has one
    column.
    """

    vectors: Plane  # (n, 12)
    weights: Plane  # (n, k - 1)
    offsets: Plane  # (k (k - 1) / 2,), one per pair of classes
    counts: Plane  # (k,) support vectors of each class
    slopes: Plane  # (k (k - 1) / 2,) and intercepts of the sigmoids that give probabilities
    intercepts: Plane

    def kernel(self, x: Plane) -> Plane:
        """Return the (n,) similarities of features (12,) to the support vectors."""
        return np.exp(-_GAMMA * np.square(self.vectors - x).sum(axis=1))


@dataclass(frozen=True)
class SSEQModel:
    """Trained on the LIVE database: 5 kinds of distortion, a quality regression for each."""

    lowest: Plane  # (12,) limits of the features
    highest: Plane
    classifier: SVM
    regressors: tuple[SVM, ...]


def load_model(source: Path | None = None) -> SSEQModel:
    """Load the authors' model from a file or folder, or from where `find_parameters` looks.

    Raises:
        ParametersError: The file is absent, damaged or unreadable.
    """
    return _read_model(parameters.find_parameters("sseq", source))


@cache
def _read_model(path: Path) -> SSEQModel:
    variables = parameters.load_parameters("sseq", path)
    return SSEQModel(
        variables["fmin"],
        variables["fmax"],
        _read_svm(variables["svmmodel"]),
        tuple(_read_svm(svm) for svm in variables["svrmodel"]),
    )


def _read_svm(record: Any) -> SVM:
    vectors = record["SVs"].item().toarray()
    names = ("rho", "nSV", "ProbA", "ProbB")
    weights = np.reshape(record["sv_coef"].item(), (len(vectors), -1))
    return SVM(vectors, weights, *(np.atleast_1d(record[name].item()) for name in names))


def class_probabilities(svm: SVM, x: Plane) -> Plane:
    """Return the probabilities (k,) of the classes for features (12,)."""
    classes = len(svm.counts)
    similar = np.split(svm.weights * svm.kernel(x)[:, None], np.cumsum(svm.counts, dtype=int)[:-1])
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    wins = np.zeros((classes, classes))  # [i, j]: probability of i, if it is one of i and j
    for n, (i, j) in enumerate(pairs):
        decision = similar[i][:, j - 1].sum() + similar[j][:, i].sum() - svm.offsets[n]
        logit = svm.slopes[n] * decision + svm.intercepts[n]
        win = (1 - math.tanh(logit / 2)) / 2  # 1 / (1 + e^logit), which cannot overflow so
        wins[i, j] = min(max(win, 1e-7), 1 - 1e-7)
        wins[j, i] = 1 - wins[i, j]
    return couple(wins)


def couple(wins: Plane) -> Plane:
    """Find class probabilities that agree best with pairwise ones (Wu et al., algorithm 2).

    Args:
        wins: (k, k); [i, j] is the probability of class i given i or j, the diagonal is 0.

    Returns:
        (k,), sum 1. Stops as early as libsvm does, whose rounding is part of the score.
    """
    classes = len(wins)
    Q = -wins.T * wins
    np.fill_diagonal(Q, (wins**2).sum(axis=0))
    p = np.full(classes, 1 / classes)
    for _ in range(100):
        if np.max(np.abs(Q @ p - p @ Q @ p)) < 0.005 / classes:
            break
        for t in range(classes):
            step = (p @ Q @ p - Q[t] @ p) / Q[t, t]
            p[t] += step
            p /= 1 + step
    return p


def sseq(image: AnyImage, model: SSEQModel | None = None) -> float:
    """Predict how people would rate an image; lower is better.

    Args:
        image: (H, W, 3) or (H, W) uint8; measured on its `gray`.
        model: The authors' parameters; None is `load_model()`.

    Returns:
        About 0..100, slightly negative at times.

    Raises:
        ParametersError: No model given and none found.
        ValueError: An image without any variation, or no 8-bit image.
    """
    model = model or load_model()
    features = sseq_features(image)
    if np.isnan(features).any():
        raise ValueError("SSEQ needs blocks that differ, this image is flat or too small")
    x = -1 + 2 * (features - model.lowest) / (model.highest - model.lowest)
    qualities = [svm.kernel(x) @ svm.weights[:, 0] - svm.offsets[0] for svm in model.regressors]
    return float(50 + 50 * class_probabilities(model.classifier, x) @ np.array(qualities))
