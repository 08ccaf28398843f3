"""Measure what rain costs a model, and what each deraining gives back."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from derain.downstream.annotations import read_coco, read_masks
from derain.downstream.bootstrap import draw_weights, interval, recovered
from derain.downstream.detection import DetectionSettings
from derain.downstream.inputs import Derained, Folder, Input, PresetRain
from derain.downstream.tasks import NAMES, DetectionTask, SegmentationTask, Task
from derain.downstream.types import Detector, Segmenter
from derain.metrics import psnr, ssim

RAIN, CLEAN = "rain", "clean"
LOWEST = 5.0  # percent; a model that is right so seldom on clean images is used wrongly
PROTOCOL = "y"  # of PSNR and SSIM

Note = Callable[[str], None]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval of confidence over the images."""

    value: float
    low: float
    high: float

    @property
    def is_significant(self) -> bool:
        """Whether a difference is one: its interval has no zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Row:
    """One version of the images."""

    name: str
    source: Input
    result: Any  # a tasks.Result
    metrics: dict[str, Estimate]  # in percent
    changes: dict[str, Estimate]  # against the rainy images, paired; empty for these
    recovered: Estimate | None  # percent of what rain costs; None if that is not known
    psnr: tuple[float, ...]  # by image, dB; empty without clean images
    ssim: tuple[float, ...]
    seconds: float | None  # per image, of a network that ran here

    @property
    def is_derained(self) -> bool:
        """Whether it is compared with the rainy images."""
        return self.name not in (RAIN, CLEAN)


@dataclass(frozen=True)
class Report:
    """All versions, the rainy one first.

    Attributes:
        task: What was measured, by what.
        rows: By version.
        warnings: What makes the numbers doubtful.
        bootstrap: Draws, and the seed of the generator.
        cost: What rain costs of the primary metric; None without clean images.
    """

    task: Task
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]
    bootstrap: tuple[int, int]
    cost: Estimate | None

    def row(self, name: str) -> Row:
        """A version by its name.

        Raises:
            KeyError: There is none.
        """
        return {row.name: row for row in self.rows}[name]


@dataclass
class _Seen:
    """What is gathered of one version, image by image."""

    source: Input
    found: list[Any] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)


def evaluate_downstream(
    task: str,
    model: Detector | Segmenter,
    inputs: Mapping[str, Input | Path | str | Callable[[NDArray[Any]], NDArray[Any]]],
    annotations: Path | str,
    *,
    score_threshold: float = 0.6,
    iou_threshold: float = 0.5,
    ignore: int = 255,
    bootstrap: int = 1000,
) -> Report:
    """Measure a detector or segmenter on several versions of the same images.

    Args:
        task: ``detect`` or ``segment``.
        model: Any callable like ``Detector`` or ``Segmenter``.
        inputs: Versions by name, in the order of the report. ``rain`` is what the others are
            compared with, ``clean`` is what can be reached. A version is a folder of images named
            as in the annotations; ``preset:NAME`` for rain of a preset on the clean ones; or a
            function of the rainy images, such as ``derain.load()``.
        annotations: A COCO JSON file, or a folder of index masks.
        score_threshold: See ``DetectionSettings``.
        iou_threshold: See ``DetectionSettings``.
        ignore: The value of mask pixels that do not count.
        bootstrap: Draws of the bootstrap.

    Raises:
        ValueError: Unknown task, an image that is missing or has another size, or what the model
            returns cannot be used; names it.
    """
    if task == "detect":
        thresholds = DetectionSettings(score_threshold, iou_threshold)
        chosen: Task = DetectionTask(
            cast(Detector, model), read_coco(Path(annotations)), thresholds
        )
    elif task == "segment":
        if not isinstance(model, Segmenter):
            raise ValueError("a segmenter has a name and says its num_classes")
        chosen = SegmentationTask(model, read_masks(Path(annotations), ignore))
    else:
        raise ValueError(f"unknown task {task!r}; known: detect, segment")
    versions: dict[str, Input] = {}
    for name in sorted(inputs, key=(CLEAN, RAIN).__contains__, reverse=True):
        versions[name] = as_input(inputs[name], inputs.get(CLEAN), versions.get(RAIN))
    return measure(chosen, {name: versions[name] for name in inputs}, bootstrap)


def as_input(what: Any, clean: Any = None, rain: Input | None = None) -> Input:
    """A version from what a caller may give for it.

    Args:
        what: As in ``evaluate_downstream``.
        clean: The folder of the clean images, for rain of a preset.
        rain: The rainy images, for a function of them.

    Raises:
        ValueError: What it needs is not there.
    """
    if isinstance(what, str) and what.startswith("preset:"):
        if not isinstance(clean, Path | str):
            raise ValueError(f"{what} needs a folder of clean images")
        return PresetRain(what.removeprefix("preset:"), Folder(Path(clean)))
    if isinstance(what, Path | str):
        return Folder(Path(what))
    if callable(what):
        if rain is None:
            raise ValueError("a function needs the rainy images, under the name rain")
        return Derained(cast(Callable[[NDArray[Any]], NDArray[Any]], what), rain)
    return what


def measure(
    task: Task,
    versions: Mapping[str, Input],
    bootstrap: int = 1000,
    seed: int = 0,
    *,
    note: Note = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:
    """Run a model on every version of every image, and judge it.

    Args:
        task: The model and the annotations.
        versions: By name; ``rain`` must be among them, ``clean`` should.
        bootstrap: Draws of the bootstrap.
        seed: The seed of its generator.
        note: Is told warnings.
        progress: Is told after each image how many are done, of how many.

    Raises:
        ValueError: As ``evaluate_downstream``.
    """
    if RAIN not in versions:
        raise ValueError("there must be rainy images to compare with, under the name rain")
    for source in versions.values():
        source.check(task.images)
    seen = {name: _Seen(source) for name, source in versions.items()}
    swapped: list[Any] = []  # what is found in clean images of red for blue
    for number, image in enumerate(task.images, 1):
        pixels = {name: one.source.read(image) for name, one in seen.items()}
        clean = pixels.get(CLEAN)
        for name, one in seen.items():
            one.found.append(task.run(image, pixels[name]))
            if clean is not None:
                same = name == CLEAN
                one.psnr.append(math.inf if same else psnr(pixels[name], clean, PROTOCOL))
                one.ssim.append(1.0 if same else ssim(pixels[name], clean, PROTOCOL))
        if clean is not None:
            swapped.append(task.run(image, np.ascontiguousarray(clean[..., ::-1])))
        progress(number, len(task.images))
    warnings = list(_doubts(task, seen[CLEAN].found, swapped)) if CLEAN in seen else [
        "without clean images nothing says whether the model is used rightly, nor what comes back"
    ]  # fmt: skip
    for text in warnings:
        note(f"warning: {text}")
    return _judged(task, seen, warnings, bootstrap, seed)


def _doubts(task: Task, found: Sequence[Any], swapped: Sequence[Any]) -> Sequence[str]:
    """What on clean images speaks for a wrong setting of the model."""
    once = np.ones((1, len(found)))
    metric, name = task.primary, NAMES[task.primary]

    def score(what: Sequence[Any]) -> float:
        return float(task.score(what).measure(once)[metric][0])

    value = score(found)
    doubts: list[str] = []
    if value < LOWEST:
        doubts.append(
            f"{task.model.name}: {name} of the clean images is {value:.1f}: its normalisation, "
            "colour order, size or labels are probably wrong"
        )
    others = [
        (score(swapped), "red and blue exchanged", "it wants the other colour order (RGB or BGR)"),
        *(
            (score([task.shift(one, by) for one in found]), f"every class moved by {by:+d}",
             "its labels are off by one")
            for by in (-1, 1)
        ),
    ]  # fmt: skip
    best = max(other for other, _, _ in others)
    doubts += [
        f"{task.model.name}: {name} of the clean images is {value:.1f}, with {how} {other:.1f}: "
        f"probably {cause}"
        for other, how, cause in others
        if other == best > value
    ]
    return doubts


def _judged(
    task: Task, seen: Mapping[str, _Seen], warnings: Sequence[str], draws: int, seed: int
) -> Report:
    count = len(task.images)
    weights = np.vstack([np.ones((1, count)), draw_weights(count, draws, seed)])
    results = {name: task.score(one.found) for name, one in seen.items()}
    measured: dict[str, dict[str, Array]] = {n: r.measure(weights) for n, r in results.items()}
    rain, clean = measured[RAIN], measured.get(CLEAN)
    cost = clean[task.primary] - rain[task.primary] if clean else None
    # What comes back of next to nothing is noise
    known = cost is not None and cost[0] > 0 and cost[0] >= 2 * np.nanstd(cost[1:])
    rows: list[Row] = []
    for name, one in seen.items():
        values = measured[name]
        changes = {m: _estimate(values[m] - rain[m]) for m in values} if name != RAIN else {}
        back = None
        if clean and known:
            back = _estimate(
                100 * recovered(values[task.primary], rain[task.primary], clean[task.primary])
            )
        seconds = getattr(one.source, "seconds", {})
        rows.append(
            Row(
                name, one.source, results[name], {m: _estimate(v) for m, v in values.items()},
                changes, back, tuple(one.psnr), tuple(one.ssim),
                float(np.mean(list(seconds.values()))) if seconds else None,
            )
        )  # fmt: skip
    rows.sort(key=lambda row: row.name != RAIN)
    whole = _estimate(cost) if cost is not None else None
    return Report(task, tuple(rows), tuple(warnings), (draws, seed), whole)


def _estimate(values: Array) -> Estimate:
    """The first value is of the images as they are, the others are bootstrap draws."""
    return Estimate(float(values[0]), *interval(values[1:]))


def mean_of(values: Sequence[float]) -> float:
    """Their mean; infinite as soon as one is, NaN for none."""
    return math.fsum(values) / len(values) if values else math.nan
