"""The table of a study: ours beside the published, and what becomes of the paper's claims."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from derain.data.layouts import Found
from derain.evaluation import published
from derain.evaluation.evaluate import Measured
from derain.evaluation.typeset import align, count, csv_text, number
from derain.metrics import METRICS
from derain.study.plan import Claim, Study
from derain.study.run import Outcome, StudySettings


class Value(NamedTuple):
    """A metric of a row over its seeds."""

    mean: float
    spread: float | None  # standard deviation over seeds; None with one
    runs: int


@dataclass(frozen=True)
class Line:
    """One row: what we measured and what the paper prints."""

    name: str
    values: dict[tuple[str, str], Value]  # (set, metric) -> ours; empty until it is trained
    printed: dict[tuple[str, str], str]  # (set, metric) -> as the paper prints it
    parameters: float | None
    parameters_printed: str
    gmacs: float | None
    seconds: float | None  # per image, in the network
    steps: float | None  # mean over seeds
    minutes: float | None  # of training, mean over seeds


class Verdict(NamedTuple):
    """A claim beside what we measured."""

    claim: Claim
    printed: float | None  # the paper's difference
    ours: float | None
    error: float | None  # standard error of our difference; None with one run of each
    word: str  # "confirmed", "contradicted", "undecided", "not trained"


@dataclass(frozen=True)
class StudyTable:
    """All of a study's results."""

    study: Study
    departures: str  # from the paper's training, in words; empty where there is none
    sets: tuple[Found, ...]
    marks: dict[str, str]  # set -> how its published figures compare, in words; empty if they do
    lines: tuple[Line, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """The study's title, which says how its trainings depart from the paper's."""
        return f"{self.study.title}{f' ({self.departures})' if self.departures else ''}"


def build(
    study: Study,
    sets: Sequence[Found],
    outcomes: Sequence[Outcome],
    rainy: Sequence[Measured],
    settings: StudySettings,
) -> StudyTable:
    """Put what was measured into the paper's table.

    Args:
        study: What is compared.
        sets: What was measured on.
        outcomes: The trained rows, each with one seed.
        rainy: What was measured of the rainy images themselves.
        settings: How the study was carried out.
    """
    figures = [f for f in published.figures() if (f.paper, f.table) == (study.paper, study.table)]
    found = {one.name: one for one in sets}
    marks = {name: _difference(figures, one, study.protocol) for name, one in found.items()}
    input_values = {
        (result.found.name, metric): Value(value, None, 1)
        for result in rainy
        for metric, value in result.means.items()
    }
    first = Line("rainy input", input_values, {}, None, "", None, None, None, None)
    lines = [first, *(_line(row.name, outcomes, figures, found) for row in study.rows)]
    verdicts = [
        _verdict(claim, lines, next(iter(found)), study.metrics[0]) for claim in study.claims
    ]
    told = departures(settings)
    return StudyTable(study, told, tuple(sets), marks, tuple(lines), tuple(verdicts))


def departures(settings: StudySettings) -> str:
    """How the trainings of a study depart from the paper's, in words; empty where they do not."""
    parts = []
    if settings.training.minutes is not None:
        parts.append(f"budgeted: {settings.training.minutes:g} minutes a row, not its full length")
    if settings.recipe:
        parts.append(f"by {settings.recipe.name}, not the paper's recipe")
    if settings.changes:
        parts.append(f"every row with {', '.join(settings.changes)}")
    return "; ".join(parts)


def _line(
    name: str,
    outcomes: Sequence[Outcome],
    figures: Sequence[published.Figure],
    found: dict[str, Found],
) -> Line:
    """A row from its runs and its published figures."""
    mine = [outcome for outcome in outcomes if outcome.job.row.name == name]
    measured = [result for outcome in mine for result in outcome.measured]
    values = {
        (place, metric): _over_seeds(
            [result.means[metric] for result in measured if result.found.name == place]
        )
        for place in found
        for metric in (measured[0].metrics if measured else ())
    }
    own = [figure for figure in figures if figure.method == name]
    # Figures of one set stand, marked, beside whatever is measured; those of several by set.
    one_set = len({figure.set_printed for figure in own if figure.metric in METRICS}) == 1
    printed = {
        (place, figure.metric): figure.printed
        for figure in own
        for place, one in found.items()
        if place == figure.set or one.title == figure.set_printed or one_set
    }
    millions = next((f.printed for f in own if f.metric == "parameters"), "")
    record = measured[0].record if measured else None
    seconds = [result.seconds for result in measured if result.seconds is not None]
    return Line(
        name, values, printed,
        record.parameters if record else None, millions,
        record.gmacs if record else None,
        statistics.fmean(seconds) if seconds else None,
        statistics.fmean(o.steps for o in mine) if mine else None,
        statistics.fmean(o.seconds for o in mine) / 60 if mine else None,
    )  # fmt: skip


def _over_seeds(values: Sequence[float]) -> Value:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Value(statistics.fmean(values), spread, len(values))


def _difference(figures: Sequence[published.Figure], found: Found, protocol: str) -> str:
    """How a table's figures compare with ours on a set, in words; empty where nothing differs."""
    own = [f for f in figures if f.metric in METRICS and METRICS[f.metric].has_protocols]
    if not own:
        return ""
    here = next((f for f in own if f.set == found.name), own[0])
    mark, words = published.PublishedRow((here,)).differences(found.name, protocol)
    return f"{mark} {words}" if mark else ""


def _verdict(claim: Claim, lines: Sequence[Line], place: str, metric: str) -> Verdict:
    """What becomes of a claim on the first set by the first metric.

    With several runs of both rows a difference counts from two standard errors on; with one run of
    each its sign alone is told.
    """
    better, than = (next(x for x in lines if x.name == n) for n in (claim.better, claim.than))
    sign = 1 if METRICS[metric].higher_is_better else -1
    key = (place, metric)
    texts = [line.printed.get(key) for line in (better, than)]
    printed = sign * (float(texts[0]) - float(texts[1])) if texts[0] and texts[1] else None
    a, b = better.values.get(key), than.values.get(key)
    if a is None or b is None:
        return Verdict(claim, printed, None, None, "not trained")
    ours = sign * (a.mean - b.mean)
    if a.spread is None or b.spread is None:
        word = "one run: agrees" if ours > 0 else "one run: disagrees"
        return Verdict(claim, printed, ours, None, word)
    error = math.sqrt(a.spread**2 / a.runs + b.spread**2 / b.runs)
    if abs(ours) < 2 * error:
        return Verdict(claim, printed, ours, error, "undecided")
    return Verdict(claim, printed, ours, error, "confirmed" if ours > 0 else "contradicted")


def cells(table: StudyTable) -> list[list[str]]:
    """Header and rows as text."""
    shown = [
        (found, metric, any((found.name, metric) in line.printed for line in table.lines))
        for found in table.sets
        for metric in table.study.metrics
    ]
    header = ["", "Parameters", "published", "GMACs", "s/image", "steps", "minutes"]
    for found, metric, has_printed in shown:
        header.append(f"{found.title} {metric.upper()}")
        if has_printed:
            header.append("published")
    rows = [header]
    for line in table.lines:
        row = [
            line.name, count(line.parameters),
            f"{line.parameters_printed} M" if line.parameters_printed else "",
            number(line.gmacs, 1), number(line.seconds, 3),
            number(line.steps, 0), number(line.minutes, 1),
        ]  # fmt: skip
        for found, metric, has_printed in shown:
            row.append(_told(line.values.get((found.name, metric)), METRICS[metric].digits))
            if has_printed:
                printed = line.printed.get((found.name, metric), "")
                mark = table.marks[found.name].partition(" ")[0]
                row.append(f"{mark} {printed}" if printed and mark else printed)
        rows.append(row)
    empty = [i for i in range(1, len(header)) if not any(row[i] for row in rows[1:])]
    return [[cell for i, cell in enumerate(row) if i not in empty] for row in rows]


def _told(value: Value | None, digits: int) -> str:
    if value is None:
        return ""
    spread = f" ± {value.spread:.{digits}f}" if value.spread is not None else ""
    return f"{value.mean:.{digits}f}{spread}"


def verdict_cells(table: StudyTable) -> list[list[str]]:
    """What becomes of the paper's claims, as text."""
    digits = METRICS[table.study.metrics[0]].digits
    rows = [["the paper's claim", "published difference", "ours", "so"]]
    for verdict in table.verdicts:
        error = "" if verdict.error is None else f" ± {verdict.error:.{digits}f}"
        rows.append(
            [
                f"{verdict.claim.better} is better than {verdict.claim.than}",
                "" if verdict.printed is None else f"{verdict.printed:+.{digits}f}",
                "" if verdict.ours is None else f"{verdict.ours:+.{digits}f}{error}",
                verdict.word,
            ]
        )
    return rows


def remarks(table: StudyTable) -> list[str]:
    """What a reader has to know beside the numbers."""
    marked = [found for found in table.sets if table.marks[found.name]]
    lines = [f"{found.title}: {table.marks[found.name]}." for found in marked]
    if table.study.table:
        lines.insert(0, f"Published: {table.study.paper}, {table.study.table}.")
    untrained = [line.name for line in table.lines[1:] if not line.values]
    if untrained:
        lines.append(f"Not trained yet: {', '.join(untrained)}.")
    if any(value.spread is not None for line in table.lines for value in line.values.values()):
        lines.append("± is the standard deviation over seeds; of a difference, its standard error.")
    return lines


def markdown(table: StudyTable) -> str:
    """The table, its remarks and the claims, aligned so that they also read in a terminal."""
    parts = [f"## {table.title}", "\n".join(align(cells(table)))]
    parts += ["\n".join(f"{remark}  " for remark in remarks(table)).rstrip()]
    if table.verdicts:
        parts.append("\n".join(align(verdict_cells(table))))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_csv(outcomes: Sequence[Outcome], table: StudyTable) -> str:
    """One line per row, seed and set; the last column says how published figures compare."""
    names = {line.name: line for line in table.lines}
    metrics = list(dict.fromkeys(m for o in outcomes for r in o.measured for m in r.metrics))
    head = ["row", "seed", "set", "images", "protocol", "parameters", "gmacs_512x384"]
    head += ["seconds_per_image", "steps", "training_seconds"]
    head += [*metrics, *(f"{m}_published" for m in metrics), "published_differs"]
    rows: list[list[Any]] = [head]
    for outcome in outcomes:
        for result in outcome.measured:
            place, row = result.found.name, outcome.job.row.name
            printed = names[row].printed
            rows.append(
                [
                    row, outcome.job.seed, place, len(result.rows), result.protocol,
                    result.record.parameters, result.record.gmacs, result.seconds,
                    outcome.steps, outcome.seconds,
                    *(result.means.get(m) for m in metrics),
                    *(printed.get((place, m), "") for m in metrics), table.marks[place],
                ]
            )  # fmt: skip
    return csv_text(rows)
