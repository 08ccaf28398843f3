"""The HTML report: one file that opens from disk, with all its images inside."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from derain.evaluation import tables, typeset
from derain.evaluation.evaluate import ImageResult, Measured
from derain.evaluation.pages import data_url, restored, template
from derain.evaluation.published import MARKS
from derain.evaluation.scatter import Level, Point, scatter
from derain.evaluation.sets import read_pair
from derain.evaluation.tables import Line, Table
from derain.metrics import METRICS

QUALITY = 95  # of the WebP images in a report
COSTS: tuple[tuple[str, str, Callable[[Line], float | None]], ...] = (
    ("GMACs", "GMACs (10^9 multiply-adds) at 512x384", lambda line: line.gmacs),
    ("parameters", "parameters, in millions", lambda line: (line.parameters or 0) / 1e6),
    ("time", "seconds per image, on this machine", lambda line: line.seconds),
)


@dataclass(frozen=True)
class Example:
    """An image worth looking at."""

    rank: str  # "best", "median" or "worst"
    row: ImageResult
    size: tuple[int, int]  # width, height
    images: dict[str, str]  # "rainy", each model, perhaps "ground truth" -> key of the report's
    scores: tuple[str, ...]  # "PSNR 13.55 → 28.66", ...


def render(results: Sequence[Table], about: dict[str, str]) -> str:
    """Make the page.

    Args:
        results: Tables of ``tables.build``.
        about: What the page says of the run: name -> value.

    Returns:
        HTML that loads nothing from anywhere.

    Raises:
        ImportError: Jinja2 is not installed.
    """
    data_urls: dict[str, str] = {}
    return template("report.html.jinja").render(
        about=about,
        tables=results,
        cells=_cells,
        count=typeset.count,
        headline=tables.headline,
        marks={table.found.name: tables.marks(table) for table in results},
        meanings=MARKS,
        plots={table.found.name: plots(table) for table in results},
        examples={
            table.found.name: [
                (name, examples(result, _restored(table), _input_of(table), data_urls))
                for name, result in _restored(table).items()
            ]
            for table in results
        },
        models=_models(results),
        data_urls=data_urls,
    )


def _cells(value: float | None, metric: str) -> str:
    if value is not None and math.isinf(value):
        return "∞"
    return typeset.number(value, METRICS[metric].digits)


def _input_of(table: Table) -> dict[str, ImageResult]:
    """What was measured of the rainy images themselves, by image."""
    results = [line.result for line in table.lines if line.result]
    rainy = next((result for result in results if not result.model.path), None)
    return {row.item.name: row for row in rainy.rows} if rainy else {}


def _restored(table: Table) -> dict[str, Measured]:
    """What was measured of each model, by its name in the table."""
    return {
        line.name: line.result for line in table.lines if line.result and line.result.model.path
    }


def _models(results: Sequence[Table]) -> list[Measured]:
    """Each model once."""
    found = {result.model.name: result for result in tables.measured(results)}
    return [result for result in found.values() if result.model.path]


def plots(table: Table) -> list[tuple[str, str]]:
    """The quality of a set's first metric against each cost that is known: (name, SVG)."""
    metric = table.metrics[0]
    lower = not METRICS[metric].higher_is_better
    drawn: list[tuple[str, str]] = []
    for name, axis, cost_of in COSTS:
        points: list[Point] = []
        levels: list[Level] = []
        for line in table.lines:
            measured, cost = line.measured.get(metric), cost_of(line)
            printed = line.published.get(metric)
            theirs = float(printed) if printed and line.mark != "≠" else None
            if measured is not None and math.isfinite(measured):
                if cost:
                    points.append(Point(line.name, cost, measured, "measured", theirs))
                elif line.result and not line.result.model.path:
                    text = f"{line.name} {_cells(measured, metric)}"
                    levels.append(Level(text, measured, "input"))
            elif measured is None and theirs is not None:
                if cost and name == "parameters":
                    points.append(Point(line.name, cost, theirs, "published"))
                else:
                    text = f"{line.name} {printed} [{line.note}]"
                    levels.append(Level(text, theirs, "published"))
        if any(point.kind == "measured" for point in points):
            quality = METRICS[metric].axis
            drawn.append((name, scatter(points, levels, axis, quality, lower=lower)))
    return drawn


def examples(
    result: Measured,
    everyone: Mapping[str, Measured],
    inputs: Mapping[str, ImageResult],
    data_urls: dict[str, str],
) -> list[Example]:
    """The best, the median and the worst image of a model, as every model restores them.

    Args:
        result: The model on a set.
        everyone: All models on that set, by name.
        inputs: The same measurements of the rainy images, by image; may be empty.
        data_urls: Receives the images as data: URLs, by a key of their own.
    """
    metric = result.metrics[0]
    sign = -1 if METRICS[metric].higher_is_better else 1
    ranked = sorted(result.rows, key=lambda row: sign * row.values[metric])
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    return [
        _example(rank, row, everyone, inputs.get(row.item.name), data_urls)
        for rank, row in chosen.items()
    ]


def _example(
    rank: str,
    row: ImageResult,
    everyone: Mapping[str, Measured],
    before: ImageResult | None,
    data_urls: dict[str, str],
) -> Example:
    rainy, clean = read_pair(row.item)
    keys: dict[str, str] = {}

    def show(label: str, owner: str, image: Callable[[], NDArray[np.uint8]]) -> None:
        keys[label] = f"{row.key.content[:16]}-{owner}"
        if keys[label] not in data_urls:
            data_urls[keys[label]] = data_url(image(), QUALITY)

    show("rainy", "rainy", lambda: rainy)
    for name, result in everyone.items():
        own = next(other for other in result.rows if other.item.name == row.item.name)
        show(
            name, result.model.sha256[:8],
            partial(restored, result.model, result.cache, own.key, rainy),
        )  # fmt: skip
    if clean is not None:
        truth = clean
        show("ground truth", "clean", lambda: truth)
    scores: list[str] = []
    for metric, value in row.values.items():
        change = f"{_cells(before.values[metric], metric)} → " if before else ""
        scores.append(f"{metric.upper()} {change}{_cells(value, metric)}")
    return Example(rank, row, (rainy.shape[1], rainy.shape[0]), keys, tuple(scores))
