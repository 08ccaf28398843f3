"""The split of pairs into training and validation by background."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.decode import Image8
from derain.io.pairs import Pair


def background_signature(image: Image8) -> NDArray[np.bool_]:
    """Difference hash of an image, 256 bits: which of two neighbours in a thumbnail is brighter.

    Recompression and small crops change a few bits; another image changes about half.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def group_by_background(pairs: Sequence[Pair], tolerance: int = 16) -> NDArray[np.int_]:
    """One group number per pair; pairs whose clean images show the same scene share theirs.

    Public sets repeat backgrounds under different rain and in different files; a pair is fit
    for validation only if no training pair has its background.
    """
    signatures = np.stack([background_signature(pair.clean) for pair in pairs])
    group = np.arange(len(pairs))
    for i, signature in enumerate(signatures):
        same = np.flatnonzero((signatures[:i] != signature).sum(axis=1) <= tolerance)
        for j in same:
            group[group == group[j]] = group[i]
    return group


def split_by_background(
    pairs: Sequence[Pair], quotas: Sequence[tuple[Sequence[int], int]], seed: int = 0
) -> tuple[list[int], list[int]]:
    """Split pairs into training and validation so that no background is in both.

    Args:
        pairs: All pairs.
        quotas: Some of the pairs by index, and how many of their backgrounds to hold out.
        seed: Another one holds out other backgrounds.

    Returns:
        Indices for training; and for validation one pair of each background held out.
    """
    groups = group_by_background(pairs)
    validation: dict[int, int] = {}  # background -> the pair that shows it
    for indices, count in quotas:
        members = groups[np.asarray(indices, int)]
        order = np.random.default_rng(seed).permutation(np.unique(members))
        for group in [g for g in order if g not in validation][:count]:
            validation[group] = int(np.asarray(indices)[members == group][0])
    training = [i for i, group in enumerate(groups) if group not in validation]
    return training, list(validation.values())
