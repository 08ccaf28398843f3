"""The papers' ablations at a small equal budget: the tables of docs/guide/study.md.

    python -m benchmarks.studies ../shared/data RUNS            # trains what is not trained yet
    python -m benchmarks.studies ../shared/data RUNS --print    # the tables so far, as Markdown

The data folder holds train/ for recipes/study.toml and test/ with the sets. Rows are trained one by
one, what decides a claim first, and second seeds last. Stopped at any time, the same command goes
on; RUNS may be copied to another machine in between. All of it takes about two hours of one core.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from derain.evaluation.typeset import align

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "study.toml"
UNEQUAL = ("s/image", "minutes")  # columns that say how busy the machine was


class Budget(NamedTuple):
    """A study and what makes it small."""

    study: str
    on: tuple[str, ...]  # the sets, of each of which the first twenty images are measured
    changes: tuple[str, ...]  # of every row's recipe


_CROPS = "data.patch=48"
_DCSFN = ("steps=500", "options.width=12", "options.blocks=4")
_MSPFN = ("network=mspfn", "options={ width = 16, lstm_widths = [32, 16, 8], fine_modules = 5 }")
_EDGE = "loss={ charbonnier = 1.0, edge = 0.05 }"
_MH2FNET = ("steps=500", _CROPS, "network=mh2fnet", "options.width=16")
BUDGETS = {
    "mspfn-table2": Budget(
        "benchmarks/mspfn_quarter", ("rain100h", "test100"), ("steps=500", _CROPS)
    ),
    "mspfn-edge-loss": Budget(
        "studies/mspfn-edge-loss", ("rain100h",), ("steps=500", _CROPS, *_MSPFN, _EDGE)
    ),
    "dcsfn-table5": Budget("studies/dcsfn-table5", ("rain100h",), _DCSFN),
    "dcsfn-table6": Budget("studies/dcsfn-table6", ("rain100h",), _DCSFN),
    "mh2fnet-table3": Budget("studies/mh2fnet-table3", ("rain100h",), _MH2FNET),
    "mh2fnet-figure7": Budget("studies/mh2fnet-figure7", ("rain100h",), _MH2FNET),
}
# In this order: study, row, and how many seeds of it are trained by then. A table has as many
# seeds as its last row asked for, so within a study they only grow.
PLAN = [
    *(("mspfn-table2", row, 1) for row in ("Model3", "MSPFN", "Model1", "Model2")),
    *(("dcsfn-table5", row, 1) for row in ("K=1", "K=3", "K=2", "K=4")),
    *(("dcsfn-table6", row, 1) for row in ("RNN", "GRU", "LSTM")),
    *(("mh2fnet-table3", row, 1) for row in ("N=4", "N=8")),
    *(("mspfn-edge-loss", row, 1) for row in ("MSPFN", "MSPFN w/o edge loss")),
    *(("mspfn-table2", row, 1) for row in ("Model4", "Model6")),
    *(("mspfn-table2", row, 2) for row in ("Model3", "MSPFN", "Model1")),
    *(("dcsfn-table5", row, 2) for row in ("K=1", "K=3")),
    *(("mh2fnet-figure7", row, 1) for row in ("a: no HADB, concatenation", "d: HADB, RPFF")),
    *(("dcsfn-table6", row, 2) for row in ("RNN", "GRU", "LSTM")),
    *(("mh2fnet-table3", row, 2) for row in ("N=4", "N=8")),
    *(("mspfn-edge-loss", row, 2) for row in ("MSPFN", "MSPFN w/o edge loss")),
    *(("mh2fnet-figure7", row, 1) for row in ("b: HADB, concatenation", "c: HADB, addition")),
]


def command(name: str, row: str, seeds: int, data: Path, runs: Path) -> list[str]:
    """`derain study` for one row."""
    budget = BUDGETS[name]
    sets = [part for place in budget.on for part in ("--on", place)]
    changes = [part for change in budget.changes for part in ("--set", change)]
    return [
        sys.executable, "-m", "derain", "study", str(ROOT / f"{budget.study}.toml"),
        "--recipe", str(RECIPE), "--data", str(data / "train"), "--test", str(data / "test"),
        "--out", str(runs / name), *sets, "--limit", "20", "--device", "cpu", "--workers", "0",
        "--rows", row, "--seeds", str(seeds), *changes,
    ]  # fmt: skip


def without(markdown: str, names: Sequence[str]) -> str:
    """A study's Markdown without columns of its tables."""
    lines: list[str] = []
    table: list[list[str]] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if table:
            kept = [i for i, cell in enumerate(table[0]) if cell not in names]
            lines += align([[row[i] for i in kept] for row in (table[0], *table[2:])])
            table = []
        lines.append(line)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is not trained, or print what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--print", action="store_true", help="print the tables; train nothing")
    options = parser.parse_args(arguments)
    if not options.print:
        for name, row, seeds in PLAN:
            subprocess.run(command(name, row, seeds, options.data, options.runs), check=True)
    for name in BUDGETS:
        path = options.runs / name / "table.md"
        if path.is_file():
            print(without(path.read_text(encoding="utf-8"), UNEQUAL).replace("## ", "### ", 1))


if __name__ == "__main__":
    main()
