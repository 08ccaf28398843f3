"""A whole benchmark: networks, sizes and engines, and the limit of the machine."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from derain import engines
from derain.benchmark import machine, models
from derain.benchmark.backends import Backend, available_backends, can, default_names, engine_spec
from derain.benchmark.curve import CurvePoint
from derain.benchmark.measure import BenchmarkRow, BenchmarkSettings, measure
from derain.weights import catalog


@dataclass(frozen=True)
class Wanted:
    """What to measure; empty means what ``available_backends`` says."""

    models: Sequence[str] = (catalog.DEFAULT,)
    sizes: Sequence[tuple[int, int]] = ((384, 512),)  # height, width
    backends: Sequence[str] = ()
    precisions: Sequence[str] = ()
    devices: Sequence[str] = ()


@dataclass(frozen=True)
class BenchmarkReport:
    """All numbers of a benchmark."""

    machine: dict[str, str | float | None] = field(default_factory=dict)
    matrix_rates: dict[tuple[str, str], float] = field(default_factory=dict)  # FLOP/s
    flop: dict[tuple[str, int, int], float | None] = field(default_factory=dict)  # of an image
    rows: list[BenchmarkRow] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)

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


def compare_backends(
    wanted: Wanted, settings: BenchmarkSettings, note: Callable[[str], None] = lambda _: None
) -> BenchmarkReport:
    """Measure networks engine by engine.

    Args:
        wanted: What.
        settings: How long.
        note: Told what goes on and what is left out.

    Raises:
        ValueError: Something asked for is unknown or not installed.
    """
    able = available_backends(wanted.backends, wanted.precisions, wanted.devices)
    for name in () if wanted.backends else default_names():
        spec = engine_spec(name)
        if not spec.installed:
            note(f"without {name}, which {spec.install_line} adds")
    with tempfile.TemporaryDirectory() as folder:
        wanted_engines = [backend.engine for backend in able]
        found = [models.model_files(what, wanted_engines, Path(folder)) for what in wanted.models]
        for model in found:
            for engine in dict.fromkeys(wanted_engines):
                if not model.file(engine):
                    note(f"{model.name}: without {engine}, which runs other files")
        note("measuring products of matrices")
        kinds = list(dict.fromkeys((c.device, c.precision) for c in able))
        before = machine.busy()
        report = BenchmarkReport(matrix_rates=machine.matrix_rates(kinds, settings.threads))
        for what, model in zip(wanted.models, found, strict=True):
            default = used_by_restore(what)
            for size in wanted.sizes:
                report.flop[model.name, *size] = model.flop(*size)
                report.rows.extend(
                    measure(model, size, able, report.matrix_rates, default, settings, note)
                )
    report.machine.update(machine.describe(before))
    return report


def used_by_restore(what: str) -> Backend:
    """How `derain restore --model WHAT` would run it here."""
    choice = engines.choose(engine=engines.engine_of(what))
    fast = can(choice.engine, "bf16", choice.device)
    return Backend(choice.engine, "bf16" if fast else "f32", choice.device)
