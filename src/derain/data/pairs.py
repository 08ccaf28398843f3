"""Images for training: where pairs lie, how they are decoded, their split by background."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
Image8 = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True)
class Pair:
    """A clean image and, where the set has one, its rainy version; both (H, W, 3) uint8."""

    name: str
    clean: Image8
    rainy: Image8 | None = None


def read_rgb(path: Path) -> Image8:
    """Decode an image to (H, W, 3) uint8 RGB.

    Raises:
        ValueError: The file is no image; names it.
    """
    data = np.frombuffer(path.read_bytes(), np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise ValueError(f"{path}: not an image")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def image_files(folder: Path) -> list[Path]:
    """The images directly inside a folder, by name.

    Raises:
        ValueError: No such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"{folder}: no images in it ({', '.join(SUFFIXES)})")
    return files


@dataclass(frozen=True)
class PairFile:
    """Where a pair lies; nothing is opened until ``read``."""

    name: str
    clean: Path
    rainy: Path | None = None  # equals ``clean`` where one file holds both
    clean_half: Literal["", "left", "right"] = ""  # of such a file

    def read(self) -> Pair:
        """Decode it.

        Raises:
            ValueError: A file is no image, or the two differ in size; names it.
        """
        clean = read_rgb(self.clean)
        if self.clean_half:
            half = clean.shape[1] // 2
            left, right = clean[:, :half].copy(), clean[:, -half:].copy()
            return Pair(self.name, *((left, right) if self.clean_half == "left" else (right, left)))
        rainy = read_rgb(self.rainy) if self.rainy else None
        if rainy is not None and rainy.shape != clean.shape:
            raise ValueError(
                f"{self.rainy}: is {rainy.shape[1]}x{rainy.shape[0]} rainy, "
                f"{clean.shape[1]}x{clean.shape[0]} clean"
            )
        return Pair(self.name, clean, rainy)


def list_clean(folder: Path) -> list[PairFile]:
    """Clean images without a rainy version."""
    return [PairFile(path.name, path) for path in image_files(folder)]


def list_side_by_side(folder: Path) -> list[PairFile]:
    """Pairs stored as one image each, left half clean, right half rainy (Rain800's layout)."""
    return [PairFile(path.name, path, path, "left") for path in image_files(folder)]


def list_folders(folder: Path) -> list[PairFile]:
    """Pairs stored as ``rainy/NAME`` and ``clean/NAME``, paired by name without suffix.

    Raises:
        ValueError: An image has no matching one; names it.
    """
    rainy = {path.stem: path for path in image_files(folder / "rainy")}
    clean = {path.stem: path for path in image_files(folder / "clean")}
    if alone := sorted(rainy.keys() ^ clean.keys()):
        raise ValueError(f"{folder}: {alone[0]} is not in both rainy/ and clean/")
    return [PairFile(name, clean[name], rainy[name]) for name in sorted(rainy)]


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
