"""Restore many images and clips: find them, name the results, run, go on when one fails."""

import glob
import itertools
import os
import sys
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.atomic import write_atomically
from derain.io.clips import is_clip, is_clip_name
from derain.io.decode import DecodedImage, decode_image
from derain.io.download import download
from derain.io.encode import QUALITY, encode_image
from derain.io.formats import FORMATS, MAX_PIXELS, ImageError, one_line
from derain.io.gate import read_file, read_stream
from derain.io.pairs import is_image_name, list_images
from derain.restore import DEFAULTS, RestoreOptions, Restorer

SUFFIX = "_derained"
UNCHANGED = 0.1  # of 255; below this mean difference we say that no rain was found
PIPE = "-"
EXISTS = "{}: exists already; --overwrite or --skip-existing"


@dataclass(frozen=True)
class Job:
    """One image or clip to restore."""

    source: str  # a path, a URL or "-"
    target: Path | None  # None: standard output
    clip: bool = False


@dataclass(frozen=True)
class BatchSettings:
    """What holds for every image of a run."""

    format: str | None = None  # a suffix such as "png"; None keeps each image's own
    quality: int = QUALITY
    options: RestoreOptions = DEFAULTS
    overwrite: bool = False
    skip_existing: bool = False
    max_pixels: int = MAX_PIXELS
    codec: str | None = None  # of clips; None keeps each clip's own
    temporal: bool = True  # whether the frames of a clip help each other
    resume: bool = False  # whether to go on with clips that were stopped
    on_frame: Callable[[Job, int, int], None] | None = None  # told (clip, frames done, in all)
    rain_layer: bool = False  # write what was taken away instead of what is left


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    status: str  # "restored", "incomplete", "skipped", "stopped" or "failed"
    seconds: float = 0.0
    size: tuple[int, int] | None = None  # (H, W)
    change: float = 0.0  # mean absolute difference to the input, in 1/255 of the value range
    message: str = ""  # why it failed, or what is missing in it
    frames: int = 1


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address."""
    return source.startswith(("http://", "https://"))


def expand_inputs(
    inputs: Sequence[str], recursive: bool = False
) -> Iterator[tuple[str, Path | None, str]]:
    """Expand files, folders, globs, URLs and "-".

    Yields:
        The source, the folder it was found in, and what is wrong with it, if anything is.
    """
    for entry in inputs:
        path = Path(entry)
        # Unlike Path's methods these say False to names that the system does not allow.
        is_file, is_folder = os.path.isfile(entry), os.path.isdir(entry)  # noqa: PTH112, PTH113
        if entry == PIPE or is_url(entry) or is_file:
            yield entry, None, ""
        elif is_folder:
            problems: list[str] = []
            found = sorted(list_images(path, recursive, problems.append, is_restored_name))
            yield from ((str(f), path, "") for f in found)
            yield from ((entry, None, problem) for problem in problems)
            if not found and not problems:
                deeper = "" if recursive else "; --recursive looks into its folders"
                yield entry, None, f"{entry}: no images or clips in this folder{deeper}"
        elif glob.has_magic(entry):
            # Path.glob takes no absolute pattern.
            found = glob.glob(entry, recursive=True)  # noqa: PTH207
            matches = sorted(match for match in found if Path(match).is_file())
            yield from ((match, None, "") for match in matches)
            if not matches:
                yield entry, None, f"{entry}: nothing matches"
        else:
            yield entry, None, f"{entry or repr(entry)}: no such file or folder"


def plan(
    inputs: Sequence[str],
    out: str | None = None,
    *,
    recursive: bool = False,
    suffix: str | None = None,
    format: str | None = None,
) -> tuple[list[Job], list[Outcome]]:
    """Decide where each result goes.

    Without ``out`` a result lies beside its image under NAME_derained; in a folder ``out`` it
    keeps its name, and its place in the tree that it came from. ``out`` is a file if there is one
    image and it ends like one.

    Returns:
        The jobs, and what cannot be done, as failed outcomes.

    Raises:
        ValueError: An unknown format.
    """
    if format and ending_of(format) not in FORMATS:
        known = ", ".join(s.lstrip(".") for s in FORMATS)
        raise ValueError(f"unknown format {format!r}; known: {known}")
    beside = out is None
    suffix = suffix if suffix is not None else (SUFFIX if beside else "")
    found = list(dict.fromkeys(expand_inputs(inputs, recursive)))
    found = [f for f in found if f[1] is None or not is_result(f[0], f[1], out, suffix)]
    into_file = out is not None and len(found) == 1 and found[0][1] is None and is_file_name(out)
    jobs: list[Job] = []
    failed: list[Outcome] = []
    taken: dict[Path | None, str] = {}
    for source, root, problem in found:
        clip = not problem and source != PIPE and not is_url(source) and is_clip(Path(source))
        if clip and out == PIPE:
            problem = f"{source}: a clip goes to a file, not to standard output"
        if out == PIPE or (beside and source == PIPE):
            target = None
        elif into_file:
            target = Path(str(out))
        else:
            name = Path(source_name(source))
            ending = ending_of(format) if format and not clip else name.suffix
            target = folder_for(source, root, out) / f"{name.stem}{suffix}{ending}"
        if not problem and target in taken:
            place = target or "standard output"
            problem = f"{source}: {taken[target]} becomes {place} too; choose another -o for one"
        job = Job(source, target, clip)
        if problem:
            failed.append(Outcome(job, "failed", message=problem))
        else:
            taken[target] = source
            jobs.append(job)
    return jobs, failed


def is_result(source: str, root: Path, out: str | None, suffix: str) -> bool:
    """Whether an image found in the folder ``root`` is the result of an earlier run."""
    if out is None:
        return suffix != "" and Path(source).stem.endswith(suffix)
    inside = Path(out).resolve()
    return inside != root.resolve() and Path(source).resolve().is_relative_to(inside)


def is_restored_name(name: str) -> bool:
    """Whether a folder's file of that name is restored: an image's or a clip's."""
    return is_image_name(name) or is_clip_name(name)


