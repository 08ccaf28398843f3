"""A whole benchmark: networks, sizes and engines, and the limit of the machine."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from derain import engines
from derain.benchmark import machine, subjects
from derain.benchmark.candidates import UNASKED, WAYS, Candidate, can, candidates
from derain.benchmark.curve import Point
from derain.benchmark.run import Row, Settings, measure
from derain.weights import catalog


@dataclass(frozen=True)
class Wanted:
    """What to measure; empty means what ``candidates`` says."""

    models: Sequence[str] = (catalog.DEFAULT,)
    sizes: Sequence[tuple[int, int]] = ((384, 512),)  # height, width
    ways: Sequence[str] = ()
    precisions: Sequence[str] = ()
    devices: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """All numbers of a benchmark."""

    machine: dict[str, str | float | None] = field(default_factory=dict)
    matrix_rates: dict[tuple[str, str], float] = field(default_factory=dict)  # FLOP/s
    flop: dict[tuple[str, int, int], float | None] = field(default_factory=dict)  # of a picture
    rows: list[Row] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What ``json`` can write."""
        return {
            "machine": self.machine,
            "matrix_gflop_per_second": {
                " ".join(kind): rate / 1e9 for kind, rate in self.matrix_rates.items()
            },
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "curve": [dataclasses.asdict(point) for point in self.curve],
        }


def compare(
    wanted: Wanted, settings: Settings, note: Callable[[str], None] = lambda _: None
) -> Report:
    """Measure networks engine by engine.

    Args:
        wanted: What.
        settings: How long.
        note: Told what goes on and what is left out.

    Raises:
        ValueError: Something asked for is unknown or not installed.
    """
    able = candidates(wanted.ways, wanted.precisions, wanted.devices)
    for way in UNASKED:
        if not wanted.ways and not find_spec(WAYS[way]):
            note(f"without {way}, which `pip install derain[{WAYS[way]}]` adds")
    with tempfile.TemporaryDirectory() as folder:
        wanted_engines = [candidate.engine for candidate in able]
        found = [subjects.find(what, wanted_engines, Path(folder)) for what in wanted.models]
        for subject in found:
            for engine in dict.fromkeys(wanted_engines):
                if not subject.file(engine):
                    note(f"{subject.name}: without {engine}, which runs other files")
        note("measuring products of matrices")
        kinds = list(dict.fromkeys((c.device, c.precision) for c in able))
        before = machine.busy()
        report = Report(matrix_rates=machine.matrix_rates(kinds, settings.threads))
        for what, subject in zip(wanted.models, found, strict=True):
            default = used_by_restore(what)
            for size in wanted.sizes:
                report.flop[subject.name, *size] = subject.flop(*size)
                report.rows.extend(
                    measure(subject, size, able, report.matrix_rates, default, settings, note)
                )
    report.machine.update(machine.describe(before))
    return report


def used_by_restore(what: str) -> Candidate:
    """How `derain restore --model WHAT` would run it here."""
    choice = engines.choose(engine=catalog.engine_of(what))
    fast = can(choice.engine, "bf16", choice.device)
    return Candidate(choice.engine, "bf16" if fast else "f32", choice.device)
