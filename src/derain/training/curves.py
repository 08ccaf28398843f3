"""The curves of several runs in one image."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from derain.io.atomic import write_atomically
from derain.training.journal import PSNR, read_metrics

AXES = {"step": "steps", "minutes": "minutes of training"}
SUFFIXES = (".png", ".svg", ".pdf")


def plot_runs(runs: Sequence[Path], path: Path, against: str = "step") -> None:
    """Draw loss and validation PSNR of runs, each in its colour.

    Args:
        runs: Run folders of ``derain train``, or their ``metrics.csv``.
        path: Image to write: .png, .svg or .pdf.
        against: ``step`` or ``minutes``.

    Raises:
        ValueError: A folder without a run in it, or an unknown axis or suffix; names it.
    """
    if against not in AXES:
        raise ValueError(f"unknown axis {against!r}; known: {', '.join(AXES)}")
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: the image must end in {', '.join(SUFFIXES)}")
    curves = {name: read_curves(run) for name, run in zip(names(runs), runs, strict=True)}

    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, rows in curves.items():
        for axes, column, marker in ((left, "loss", ""), (right, PSNR, ".")):
            points = [(x_of(row, against), float(row[column])) for row in rows if row[column]]
            axes.plot(*zip(*points, strict=True) if points else ((), ()), marker=marker, label=name)
    left.set(xlabel=AXES[against], ylabel="loss (mean of 200 steps)", yscale="log")
    right.set(xlabel=AXES[against], ylabel="validation PSNR (dB, RGB)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    right.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=130)
    write_atomically(path, buffer.getvalue())


def names(runs: Sequence[Path]) -> list[str]:
    """What to call the runs: as much of their paths as tells them apart."""
    folders = [run.absolute().parent if run.is_file() else run.absolute() for run in runs]
    short = [folder.name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


def read_curves(run: Path) -> list[dict[str, str]]:
    """The rows of a run's table.

    Raises:
        ValueError: There is none, or nothing in it yet.
    """
    try:
        rows = read_metrics(run if run.is_file() else run / "metrics.csv")
        for row in rows:
            values = [row[column] for column in ("step", "seconds", "loss", "validation_psnr_rgb")]
            _ = [float(value) for value in values if value]
    except (OSError, ValueError, KeyError, csv.Error):
        raise ValueError(f"{run}: not the numbers of a training run (metrics.csv)") from None
    if not rows:
        raise ValueError(f"{run}: no training run there, or nothing written yet (metrics.csv)")
    return rows


def x_of(row: dict[str, str], against: str) -> float:
    """Where a row lies on the axis."""
    return float(row["step"]) if against == "step" else float(row["seconds"]) / 60