def ending_of(format: str) -> str:
    """The suffix for a format as people write it: JPG, jpg or .jpg gives .jpg."""
    return f".{format.lower().lstrip('.')}"


def is_file_name(out: str) -> bool:
    """Whether ``-o`` names an image or a clip rather than a folder."""
    known = Path(out).suffix.lower() in FORMATS or is_clip_name(out)
    return known and not Path(out).is_dir()


def folder_for(source: str, root: Path | None, out: str | None) -> Path:
    """Beside the source, or under ``out`` where the source lies under ``root``."""
    if out is None:
        return Path() if is_url(source) else Path(source).parent
    return Path(out) / (Path(source).parent.relative_to(root) if root else Path())


def source_name(source: str) -> str:
    """The file name of a path or URL."""
    if source == PIPE:
        return "image.png"
    if is_url(source):
        return Path(urllib.parse.unquote(urllib.parse.urlparse(source).path)).name or "image.jpg"
    return Path(source).name


def read_source(source: str, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of a path, URL or standard input.

    Raises:
        ImageError: It cannot be read, or sends more than an image can need; names it.
    """
    if is_url(source):
        return download(source)
    if source != PIPE:
        return read_file(Path(source), max_pixels)
    if sys.stdin is None:
        raise ImageError("standard input is closed")
    return read_stream(sys.stdin.buffer, "standard input", max_pixels)


class Cancelled(Exception):
    """The run was stopped between two tiles."""


class Stop(threading.Event):
    """A wish to stop: images do at their next tile, clips at the end of their segment.

    Attributes:
        now: Set where even a clip shall not go on to the end of its segment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = threading.Event()


def mean_change(before: NDArray[Any], after: NDArray[Any], rows: int = 256) -> float:
    """Mean absolute difference of two images of one type, in 1/255 of the value range."""
    top = float(np.iinfo(before.dtype).max) if before.dtype.kind == "u" else 1.0
    total = 0.0
    for first in range(0, len(before), rows):  # in strips, whose differences take little memory
        strip = slice(first, first + rows)
        total += float(cv2.absdiff(before[strip], after[strip]).sum(dtype=np.float64))
    return total / before.size * 255 / top


class Results:
    """The files that a run has written, so that none of them is written twice.

    Two names can stand for one file: through a linked folder, or on a disk that ignores capitals.

    Args:
        overwrite: Whether files of earlier runs may be replaced.
    """

    def __init__(self, overwrite: bool) -> None:
        self.overwrite = overwrite
        self._written: set[tuple[int, int]] = set()  # device and number of each file
        self._lock = threading.Lock()

    def write(self, target: Path, data: bytes) -> None:
        """Write a result whole.

        Raises:
            ValueError: The file is a result of this run, or may not be replaced; names it.
            OSError: Writing failed; nothing is half-written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self.check(target)
            write_atomically(target, data)
            self._written.add(_identity(target))

    def check(self, target: Path) -> None:
        """Raise ValueError if a result may not be written there; names it."""
        if target.exists():
            if _identity(target) in self._written:
                raise ValueError(f"{target}: is the file of an earlier result of this run")
            if not self.overwrite:
                raise ValueError(EXISTS.format(target))

    def add(self, target: Path) -> None:
        """Remember a result that was written otherwise."""
        with self._lock:
            self._written.add(_identity(target))


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


@dataclass(frozen=True)
class Restored:
    """What became of the bytes of one image."""

    data: bytes  # the result as a file
    image: DecodedImage  # the result as pixels
    change: float  # as in `Outcome`


def restore_data(
    data: bytes,
    name: str,
    restorer: Restorer,
    settings: BatchSettings,
    format: str | None = None,
    on_tile: Callable[[float], None] | None = None,
) -> Restored:
    """Decode, restore and encode one image; whoever restores files or uploads does it here.

    Args:
        data: The whole file.
        name: What messages call it.
        restorer: The network.
        settings: What holds for every image.
        format: Write this format, as a suffix; the image's own where it is None or unknown.
        on_tile: As in `RestoreOptions`.

    Raises:
        ImageError: The image, or the format that cannot hold it; one line that names it.
        MemoryError: Even small tiles need more memory than there is.
    """
    image = decode_image(data, name, max_pixels=settings.max_pixels)
    del data
    result = restorer.restore(image, replace(settings.options, on_tile=on_tile))
    change = mean_change(image.pixels, result.pixels)
    if settings.rain_layer:
        result = replace(result, pixels=cv2.subtract(image.pixels, result.pixels))
    result = replace(result, format=FORMATS.get(ending_of(format or ""), image.format))
    del image  # a large one needs its memory for encoding
    try:
        return Restored(encode_image(result, settings.quality), result, change)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def restore_one(
    job: Job,
    restorer: Restorer,
    settings: BatchSettings,
    results: Results,
    stop: Stop,
) -> Outcome:
    """Read, restore and write one image or clip.

    Raises:
        Cancelled: `stop` was set.
        ValueError: The image, the clip or the format; one line that names it.
        OSError: Reading or writing failed.
    """
    start = time.perf_counter()
    if job.target is not None and job.target.exists():
        if settings.skip_existing:
            return Outcome(job, "skipped")
        if not settings.overwrite:
            raise ValueError(EXISTS.format(job.target))
    if job.clip:
        return restore_clip(job, restorer, settings, results, stop)

    def cancel(fraction: float) -> None:
        if stop.is_set():
            raise Cancelled

    # The format follows from the target's name; in a pipe it is the one asked for.
    format = settings.format if job.target is None else job.target.suffix
    result = restore_data(  # which frees the file's bytes once they are decoded
        read_source(job.source, settings.max_pixels), job.source, restorer, settings, format, cancel
    )
    if job.target is None:
        sys.stdout.buffer.write(result.data)
        sys.stdout.buffer.flush()
    else:
        results.write(job.target, result.data)
    height, width = result.image.pixels.shape[:2]
    seconds = time.perf_counter() - start
    return Outcome(job, "restored", seconds, (height, width), result.change)


def restore_clip(
    job: Job, restorer: Restorer, settings: BatchSettings, results: Results, stop: Stop
) -> Outcome:
    """Restore a clip. Arguments and exceptions as for ``restore_one``."""
    from derain import video

    def cancel(fraction: float) -> None:
        if stop.now.is_set():
            raise Cancelled

    def told(progress: video.Progress) -> None:
        if settings.on_frame:
            settings.on_frame(job, progress.done, progress.total)

    start = time.perf_counter()
    assert job.target is not None
    results.check(job.target)
    how = video.VideoSettings(
        settings.codec,
        settings.quality,
        settings.temporal,
        settings.resume,
        settings.overwrite,
        settings.max_pixels,
        replace(settings.options, on_tile=cancel),
    )
    try:
        report = video.restore(
            job.source, job.target, restorer, how, on_frame=told, cancel=stop.is_set
        )
    except video.Stopped as stopped:
        return Outcome(job, "stopped", time.perf_counter() - start, message=str(stopped))
    results.add(job.target)
    return Outcome(
        job,
        "incomplete" if report.problems else "restored",
        time.perf_counter() - start,
        report.size,
        report.change,
        "\n".join(report.problems),
        report.frames,
    )


def attempt(
    job: Job,
    restorer: Restorer,
    settings: BatchSettings,
    results: Results,
    stop: Stop,
) -> Outcome:
    """``restore_one``, with a failure as an outcome instead of an exception."""
    try:
        return restore_one(job, restorer, settings, results, stop)
    except Cancelled:
        raise
    except Exception as error:
        return Outcome(job, "failed", message=describe(error, job))


def describe(error: BaseException, job: Job) -> str:
    """One line for a failure, naming the file."""
    if isinstance(error, ImageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or job.target or job.source}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"{job.source}: out of memory, even in small tiles; it is too large for this machine"
    text = one_line(error)
    return text if text.startswith((job.source, str(job.target))) else f"{job.source}: {text}"


def run(
    jobs: Sequence[Job],
    restorer: Restorer,
    settings: BatchSettings,
    workers: int = 2,
    on_done: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Restore every image; decoding and encoding of one overlap with the network of another.

    At Ctrl-C images in progress stop at their next tile, finished ones stay. Clips finish their
    segment, unless Ctrl-C is pressed once more.

    Args:
        jobs: From ``plan``.
        restorer: One network for all.
        settings: What holds for every image.
        workers: Images in flight at a time, at least 1.
        on_done: Called in this thread after each image, in their order.

    Returns:
        One outcome per job, in their order.

    Raises:
        ValueError: Fewer than one worker.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1: {workers}")
    results, stop = Results(settings.overwrite), Stop()
    outcomes: list[Outcome] = []
    queue = iter(jobs)
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[Outcome]] = deque()
    try:
        while True:
            for job in itertools.islice(queue, workers - len(pending)):
                pending.append(pool.submit(attempt, job, restorer, settings, results, stop))
            if not pending:
                return outcomes
            outcomes.append(pending.popleft().result())
            on_done(outcomes[-1])
    except KeyboardInterrupt:
        stop.set()
        _await(pool, stop)
        for future in pending:
            if not (future.cancelled() or future.exception()):
                on_done(future.result())
        raise
    finally:
        stop.set()
        _await(pool, stop)


def _await(pool: ThreadPoolExecutor, stop: Stop) -> None:
    """Wait for what runs; Ctrl-C shortens it."""
    try:
        pool.shutdown(wait=True, cancel_futures=True)
    except KeyboardInterrupt:
        stop.now.set()
        pool.shutdown(wait=True)
