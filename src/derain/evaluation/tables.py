"""Tables of what was measured, the published figures beside it: Markdown, CSV, JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from derain.data.layouts import Found
from derain.data.public import SETS
from derain.evaluation import published
from derain.evaluation.evaluate import Measured
from derain.evaluation.sets import count_remarks
from derain.evaluation.typeset import align, count, csv_text, latex, number
from derain.metrics import METRICS, PROTOCOLS


@dataclass(frozen=True)
class Line:
    """One row: a measured model, or a method as published."""

    name: str
    measured: dict[str, float]  # empty for a method that is only published
    published: dict[str, str]  # as printed, by metric
    parameters: float | None = None
    gmacs: float | None = None  # at 512x384
    seconds: float | None = None  # per image
    note: int = 0  # number of the note that says where the published figures stand; 0 is none
    mark: str = ""  # of published.MARKS, where protocol or set differ
    result: Measured | None = None


@dataclass(frozen=True)
class Table:
    """All rows of one set."""

    found: Found
    protocol: str
    metrics: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # note 1 first
    remarks: tuple[str, ...]  # what holds for the whole table

    @property
    def has_published(self) -> bool:
        """Whether there is anything to put beside what was measured."""
        return any(line.published for line in self.lines)


def build(results: Sequence[Measured], everyone: bool) -> list[Table]:
    """Put results into one table per set.

    Args:
        results: Results of any sets and models.
        everyone: List every published method, not only those that were measured.
    """
    names = dict.fromkeys(result.found.name for result in results)
    return [_table([r for r in results if r.found.name == name], everyone) for name in names]


def _table(results: Sequence[Measured], everyone: bool) -> Table:
    first = results[0]
    found, protocol = first.found, first.protocol
    notes: dict[str, int] = {}
    used: list[published.PublishedRow] = []

    def line(row: published.PublishedRow | None, result: Measured | None) -> Line:
        number, mark = 0, ""
        if row:
            used.append(row)
            mark, difference = row.differences(found.name, protocol)
            text = "; ".join(t for t in (row.source, difference, row.first.remark) if t)
            number = notes.setdefault(text, len(notes) + 1)
        printed = row.printed if row else {}
        if result is None:
            assert row is not None
            millions = published.parameters(row.first.network) if row.first.network else None
            count = millions * 1e6 if millions else None
            return Line(row.first.method, {}, printed, count, note=number, mark=mark)
        record = result.record
        return Line(
            result.model.name, result.means, printed, record.parameters or None,
            record.gmacs or None, result.seconds, number, mark, result,
        )  # fmt: skip

    lines = [line(_own_row(result), result) for result in _ranked(results)]
    if everyone:
        others = [row for row in published.rows(found.name, found.title) if row not in used]
        others.sort(key=lambda row: (row.differences(found.name, protocol)[0] == "≠", -_level(row)))
        lines += [line(row, None) for row in others]
    infinite = [
        f"{result.model.name}: {result.infinite} of {len(result.rows)} images equal their "
        "ground truth; their PSNR is infinite, and so is the mean"
        for result in results
        if result.infinite
    ]
    tiled = [
        f"{result.model.name}: {n} of {len(result.rows)} images are large and went through "
        "in tiles; papers restore whole images (--tile off)"
        for result in results
        if (n := sum(row.tiled for row in result.rows))
    ]
    remarks, problems = count_remarks(found)
    return Table(
        found, protocol, first.metrics, tuple(lines), tuple(notes),
        (*remarks, *problems, *infinite, *tiled),
    )  # fmt: skip


def _ranked(results: Sequence[Measured]) -> list[Measured]:
    """The rainy input, then the models, the best first."""
    metric = results[0].metrics[0]
    sign = -1 if METRICS[metric].higher_is_better else 1
    return sorted(results, key=lambda r: (r.model.path is not None, sign * r.means[metric]))


def _level(row: published.PublishedRow) -> float:
    sign = 1 if METRICS[row.first.metric].higher_is_better else -1
    return sign * row.first.value


def _own_row(result: Measured) -> published.PublishedRow | None:
    """What its paper says of a network here; nothing for weights made for another set."""
    trained_for = result.record.name.lower()
    if trained_for in SETS and trained_for != result.found.name:
        return None
    row = published.of_network(result.record.network, result.found.name, result.found.title)
    return row if row and set(row.printed) & set(result.metrics) else None


def headline(table: Table) -> str:
    """What a table is about, in one line."""
    things = "pairs" if table.found.has_truth else "photographs without ground truth"
    text = f"{len(table.found.items)} {things}"
    if any(METRICS[metric].has_protocols for metric in table.metrics):
        text += f", protocol {table.protocol} ({PROTOCOLS[table.protocol].used_by})"
    return text


def cells(table: Table) -> list[list[str]]:
    """Header and rows as text; every published figure beside the measured one."""
    shown = [m for m in table.metrics if any(m in line.published for line in table.lines)]
    header = ["Model", "Parameters", "GMACs", "s/image"]
    for metric in table.metrics:
        header += [metric.upper(), "published"] if metric in shown else [metric.upper()]
    rows = [[*header, "from"] if shown else header]
    for line in table.lines:
        row = [line.name, count(line.parameters), number(line.gmacs, 1), number(line.seconds, 3)]
        for metric in table.metrics:
            row.append(number(line.measured.get(metric), METRICS[metric].digits))
            if metric in shown:
                printed = line.published.get(metric, "")
                row.append(f"{line.mark} {printed}" if printed and line.mark else printed)
        rows.append([*row, f"[{line.note}]" if line.note else ""] if shown else row)
    return rows


def marks(table: Table) -> list[str]:
    """The marks that a table's published figures carry."""
    return [mark for mark in published.MARKS if any(line.mark == mark for line in table.lines)]


