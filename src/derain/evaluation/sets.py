"""Read the images of a set, and check a set before anything is measured on it."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from derain.data.layouts import Found
from derain.data.public import SETS
from derain.io.decode import Image8, read_rgb
from derain.io.pairs import PairPath
from derain.metrics import psnr

_NEAR = 0.1  # dB; Rain100L and Rain200L, the nearest pair of known sets, lie 0.2 apart


def read_pair(item: PairPath) -> tuple[Image8, Image8 | None]:
    """Decode a pair: rainy and clean, (H, W, 3) uint8; None where there is no ground truth.

    Raises:
        ImageError: A file that cannot be decoded, or sizes that differ; names the file.
    """
    if item.clean is None:
        return read_rgb(item.path), None
    pair = item.read()
    assert pair.rainy is not None
    return pair.rainy, pair.clean


@dataclass(frozen=True)
class SetCheck:
    """What a look at a set showed."""

    found: Found
    sizes: str  # "480x320", or from the smallest to the largest
    input_psnr: float | None  # dB, Y, mean over the rainy images; None where not measured
    remarks: tuple[str, ...]  # what is known to differ between copies
    problems: tuple[str, ...]  # what makes numbers on it wrong or impossible


def check_set(found: Found, advance: Callable[[], None] = lambda: None) -> SetCheck:
    """Look at every image of a set; where its input PSNR is known, measure it.

    Args:
        found: From ``layouts.find_set``.
        advance: Called after each image.
    """
    remarks, problems = count_remarks(found)
    sizes: set[tuple[int, int]] = set()
    known = found.public.input_psnr if found.public and found.has_truth else None
    values: list[float] = []
    for item in found.items:
        try:
            height, width = item.size()
            sizes.add((width, height))
            if known:
                rainy, clean = read_pair(item)
                values.append(psnr(rainy, clean)) if clean is not None else None
        except ValueError as error:
            problems.append(str(error))
        advance()
    mean = fmean(values) if values else None
    if known and mean is not None and abs(mean - known) > _NEAR:
        like = [
            other.title
            for other in SETS.values()
            if other.input_psnr and abs(other.input_psnr - mean) <= _NEAR
        ]
        guess = f"; that is {' or '.join(like)}'s" if like else ""
        problems.append(f"mean input PSNR {mean:.2f} dB, known is {known:.2f}{guess}")
    return SetCheck(found, _span(sizes), mean, tuple(remarks), tuple(problems))


def count_remarks(found: Found) -> tuple[list[str], list[str]]:
    """Compare a set's number of images with the known ones: remarks, and problems."""
    public, count = found.public, len(found.items)
    if found.total:
        return [f"only the first {count} of {found.total} images"], []
    if public is None or count == public.pairs:
        return [], []
    for other, why in public.other_counts:
        if count == other:
            return [f"{count} instead of {public.pairs}: {why}"], []
    return [], [f"{count} instead of {public.pairs}: not the whole set, or another"]


def _span(sizes: set[tuple[int, int]]) -> str:
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    names = [f"{width}x{height}" for width, height in ordered]
    return " and ".join(names) if len(names) < 3 else f"{names[0]} to {names[-1]}"
