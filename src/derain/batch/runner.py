"""Restore what is planned: several at a time, each result whole, on when one fails."""

import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from derain.batch.image import BatchSettings, restore_data
from derain.batch.jobs import PIPE, Job, Outcome, rain_target
from derain.io import places
from derain.io.atomic import write_atomically
from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.io.gate import read_place, read_stream
from derain.restore import Restorer

EXISTS = "{}: exists already; --overwrite or --skip-existing"


def read_source(source: str, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of a path, URL or standard input.

    Raises:
        ImageError: It cannot be read, or sends more than an image can need; names it.
    """
    if places.is_web(source):
        from derain.io.download import download  # which imports Python's HTTP and TLS

        return download(source)
    if source != PIPE:
        return read_place(source, max_pixels)
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

    def write(self, target: Path | str, data: bytes) -> None:
        """Write a result whole.

        Raises:
            ValueError: The file is a result of this run, or may not be replaced; names it.
            OSError: Writing failed; nothing is half-written.
        """
        if isinstance(target, str):  # at a URL, where no two names stand for one file
            self.check(target)
            places.write(target, data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self.check(target)
            write_atomically(target, data)
            self._written.add(_identity(target))

    def check(self, target: Path | str) -> None:
        """Raise ValueError if a result may not be written there; names it."""
        if isinstance(target, str):
            if not self.overwrite and places.exists(target):
                raise ValueError(EXISTS.format(target))
        elif target.exists():
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
    if job.target is not None and places.exists(str(job.target)):
        if settings.skip_existing:
            if job.clip and settings.resume:
                _remove_joined(job)
            return Outcome(job, "skipped")
        if not settings.overwrite:
            raise ValueError(EXISTS.format(job.target))
    layer = rain_target(job) if settings.rain_layer == "beside" else None
    kept = layer is not None and places.exists(str(layer)) and not settings.overwrite
    if kept and not settings.skip_existing:
        raise ValueError(EXISTS.format(layer))
    if job.clip:
        return restore_clip(job, restorer, settings, results, stop)

    def cancel(fraction: float) -> None:
        if stop.is_set():
            raise Cancelled

    # The format follows from the target's name; in a pipe it is the one asked for.
    format = settings.format if job.target is None else Path(job.target).suffix
    result = restore_data(  # which frees the file's bytes once they are decoded
        read_source(job.source, settings.max_pixels), job.source, restorer, settings, format, cancel
    )
    if layer and result.rain is not None and not kept:
        results.write(layer, result.rain)  # first: where the result is, the layer is too
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
    assert isinstance(job.target, Path)
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


def _remove_joined(job: Job) -> None:
    """Delete what a run left that was killed between writing a clip and deleting its segments."""
    from derain.video.segments import remove_joined

    assert isinstance(job.target, Path)
    remove_joined(job.target)


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
            outcomes.append(pending[0].result())
            pending.popleft()
            on_done(outcomes[-1])
    except KeyboardInterrupt:
        stop.set()
        _await(pool, pending, stop)
        for future in pending:
            if not (future.cancelled() or future.exception()):
                on_done(future.result())
        raise
    finally:
        stop.set()
        _await(pool, pending, stop)


def _await(pool: ThreadPoolExecutor, pending: Iterable[Future[Outcome]], stop: Stop) -> None:
    """Wait for what runs; Ctrl-C shortens it.

    Not for the threads: Python 3.11 takes one for ended whose ``join`` was interrupted.
    """
    pool.shutdown(wait=False, cancel_futures=True)
    running = [future for future in pending if not future.cancelled()]
    try:
        wait(running)
    except KeyboardInterrupt:
        stop.now.set()
        wait(running)
