"""Run models over sets: metrics and seconds of every image, kept as they come."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.data.layouts import Found
from derain.evaluation.cache import Cache, Key, Measurement, Note, content_of
from derain.evaluation.models import EvaluationModel
from derain.evaluation.sets import read_pair
from derain.io.pairs import PairPath
from derain.metrics import (
    METRICS,
    ParametersError,
    bind,
    default_metrics,
    get_metric,
    get_protocol,
    quantise,
)
from derain.weights.record import Record

Functions = dict[str, Callable[..., float]]


@dataclass(frozen=True)
class ImageResult:
    """One image of one model."""

    item: PairPath
    values: dict[str, float]
    seconds: float
    tiled: bool
    key: Key


@dataclass(frozen=True)
class Measured:
    """One model on one set."""

    model: EvaluationModel
    record: Record
    found: Found
    protocol: str
    rows: tuple[ImageResult, ...]
    cache: Cache

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what was measured."""
        return tuple(self.rows[0].values)

    @property
    def means(self) -> dict[str, float]:
        """The mean over images, by metric; infinite as soon as one value is."""
        return {m: float(np.mean([row.values[m] for row in self.rows])) for m in self.metrics}

    @property
    def infinite(self) -> int:
        """How many images equal their ground truth."""
        return sum(math.isinf(row.values.get("psnr", 0)) for row in self.rows)

    @property
    def seconds(self) -> float | None:
        """Mean seconds per image in the network; None for the rainy input."""
        if not self.model.path:
            return None
        return float(np.mean([row.seconds for row in self.rows]))


@dataclass(frozen=True)
class Plan:
    """What to measure, and how."""

    metrics: tuple[str, ...] = ()  # empty: the defaults for the set
    protocol: str = "y"
    jobs: int = 1  # images measured at a time, beside the one in the network
    parameters: Path | None = None  # of NIQE and SSEQ

    def functions(self, found: Found) -> tuple[Functions, dict[str, str]]:
        """The metrics that can be measured on a set.

        Returns:
            Functions by metric; and why others cannot be: their parameter files are absent.

        Raises:
            ValueError: Unknown metric or protocol.
        """
        get_protocol(self.protocol)
        names = self.metrics or default_metrics("evaluate", found.has_truth)
        functions: Functions = {}
        skipped: dict[str, str] = {}
        for name in names:
            if get_metric(name).needs_reference and not found.has_truth:
                continue
            try:
                functions[name] = bind(name, self.protocol, self.parameters)
            except ParametersError as error:
                skipped[name] = str(error)
        return functions, skipped


def evaluate(
    models: Sequence[EvaluationModel],
    sets: Sequence[Found],
    plan: Plan,
    folder: Path,
    *,
    note: Note = lambda text: None,
    advance: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """Measure models on sets; what ``folder`` holds from earlier runs is not computed again.

    Args:
        models: The models.
        sets: The sets.
        plan: Metrics and protocol.
        folder: For the cache.
        note: Is told what cannot be measured or read.
        advance: Called after each image of each model.

    Raises:
        ValueError: An image that cannot be read, restored or measured, which is named; or no
            metric is left on any set. What was measured before stays.
    """
    results: list[Measured] = []
    said: dict[str, str] = {}
    for found in sets:
        functions, skipped = plan.functions(found)
        for metric in skipped.keys() - said.keys():
            note(skipped[metric])
        said |= skipped
        if not functions:
            note(f"{found.title}: left out, no metric that was asked for can be measured on it")
            continue
        for model in models:
            cache = Cache(folder, model.sha256, found.name, note)
            rows = _measure(model, found, plan, functions, cache, advance)
            record = cache.record(lambda model=model: model.record)
            results.append(Measured(model, record, found, plan.protocol, rows, cache))
    if not results:
        raise ValueError("nothing was measured: " + ("; ".join(said.values()) or "see above"))
    return results


def _measure(
    model: EvaluationModel,
    found: Found,
    plan: Plan,
    functions: Functions,
    cache: Cache,
    advance: Callable[[], None],
) -> tuple[ImageResult, ...]:
    floats = get_protocol(plan.protocol).takes_floats
    keys = [Key(content_of(item), plan.protocol, model.where) for item in found.items]
    pending: deque[tuple[PairPath, Key, Future[dict[str, float]], float, bool]] = deque()

    def finish() -> None:
        item, key, values, seconds, tiled = pending.popleft()
        cache.add(item.name, key, Measurement(values.result(), seconds, tiled))
        advance()

    warm = model.path is None
    with ThreadPoolExecutor(plan.jobs) as pool:
        for item, key in zip(found.items, keys, strict=True):
            entry = cache.entries.get(key, Measurement({}, 0))
            missing = {name: f for name, f in functions.items() if name not in entry.values}
            if not missing:
                advance()
                continue
            rainy, clean = read_pair(item)
            given = rainy / np.float32(255) if floats and model.path else rainy
            restored, seconds = _restore(model, given, item, warm)
            warm = True
            # One job at a time leaves the processor to the network while it is timed
            values = pool.submit(_values, missing, restored, clean, item)
            pending.append((item, key, values, seconds, model.tiles(rainy)))
            while len(pending) >= plan.jobs:
                finish()
        while pending:
            finish()
    rows: list[ImageResult] = []
    for item, key in zip(found.items, keys, strict=True):
        entry = cache.entries[key]
        values = {name: entry.values[name] for name in functions}
        rows.append(ImageResult(item, values, entry.seconds, entry.tiled, key))
    return tuple(rows)


def _restore(
    model: EvaluationModel, image: NDArray[Any], item: PairPath, warm: bool
) -> tuple[NDArray[Any], float]:
    try:
        if not warm:
            model(image)  # the first image pays for loading; it is run again and timed
        start = time.perf_counter()
        restored = model(image)
    except ValueError as error:
        raise ValueError(f"{item.path}: {model.name}: {error}") from error
    return restored, time.perf_counter() - start


def _values(
    functions: Functions, restored: NDArray[Any], clean: NDArray[Any] | None, item: PairPath
) -> dict[str, float]:
    image = restored if restored.dtype == np.uint8 else quantise(restored)
    values: dict[str, float] = {}
    for name, function in functions.items():
        try:
            if METRICS[name].has_protocols:
                values[name] = function(restored, clean)  # protocol `dcsfn` measures floats
            elif METRICS[name].needs_reference:
                values[name] = function(image, clean)
            else:
                values[name] = function(image)
        except ValueError as error:
            raise ValueError(f"{item.path}: {error}") from error
    return values
