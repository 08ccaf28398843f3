"""Metrics of files: two images, or two folders of images paired by name.

The library side of `derain metrics A B`. Whatever can be wrong with a set (a missing match,
sizes that differ, a file that is no image) is found before anything is measured.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain.io.decode import read_rgb
from derain.io.pairs import PairPath, images_by_name, match_folders
from derain.metrics import METRICS, ParametersError, bind, get_metric, get_protocol


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


def find_pairs(images: Path, references: Path | None = None) -> list[PairPath]:
    """Pair two files, or the files of two folders and their subfolders by path without suffix.

    Args:
        images: A file or a folder.
        references: Of the same kind; None for metrics that need no reference.

    Returns:
        The pairs in order of their paths, the reference as the clean image.

    Raises:
        ImageError: Nothing there, a file against a folder, an image without a matching one, two
            images of one name, a file that is no image, or sizes that differ; names what is wrong.
    """
    if references is None:
        found = images_by_name(images, recursive=True)
        pairs = [PairPath(name, path) for name, path in found.items()]
    else:
        pairs = match_folders(images, references, recursive=True)
    for pair in pairs:
        pair.size()
    return pairs


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

    def measure(pair: PairPath) -> ImageScores:
        image = read_rgb(pair.path)
        reference = read_rgb(pair.clean) if needing and pair.clean else None
        try:
            values = {
                name: function(image, reference) if name in needing else function(image)
                for name, function in functions.items()
            }
        except ValueError as error:
            raise ValueError(f"{pair.path}: {error}") from error
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
