"""Every figure of the papers' tables: method, set, metric, paper, table and protocol.

The numbers stand in published.toml, exactly as printed. Protocols are those of
``derain.metrics.protocols``. A set is named by what it is, not by what a paper calls it: DCSFN's
"Rain100H" is the edition with 200 test pairs, our `rain200h`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from derain.metrics import METRICS

UNPROVEN = "?"  # ends the name of a protocol that is likely: the evaluation code was not found

MARKS = {
    "≈": "protocols that differ by less than 0.002 dB and, below 384 pixels, 0.0004 SSIM",
    "?": "by a protocol that is likely, not proven",
    "≠": "another protocol or set: does not compare with ours",
}


@dataclass(frozen=True)
class Figure:
    """One number of one table."""

    method: str  # as printed
    network: str  # its name in derain.models, if we have it
    set: str  # key of derain.data.public.SETS, or the authors' name of a set that is not there
    set_printed: str
    metric: str  # of derain.metrics, or parameters (in 10^6), seconds, precision, ...
    printed: str
    protocol: str  # empty where none is stated
    paper: str
    table: str
    remark: str = ""
    main: bool = True  # False for ablations and quotations, which comparisons leave out

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)


@dataclass(frozen=True)
class PublishedRow:
    """What one table says of one method on one set: several metrics by one protocol."""

    figures: tuple[Figure, ...]

    @property
    def first(self) -> Figure:
        """One figure, for what all share."""
        return self.figures[0]

    @property
    def printed(self) -> dict[str, str]:
        """The numbers as printed, by metric."""
        return {figure.metric: figure.printed for figure in self.figures}

    @property
    def source(self) -> str:
        """Where it stands."""
        return f"{self.first.paper}, {self.first.table}"

    def differences(self, name: str, protocol: str) -> tuple[str, str]:
        """Say how these numbers compare with ours on a set by a protocol.

        Returns:
            A key of ``MARKS``, empty where nothing differs; and what differs, in words.
        """
        if self.first.set != name:
            what = f"another set: its {self.first.set_printed} is our {self.first.set}"
            theirs = self.first.protocol
            return "≠", what if theirs in ("", protocol) else f"{what}; protocol {theirs}"
        if not any(METRICS[metric].has_protocols for metric in self.printed):
            return "", ""
        theirs = self.first.protocol
        if theirs == protocol:
            return "", ""
        if {theirs, protocol} == {"y", "y_float"}:
            return "≈", f"protocol {theirs}"
        if theirs.rstrip(UNPROVEN) == protocol:
            return "?", f"protocol {protocol} likely, not proven"
        return (
            "≠",
            f"protocol {theirs.replace(UNPROVEN, ', likely')}" if theirs else "no protocol stated",
        )


@dataclass(frozen=True)
class PublishedTable:
    """A table as printed."""

    paper: str
    name: str
    protocol: str  # of PSNR and SSIM; empty where none is stated or none is measured
    metrics: tuple[str, ...]  # the parts of a cell; empty where the rows are metrics
    cells: tuple[tuple[str, ...], ...]  # header first
    remark: str


@cache
def printed_tables() -> tuple[PublishedTable, ...]:
    """All tables, in the order of the file."""
    return tuple(
        PublishedTable(
            table["paper"], table["name"], table["protocol"], tuple(table.get("metrics", ())),
            tuple(map(tuple, _split(table["text"]))), table.get("remark", ""),
        )
        for table in _file()
    )  # fmt: skip


def find_tables(paper: str = "", name: str = "") -> list[PublishedTable]:
    """The tables whose paper and name contain some words, in small letters or capitals.

    Raises:
        ValueError: There is none; lists the papers, or the paper's tables.
    """
    papers = dict.fromkeys(table.paper for table in printed_tables())
    of_paper = [table for table in printed_tables() if _plain(paper) in _plain(table.paper)]
    if not of_paper:
        raise ValueError(f"no paper {paper!r}; there are: {', '.join(papers)}")
    found = [table for table in of_paper if _plain(name) in _plain(table.name)]
    if not found:
        names = ", ".join(table.name for table in of_paper)
        raise ValueError(f"{of_paper[0].paper} has no table {name!r}; there are: {names}")
    return found


def _plain(text: str) -> str:
    """Small letters and digits alone."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


@cache
def figures() -> tuple[Figure, ...]:
    """All of them, in the order of the file."""
    return tuple(figure for table in _file() for figure in _read(table))


def _file() -> list[dict[str, Any]]:
    text = resources.files("derain.evaluation").joinpath("published.toml").read_text("utf-8")
    return tomllib.loads(text)["table"]


def _split(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def _read(table: dict[str, Any]) -> Iterator[Figure]:
    header, *rows = _split(table["text"])
    across = table.get("across", False)
    parts = header[0].split() if across else table["metrics"]
    sets, networks = table.get("sets", {}), table.get("networks", {})
    for first, *cells in rows:
        for column, cell in zip(header[1:], cells, strict=True):
            for part, printed in zip(parts, cell.split("/"), strict=True):
                method, place, metric = (column, part, first) if across else (first, column, part)
                if printed.strip() != "-":
                    yield Figure(
                        method, networks.get(method, ""), sets.get(place, place.lower()), place,
                        metric, printed.strip(), table["protocol"], table["paper"], table["name"],
                        table.get("remark", ""), table.get("main", True),
                    )  # fmt: skip


def rows(name: str, title: str = "", *, every: bool = False) -> list[PublishedRow]:
    """The published rows of a set, and of other sets that papers call by its title.

    Args:
        name: Key of the set.
        title: As papers write it.
        every: Also ablations and quotations.
    """
    grouped: dict[tuple[str, ...], list[Figure]] = {}
    for figure in figures():
        fits = figure.set == name or figure.set_printed == title
        if fits and figure.metric in METRICS and (figure.main or every):
            key = (figure.paper, figure.table, figure.method, figure.set)
            grouped.setdefault(key, []).append(figure)
    return [PublishedRow(tuple(group)) for group in grouped.values()]


def of_network(network: str, name: str, title: str = "") -> PublishedRow | None:
    """The row of a network on a set: of its own paper, a main table first; None without any."""
    own = network.partition("-")[0]

    def rank(row: PublishedRow) -> tuple[bool, bool, bool]:
        paper = row.first.paper.lower().replace("-", "")
        return (row.first.set != name, not paper.startswith(own), not row.first.main)

    mine = [row for row in rows(name, title, every=True) if row.first.network == network]
    return min(mine, key=rank, default=None) if network else None


def parameters(network: str) -> float | None:
    """The published number of parameters of a network, in 10^6."""
    found = (f for f in figures() if f.network == network and f.metric == "parameters")
    return next((figure.value for figure in found), None)