def markdown(table: Table) -> str:
    """A table with its notes, aligned so that it also reads in a terminal."""
    lines = align(cells(table))
    notes = [f"[{i}] {note}  " for i, note in enumerate(table.notes, 1)]
    notes += [f"{mark} {published.MARKS[mark]}  " for mark in marks(table)]
    head = f"## {table.found.title}\n\n{headline(table)}"
    parts = [head, *table.remarks, "\n".join(lines), "\n".join(notes).rstrip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def across(tables: Sequence[Table]) -> list[list[str]]:
    """Every model on every set of pairs, and its average over them, as in MSPFN's Table 4.

    A published row stands for what compares with ours on every set; its averages are ours.

    Returns:
        Header and rows as text, a cell holding the common metrics; empty for fewer than two sets.
    """
    paired = [table for table in tables if table.found.has_truth]
    common = [m for m in paired[0].metrics if all(m in t.metrics for t in paired)] if paired else []
    if len(paired) < 2 or not common:
        return []
    ours: dict[str, list[dict[str, float]]] = {}
    theirs: dict[str, list[dict[str, float]]] = {}
    for table in paired:
        for line in table.lines:
            if line.measured:
                ours.setdefault(line.name, []).append(line.measured)
            if line.published and line.mark != "≠":
                values = {m: float(line.published[m]) for m in common if m in line.published}
                theirs.setdefault(f"{line.name}, published", []).append(values)
    header = ["/".join(map(str.upper, common)), *(table.found.title for table in paired), "average"]
    rows = [header]
    for name, values in [*ours.items(), *theirs.items()]:
        if len(values) == len(paired):
            everywhere = [m for m in common if all(m in v for v in values)]
            mean = {m: sum(v[m] for v in values) / len(values) for m in everywhere}
            rows.append([name, *(_joined(v, common) for v in (*values, mean))])
    return rows


def _joined(values: dict[str, float], metrics: Sequence[str]) -> str:
    return " / ".join(number(values.get(m), METRICS[m].digits) or "-" for m in metrics)


def as_latex(tables: Sequence[Table]) -> str:
    """All tables for a paper: one per set, then the one across sets."""
    texts = []
    for table in tables:
        notes = [f"[{i}] {note}" for i, note in enumerate(table.notes, 1)]
        notes += [f"{mark} {published.MARKS[mark]}" for mark in marks(table)]
        caption = "; ".join([f"{table.found.title}: {headline(table)}", *table.remarks, *notes])
        texts.append(latex(cells(table), f"{caption}."))
    if rows := across(tables):
        texts.append(latex(rows, f"All sets, protocol {tables[0].protocol}."))
    return "\n".join(texts)


def summary_csv(tables: Sequence[Table]) -> str:
    """One line per model and set, and per published method."""
    metrics = list(dict.fromkeys(metric for table in tables for metric in table.metrics))
    head = ["set", "images", "protocol", "model", "parameters", "gmacs_512x384", "seconds"]
    rows: list[list[Any]] = [
        [*head, *metrics, *(f"{m}_published" for m in metrics), "published_in", "differs"]
    ]
    for table in tables:
        for line in table.lines:
            row = [table.found.name, len(table.found.items), table.protocol, line.name]
            row += [line.parameters, line.gmacs, line.seconds]
            row += [line.measured.get(metric) for metric in metrics]
            row += [line.published.get(metric) for metric in metrics]
            rows.append([*row, table.notes[line.note - 1] if line.note else "", line.mark])
    return csv_text(rows)


def images_csv(tables: Sequence[Table]) -> str:
    """One line per image of every model."""
    metrics = list(dict.fromkeys(metric for table in tables for metric in table.metrics))
    rows: list[list[Any]] = [["set", "model", "image", "protocol", *metrics, "seconds"]]
    for result in measured(tables):
        for row in result.rows:
            values = [row.values.get(metric) for metric in metrics]
            name, model = row.item.name, result.model.name
            rows.append([result.found.name, model, name, result.protocol, *values, row.seconds])
    return csv_text(rows)


def measured(tables: Sequence[Table]) -> list[Measured]:
    """The results behind tables, in their order."""
    return [line.result for table in tables for line in table.lines if line.result]


def as_json(tables: Sequence[Table], about: dict[str, str]) -> str:
    """Everything, with every image; infinite values are the text "inf"."""
    return json.dumps(
        {
            **about,
            "sets": [
                {
                    "set": table.found.name,
                    "title": table.found.title,
                    "folder": str(table.found.folder),
                    "images": len(table.found.items),
                    "protocol": table.protocol,
                    "remarks": table.remarks,
                    "models": [_json_line(line, table) for line in table.lines],
                }
                for table in tables
            ],
        },
        indent=1,
        allow_nan=False,
    )


def _json_line(line: Line, table: Table) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": line.name,
        "parameters": line.parameters,
        "gmacs_512x384": line.gmacs,
        "seconds": line.seconds,
        "mean": _finite(line.measured),
        "published": {metric: float(text) for metric, text in line.published.items()},
        "published_in": table.notes[line.note - 1] if line.note else None,
        "differs": line.mark or None,
    }
    if line.result:
        model = line.result.model
        found |= {
            "sha256": model.sha256,
            "where": model.where,
            "trained_on": line.result.record.trained_on,
            "infinite": line.result.infinite,
            "rows": [
                {"image": row.item.name, "seconds": row.seconds, **_finite(row.values)}
                for row in line.result.rows
            ],
        }
    return found


def _finite(values: dict[str, float]) -> dict[str, float | str]:
    return {name: v if math.isfinite(v) else str(v) for name, v in values.items()}
