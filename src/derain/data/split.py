"""The split of pairs into training and validation by background."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.decode import Image8
from derain.io.pairs import Pair

TOLERANCE = 16  # bits of 256 in which the signatures of one background may differ


def background_signature(image: Image8) -> NDArray[np.bool_]:
    """Difference hash of an image, 256 bits: which of two neighbours in a thumbnail is brighter.

    Recompression and small crops change a few bits; another image changes about half.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def group_by_background(pairs: Sequence[Pair]) -> NDArray[np.int_]:
    """One group number per pair; pairs whose clean images show the same scene share theirs.

    Public sets repeat backgrounds under different rain and in different files; a pair is fit
    for validation only if no training pair has its background.
    """
    return group_signatures(np.stack([background_signature(pair.clean) for pair in pairs]))


def group_signatures(signatures: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Groups of signatures (N, 256) that chains of at most ``TOLERANCE`` different bits join.

    Two signatures that differ in so few bits agree in one of ``TOLERANCE + 1`` parts (multi-index
    hashing, Norouzi et al., CVPR 2012), so only those that share a part are compared: time grows
    with their number, not with its square.

    Returns:
        (N,) the largest index of each one's group.
    """
    packed, place = np.unique(np.packbits(signatures, axis=1), axis=0, return_inverse=True)
    bits, words = np.unpackbits(packed, axis=1), packed.view(np.uint64).T.copy()
    group = np.arange(len(packed))
    for part in np.array_split(np.arange(bits.shape[1]), TOLERANCE + 1):
        key = bits[:, part] @ (1 << np.arange(len(part)))
        order = np.argsort(key, kind="stable")
        ends = np.searchsorted(key[order], key[order], side="right")  # of those with the same key
        first, distance = np.arange(len(order)), 1
        while len(first := first[first + distance < ends[first]]):
            i, j = order[first], order[first + distance]
            near = group[i] != group[j]
            i, j = i[near], j[near]
            near = np.bitwise_count(words[0, i] ^ words[0, j]) <= TOLERANCE  # few of a whole bucket
            i, j = i[near], j[near]
            near = np.bitwise_count(words[:, i] ^ words[:, j]).sum(axis=0) <= TOLERANCE
            group = joined(group, i[near], j[near])
            distance += 1
    largest = np.zeros(len(packed), int)
    np.maximum.at(largest, group[place.ravel()], np.arange(len(signatures)))
    return largest[group[place.ravel()]]


def joined(group: NDArray[np.int_], i: NDArray[np.int_], j: NDArray[np.int_]) -> NDArray[np.int_]:
    """Group numbers (N,), each that of one of its members, after every i has joined its j."""
    if not len(i):
        return group
    parent = group.copy()
    for a, b in np.unique(np.stack([group[i], group[j]], axis=1), axis=0):
        while parent[a] != a:
            a = parent[a]
        while parent[b] != b:
            b = parent[b]
        parent[a] = b
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    return parent


def split_by_background(
    pairs: Sequence[Pair], quotas: Sequence[tuple[Sequence[int], int]], seed: int = 0
) -> tuple[list[int], list[int]]:
    """Split pairs into training and validation so that no background is in both.

    Args:
        pairs: All pairs.
        quotas: Some of the pairs by index, and how many of their backgrounds to use for validation.
        seed: Another seed chooses other backgrounds.

    Returns:
        Indices for training; and for validation one pair of each background that is kept for it.
    """
    if not any(count for _, count in quotas):
        return list(range(len(pairs))), []  # without a look at any image
    groups = group_by_background(pairs)
    validation: dict[int, int] = {}  # background -> the pair that shows it
    for indices, count in quotas:
        members = groups[np.asarray(indices, int)]
        order = np.random.default_rng(seed).permutation(np.unique(members))
        for group in [g for g in order if g not in validation][:count]:
            validation[group] = int(np.asarray(indices)[members == group][0])
    training = [i for i, group in enumerate(groups) if group not in validation]
    return training, list(validation.values())
