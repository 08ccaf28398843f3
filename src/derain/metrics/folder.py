"""Metrics of files: two images, or two folders of images paired by name.

The library side of `derain metrics A B`. Whatever can be wrong with a set (a missing match,
sizes that differ, a file that is no image) is found before anything is measured.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from derain.metrics import METRICS, ParametersError, bind, get_metric, get_protocol
from derain.metrics.inputs import AnyImage

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")


@dataclass(frozen=True)
class FilePair:
    """An image and its reference, if it has one; `name` is its path in the folder, no suffix."""

    name: str
    image: Path
    reference: Path | None


@dataclass(frozen=True)
class ImageScores:
    """The values of one image, by metric."""

    name: str
    values: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """The values of a set of images; every PSNR and SSIM in it is by one protocol."""

    protocol: str
    rows: tuple[ImageScores, ...]
    skipped: dict[str, str]  # metric -> why it could not be measured, and the way out

    @property
    def means(self) -> dict[str, float]:
        """The mean over images, by metric; infinite as soon as one value is."""
        return {name: float(np.mean(self._column(name))) for name in self.rows[0].values}

    @property
    def infinite(self) -> dict[str, int]:
        """How many images have an infinite value, being equal to their reference; by metric."""
        return {name: int(np.isinf(self._column(name)).sum()) for name in self.rows[0].values}

    def _column(self, name: str) -> list[float]:
        return [row.values[name] for row in self.rows]


def open_image(path: Path) -> Image.Image:
    """Open a file without decoding it, and make sure that metrics are defined on it.

    Raises:
        ValueError: No image, or one of more than 8 bits per channel; names the file.
    """
    try:
        image = Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable image") from error
    # Pillow cuts 16-bit colour to 8 bits while decoding; only its decoder's arguments tell
    layouts = (str(tile[3]) for tile in image.tile)
    if image.mode[0] in "IF" or any(re.search(r"(RGBA?|LA?);16", text) for text in layouts):
        image.close()
        raise ValueError(f"{path}: metrics are defined on 8-bit images, save it as one first")
    return image


def read_rgb(path: Path) -> AnyImage:
    """Read a file's stored pixels as (H, W, 3) uint8 RGB; alpha and EXIF rotation are ignored.

    Raises:
        ValueError: See `open_image`, or the file is damaged.
    """
    with open_image(path) as image:
        try:
            return np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError) as error:  # Pillow's two ways of saying it
            raise ValueError(f"{path}: damaged image: {error}") from error


def find_pairs(images: Path, references: Path | None = None) -> list[FilePair]:
    """Pair two files, or the files of two folders and their subfolders by path without suffix.

    Args:
        images: A file or a folder.
        references: Of the same kind; None for metrics that need no reference.

    Returns:
        The pairs in order of their paths.

    Raises:
        ValueError: Nothing there, a file against a folder, an image without a matching one, two
            images of one name, a file that is no 8-bit image, or sizes that differ; names what
            is wrong.
    """
    left = _by_name(images)
    if references is None:
        for path in left.values():
            open_image(path).close()
        return [FilePair(name, path, None) for name, path in left.items()]
    right = _by_name(references)
    if images.is_file() != references.is_file():
        raise ValueError(f"{images} and {references}: one is a file, the other a folder")
    if images.is_file():
        right = dict(zip(left, right.values(), strict=True))  # two files need not share a name
    for mine, others, folder in ((left, right, references), (right, left, images)):
        if alone := [name for name in mine if name not in others]:
            more = f" ({len(alone) - 1} more like it)" if alone[1:] else ""
            raise ValueError(f"{mine[alone[0]]}: no matching image in {folder}{more}")
    pairs = [FilePair(name, path, right[name]) for name, path in left.items()]
    for pair in pairs:
        _check_sizes(pair.image, right[pair.name])
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
        raise ValueError(f"{place}: no images in it ({', '.join(SUFFIXES)})")
    return found


def _check_sizes(image: Path, reference: Path) -> None:
    with open_image(image) as a, open_image(reference) as b:
        if a.size != b.size:
            sizes = [f"{one.width}x{one.height}" for one in (a, b)]
            raise ValueError(f"{image} is {sizes[0]}, {reference} is {sizes[1]}")


def compare_folders(
    images: Path,
    references: Path | None,
    metrics: Sequence[str] = ("psnr", "ssim"),
    protocol: str = "y",
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    parameters: Path | None = None,
) -> Comparison:
    """Measure two images, or all images of two folders.

    Args:
        images: A file, or a folder of images.
        references: What they are compared with, paired by `find_pairs`; None if no metric needs it.
        metrics: Names from `METRICS`. NIQE and SSEQ measure `images` alone; without their
            parameter files they are skipped and the others go on.
        protocol: For PSNR and SSIM.
        jobs: Threads; NumPy computes outside Python's lock.
        progress: Called with (images done, images in all) after each.
        parameters: File or folder of the LIVE parameters; None looks where `find_parameters`
            does.

    Raises:
        ValueError: See `find_pairs`; an unknown metric or protocol; a metric that needs references;
            an image that a metric cannot measure. Each names what is wrong.
        ParametersError: Every metric asked for lacks its parameter file.
    """
    if not metrics:
        raise ValueError(f"no metric given; known: {', '.join(METRICS)}")
    get_protocol(protocol)
    needing = [name for name in metrics if get_metric(name).needs_reference]
    if references is None and needing:
        raise ValueError(f"{', '.join(needing)}: needs references, only images are given")
    functions, skipped = _bind_all(metrics, protocol, parameters)
    pairs = find_pairs(images, references)

    def measure(pair: FilePair) -> ImageScores:
        image = read_rgb(pair.image)
        reference = read_rgb(pair.reference) if needing and pair.reference else None
        try:
            values = {
                name: function(image, reference) if name in needing else function(image)
                for name, function in functions.items()
            }
        except ValueError as error:
            raise ValueError(f"{pair.image}: {error}") from error
        return ImageScores(pair.name, values)

    rows: list[ImageScores] = []
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
