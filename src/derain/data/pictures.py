"""Pictures for training, decoded once and kept in memory, and their split by background."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
Picture = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class Pair:
    """A clean picture and, where the set has one, its rainy version; both (H, W, 3) uint8."""

    name: str
    clean: Picture
    rainy: Picture | None = None


def read_rgb(path: Path) -> Picture:
    """Decode a picture to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The file is no picture; names it.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise ValueError(f"{path}: not a picture")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def picture_files(folder: Path) -> list[Path]:
    """The pictures directly inside a folder, by name.

    Raises:
        ValueError: No such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: no pictures in it ({', '.join(SUFFIXES)})")
    return files


def read_clean(folder: Path) -> list[Pair]:
    """Clean pictures without a rainy version."""
    return [Pair(path.name, read_rgb(path)) for path in picture_files(folder)]


def read_side_by_side(folder: Path) -> list[Pair]:
    """Pairs stored as one picture each, left half clean, right half rainy (Rain800's layout)."""
    pairs = []
    for path in picture_files(folder):
        both = read_rgb(path)
        half = both.shape[1] // 2
        pairs.append(Pair(path.name, both[:, :half].copy(), both[:, -half:].copy()))
    return pairs


def read_folders(folder: Path) -> list[Pair]:
    """Pairs stored as ``rainy/NAME`` and ``clean/NAME``, paired by name without suffix.

    Raises:
        ValueError: A picture has no partner, or a pair differs in size; names it.
    """
    rainy = {path.stem: path for path in picture_files(folder / "rainy")}
    clean = {path.stem: path for path in picture_files(folder / "clean")}
    if alone := sorted(rainy.keys() ^ clean.keys()):
        raise ValueError(f"{folder}: {alone[0]} is not in both rainy/ and clean/")
    pairs = [Pair(name, read_rgb(clean[name]), read_rgb(rainy[name])) for name in sorted(rainy)]
    for pair in pairs:
        if pair.rainy is not None and pair.rainy.shape != pair.clean.shape:
            raise ValueError(
                f"{folder}: {pair.name} is {pair.rainy.shape} rainy, {pair.clean.shape} clean"
            )
    return pairs


def background_signature(picture: Picture) -> NDArray[np.bool_]:
    """Difference hash of a picture, 256 bits: which of two neighbours in a thumbnail is brighter.

    Recompression and small crops change a few bits; another picture changes about half.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (17, 16), interpolation=cv2.INTER_AREA).astype(np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def group_by_background(pairs: Sequence[Pair], tolerance: int = 16) -> NDArray[np.int_]:
    """One group number per pair; pairs whose clean pictures show the same scene share theirs.

    Public sets repeat backgrounds under different rain and in different files; a validation part
    is held out only if no training pair has its background.
    """
    signatures = np.stack([background_signature(pair.clean) for pair in pairs])
    group = np.arange(len(pairs))
    for i, signature in enumerate(signatures):
        same = np.flatnonzero((signatures[:i] != signature).sum(axis=1) <= tolerance)
        for j in same:
            group[group == group[j]] = group[i]
    return group


def split_by_background(
    pairs: Sequence[Pair], validation: int, seed: int = 0
) -> tuple[list[int], list[int]]:
    """Indices for training, and for validation one pair of each of ``validation`` backgrounds."""
    groups = group_by_background(pairs)
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    held_out = order[:validation]
    training = [i for i, group in enumerate(groups) if group not in held_out]
    return training, [int(np.flatnonzero(groups == group)[0]) for group in held_out]
