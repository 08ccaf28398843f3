"""Metrics of files: two pictures, or two folders of pictures paired by name.

The library side of `derain metrics A B`. Whatever can be wrong with a set (a missing partner,
sizes that differ, a file that is no picture) is found before anything is measured.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from derain.metrics import METRICS, ParametersError, bind, get_metric, get_protocol
from derain.metrics.pictures import Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")


@dataclass(frozen=True)
class Pair:
    """A picture and its reference, if it has one; `name` is its path in the folder, no suffix."""

    name: str
    picture: Path
    reference: Path | None


@dataclass(frozen=True)
class Row:
    """The values of one picture, by metric."""

    name: str
    values: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The values of a set of pictures; every PSNR and SSIM in it is by one protocol."""

    protocol: str
    rows: tuple[Row, ...]
    skipped: dict[str, str]  # metric -> why it could not be measured, and the way out

    @property
    def means(self) -> dict[str, float]:
        """The mean over pictures, by metric; infinite as soon as one value is."""
        return {name: float(np.mean(self._column(name))) for name in self.rows[0].values}

    @property
    def infinite(self) -> dict[str, int]:
        """How many pictures have an infinite value, being equal to their reference; by metric."""
        return {name: int(np.isinf(self._column(name)).sum()) for name in self.rows[0].values}

    def _column(self, name: str) -> list[float]:
        return [row.values[name] for row in self.rows]


def open_picture(path: Path) -> Image.Image:
    """Open a file without decoding it, and make sure that metrics are defined on it.

    Raises:
        ValueError: no picture, or one of more than 8 bits per channel; names the file.
    """
    try:
        image = Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture") from error
    # Pillow cuts 16-bit colour to 8 bits while decoding; only its decoder's arguments tell
    layouts = (str(tile[3]) for tile in image.tile)
    if image.mode[0] in "IF" or any(re.search(r"(RGBA?|LA?);16", text) for text in layouts):
        image.close()
        raise ValueError(f"{path}: metrics are defined on 8-bit pictures, save it as one first")
    return image


def read_rgb(path: Path) -> Picture:
    """Read a file's stored pixels as (H, W, 3) uint8 RGB; alpha and EXIF rotation are ignored.

    Raises:
        ValueError: see `open_picture`, or the file is damaged.
    """
    with open_picture(path) as image:
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:  # Pillow's two ways of saying it
            raise ValueError(f"{path}: damaged picture: {error}") from error


def find_pairs(pictures: Path, references: Path | None = None) -> list[Pair]:
    """Pair two files, or the files of two folders and their subfolders by path without suffix.

    Args:
        pictures: a file or a folder.
        references: of the same kind; None for metrics that need no reference.

    Returns:
        The pairs in order of their paths.

    Raises:
        ValueError: nothing there, a file against a folder, a picture without a partner, two
            pictures of one name, a file that is no 8-bit picture, or sizes that differ; names what
            is wrong.
    """
    left = _by_name(pictures)
    if references is None:
        for path in left.values():
            open_picture(path).close()
        return [Pair(name, path, None) for name, path in left.items()]
    right = _by_name(references)
    if pictures.is_file() != references.is_file():
        raise ValueError(f"{pictures} and {references}: one is a file, the other a folder")
    if pictures.is_file():
        right = dict(zip(left, right.values(), strict=True))  # two files need not share a name
    for mine, others, folder in ((left, right, references), (right, left, pictures)):
        if alone := [name for name in mine if name not in others]:
            more = f" ({len(alone) - 1} more like it)" if alone[1:] else ""
            raise ValueError(f"{mine[alone[0]]} has no partner in {folder}{more}")
    pairs = [Pair(name, path, right[name]) for name, path in left.items()]
    for pair in pairs:
        _check_sizes(pair.picture, right[pair.name])
    return pairs


def _by_name(place: Path) -> dict[str, Path]:
    if place.is_file():
        return {place.stem: place}
    if not place.is_dir():
        raise ValueError(f"{place}: no such file or folder")
    found: dict[str, Path] = {}
    for path in sorted(place.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(place).with_suffix("").as_posix()
        if name in found:
            raise ValueError(f"{found[name]} and {path} have the same name: which one is meant?")
        found[name] = path
    if not found:
        raise ValueError(f"{place}: no pictures in it ({', '.join(SUFFIXES)})")
    return found


def _check_sizes(picture: Path, reference: Path) -> None:
    with open_picture(picture) as a, open_picture(reference) as b:
        if a.size != b.size:
            sizes = [f"{image.width}x{image.height}" for image in (a, b)]
            raise ValueError(f"{picture} is {sizes[0]}, {reference} is {sizes[1]}")


def compare_folders(
    pictures: Path,
    references: Path | None,
    metrics: Sequence[str] = ("psnr", "ssim"),
    protocol: str = "y",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    parameters: Path | None = None,
) -> Comparison:
    """Measure two pictures, or all pictures of two folders.

    Args:
        pictures: a file, or a folder of pictures.
        references: what they are compared with, paired by `find_pairs`; None if no metric needs it.
        metrics: names from `METRICS`. NIQE and SSEQ measure `pictures` alone; without their
            parameter files they are skipped and the others go on.
        protocol: for PSNR and SSIM.
        jobs: threads; NumPy computes outside Python's lock.
        progress: called with (pictures done, pictures in all) after each.
        parameters: file or folder of the LIVE parameters; None looks where `parameters.find` does.

    Raises:
        ValueError: see `find_pairs`; an unknown metric or protocol; a metric that needs references;
            a picture that a metric cannot measure. Each names what is wrong.
        ParametersError: every metric asked for lacks its parameter file.
    """
    if not metrics:
        raise ValueError(f"no metric given; known: {', '.join(METRICS)}")
    get_protocol(protocol)
    needing = [name for name in metrics if get_metric(name).needs_reference]
    if references is None and needing:
        raise ValueError(f"{', '.join(needing)}: needs references, only pictures are given")
    functions, skipped = _bind_all(metrics, protocol, parameters)
    pairs = find_pairs(pictures, references)

    def measure(pair: Pair) -> Row:
        picture = read_rgb(pair.picture)
        reference = read_rgb(pair.reference) if needing and pair.reference else None
        try:
            values = {
                name: function(picture, reference) if name in needing else function(picture)
                for name, function in functions.items()
            }
        except ValueError as error:
            raise ValueError(f"{pair.picture}: {error}") from error
        return Row(pair.name, values)

    rows: list[Row] = []
    with ThreadPoolExecutor(jobs) as pool:
        for row in pool.map(measure, pairs):  # an error cancels what has not begun
            rows.append(row)
            if progress:
                progress(len(rows), len(pairs))
    return Comparison(protocol, tuple(rows), skipped)


def _bind_all(
    names: Iterable[str], protocol: str, parameters: Path | None
) -> tuple[dict[str, Callable[..., float]], dict[str, str]]:
    functions: dict[str, Callable[..., float]] = {}
    skipped: dict[str, str] = {}
    for name in names:
        try:
            functions[name] = bind(name, protocol, parameters)
        except ParametersError as error:
            skipped[name] = str(error)
    if not functions:
        raise ParametersError("; ".join(skipped.values()))
    return functions, skipped
