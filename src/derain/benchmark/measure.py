"""Measure backends side by side, round by round."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from derain import engines
from derain.benchmark.backends import Backend, load_backend
from derain.benchmark.models import ModelFiles
from derain.benchmark.worker import Failed, Worker
from derain.engines import Batch

PAUSE = 0.02  # seconds between two runs, in which threads that still wait for work fall asleep
LEAST = 3  # rounds, whatever the time


@dataclass(frozen=True)
class BenchmarkRow:
    """What one backend gave for one image size."""

    model: str
    engine: str
    precision: str
    device: str
    height: int
    width: int
    runs: int = 0
    seconds: float | None = None  # median of an image
    spread: float | None = None  # half the range of the middle half of runs, over the median
    images_per_second: float | None = None
    megapixels_per_second: float | None = None
    gflop_per_second: float | None = None
    limit_fraction: float | None = None  # of the measured matrix rate in the same precision
    peak_bytes: int | None = None  # of the whole process: interpreter, engine, network, image
    agreement_db: float | None = None  # PSNR against the reference; None: it is the reference
    default: bool = False  # whether `derain restore` runs it so here
    error: str | None = None


@dataclass(frozen=True)
class BenchmarkSettings:
    """How long to measure."""

    runs: int = 7
    seconds: float = 25.0  # after these no round is begun, once there are ``LEAST``
    threads: int | None = None


class Candidate:
    """A backend in its process, and what it has given so far.

    Args:
        backend: How to run the network.
        path: The network's file.
        size: Height and width that the network takes.
        threads: CPU threads; None leaves it to the engine.
    """

    def __init__(
        self, backend: Backend, path: Path, size: tuple[int, int], threads: int | None
    ) -> None:
        self.backend = backend
        self._load = partial(load_backend, backend, path, size, threads)
        self._worker: Worker | None = None
        self.times: list[float] = []
        self.result: Batch | None = None
        self.peak: int | None = None
        self.error: str | None = None

    def start(self) -> None:
        """Load it and run it once, unmeasured, for its result."""
        try:
            self._worker = Worker(self._load)
            self.result = self._worker(return_result=True).result
        except Failed as error:
            self._give_up(error)

    def run(self) -> None:
        """Run it once, if it can."""
        if not self._worker:
            return
        try:
            seconds, self.peak, _ = self._worker()
            self.times.append(seconds)
        except Failed as error:
            self._give_up(error)
        time.sleep(PAUSE)

    def close(self) -> None:
        """End its process."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _give_up(self, error: Failed) -> None:
        self.error = str(error)
        self.close()


def measure(
    model: ModelFiles,
    size: tuple[int, int],
    wanted: Sequence[Backend],
    rates: Mapping[tuple[str, str], float],
    default: Backend | None = None,
    settings: BenchmarkSettings | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[BenchmarkRow]:
    """Measure backends on one image, interleaved.

    Every backend lives in a process of its own, is loaded and run once unmeasured, and then
    runs once in every round while all others sleep.

    Args:
        model: The network.
        size: Height and width of the image.
        wanted: Backends to run it; one whose file is missing is left out.
        rates: FLOP/s of matrix products by device and precision.
        default: The one that `derain restore` would take.
        settings: Runs, time, threads.
        note: Told what goes on.

    Returns:
        A row per backend, in the order given; one that failed says why.
    """
    settings = settings or BenchmarkSettings()
    padded = model.padded(*size)
    candidates = [
        Candidate(backend, path, padded, settings.threads)
        for backend in wanted
        if (path := model.file(backend.engine))
    ]
    try:
        for one in candidates:
            name, precision, device = one.backend
            note(f"{model.name}: {name} {precision} on {device}")
            one.start()
        note(f"{model.name}: {settings.runs} rounds, or as many as time allows")
        start = time.monotonic()
        for done in range(settings.runs):
            if done >= LEAST and time.monotonic() - start > settings.seconds:
                break
            for one in candidates:
                one.run()
    finally:
        for one in candidates:
            one.close()
    reference = reference_of(model, padded, candidates, settings.threads)
    flop = model.flop(*size)
    rows = []
    for one in candidates:
        rate = rates.get((one.backend.device, one.backend.precision))
        expected = reference.result if reference and reference is not one else None
        rows.append(row(one, model.name, size, flop, rate, expected, one.backend == default))
    return rows


def reference_of(
    model: ModelFiles,
    padded: tuple[int, int],
    candidates: Sequence[Candidate],
    threads: int | None,
) -> Candidate | None:
    """What results are compared with: torch at f32, or OpenVINO at f32 where torch cannot run."""
    torch = engines.ENGINES["torch"].installed and model.file("torch")
    backend = Backend("torch" if torch else "openvino", "f32")
    for one in candidates:
        if one.backend == backend:
            return one
    path = model.file(backend.engine)
    if path is None:
        return None
    extra = Candidate(backend, path, padded, threads)
    extra.start()
    extra.close()
    return extra


def row(
    one: Candidate,
    model: str,
    size: tuple[int, int],
    flop: float | None,
    rate: float | None,
    expected: Batch | None,
    default: bool,
) -> BenchmarkRow:
    """What a candidate gave, in figures."""
    name, precision, device = one.backend
    named = (model, name, precision, device, *size)
    if one.error or one.result is None:
        return BenchmarkRow(*named, error=one.error)
    seconds = median(one.times)
    return BenchmarkRow(
        *named,
        runs=len(one.times),
        seconds=seconds,
        spread=spread(one.times),
        images_per_second=1 / seconds,
        megapixels_per_second=size[0] * size[1] / 1e6 / seconds,
        gflop_per_second=flop / seconds / 1e9 if flop else None,
        limit_fraction=flop / seconds / rate if flop and rate else None,
        peak_bytes=one.peak,
        agreement_db=None if expected is None else agreement(one.result, expected),
        default=default,
    )


def agreement(result: Batch, expected: Batch) -> float:
    """PSNR in dB of values in [0, 1]; at most 200, where they are the same."""
    error = float(np.mean((result.astype(np.float64) - expected) ** 2))
    return float(-10 * np.log10(max(error, 1e-20)))


def spread(times: Sequence[float]) -> float:
    """Half the distance of the quartiles, as a fraction of the median."""
    low, middle, high = np.percentile(times, (25, 50, 75))
    return float((high - low) / 2 / middle)
