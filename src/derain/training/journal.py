"""What a run writes down: its recipe, machine and code, its numbers, its images."""

import csv
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from derain import __version__
from derain.io.atomic import write_atomically
from derain.training.processes import World
from derain.training.validation import save_strips

PSNR = "validation_psnr_rgb"  # a column for the mean, and one of this and "/KIND" for each kind
COLUMNS = ["step", "seconds", "lr", "loss", "steps_per_second", "waiting_fraction", PSNR]


class Journal:
    """``metrics.csv``, ``samples/`` and, where tensorboard is installed, ``tensorboard/``.

    Args:
        run: The run's folder.
        step: Rows after it, which a resumed run will write again, are dropped.
        kinds: The kinds of rain in the validation pairs.
    """

    def __init__(self, run: Path, step: int, kinds: Iterable[str]) -> None:
        self.samples = run / "samples"
        self.samples.mkdir(exist_ok=True)
        path = run / "metrics.csv"
        rows = [row for row in read_metrics(path) if int(row["step"]) <= step]
        before = rows[0] if rows else {}  # of a run that has been resumed with other kinds
        columns = list(dict.fromkeys([*COLUMNS, *before, *(f"{PSNR}/{kind}" for kind in kinds)]))
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, columns)
        table.writeheader()
        table.writerows(rows)
        write_atomically(path, text.getvalue().encode())
        self.file = path.open("a", newline="")
        self.table = csv.DictWriter(self.file, columns)
        self.pending: dict[str, float] = {}
        self.board = open_board(run / "tensorboard", step)

    def row(self, values: Mapping[str, float]) -> None:
        """Note values of a step; those of one step share a row, which the next step's ends."""
        if self.pending.get("step") != values["step"]:
            self.flush()
        self.pending |= values
        if self.board:
            for name, value in values.items():
                if name not in ("step", "seconds"):
                    self.board.add_scalar(name, value, values["step"], new_style=True)

    def flush(self) -> None:
        """Write the row at hand."""
        if self.pending:
            self.table.writerow(
                {name: f"{v:.6g}" if name != "step" else v for name, v in self.pending.items()}
            )
            self.file.flush()
        self.pending = {}

    def images(self, step: int, progress: float, strips: list[NDArray[np.uint8]]) -> None:
        """Keep before, after and truth: one file per tenth of the run."""
        path = self.samples / f"{int(10 * progress) * 10:03d}.jpg"
        if path.exists() or not strips:
            return
        save_strips(path, strips)
        if self.board:
            for i, strip in enumerate(strips):
                self.board.add_image(f"sample {i}", strip, step, dataformats="HWC")

    def close(self) -> None:
        """Finish the files."""
        self.flush()
        self.file.close()
        if self.board:
            self.board.close()


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a ``metrics.csv``; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        # A row that a crash cut off has no value in its last columns at all.
        return [row for row in csv.DictReader(file) if None not in row.values()]


def open_board(folder: Path, step: int) -> Any:
    """A TensorBoard writer that hides what came after ``step``; None without tensorboard."""
    try:
        import_module("PIL")  # which tensorboard needs for images and does not ask for
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def write_environment(path: Path, world: World, data_root: Path) -> None:
    """Write down what made the run: data, versions, machine, code."""
    device = world.device
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    values = {
        "data": str(data_root.absolute()),
        "derain": __version__,
        "command": sys.argv,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "gpu": gpu,
        "processes": world.size,
        "git": git_state(Path(__file__).parent),
    }
    write_atomically(path, (json.dumps(values, indent=2) + "\n").encode())


def read_data_root(run: Path) -> Path:
    """The data folder that a run was started with.

    Raises:
        ValueError: The folder holds no run.
    """
    try:
        return Path(json.loads((run / "environment.json").read_text())["data"])
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{run}: no training run there (no environment.json)") from None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and uncommitted changes of the checkout that the code runs from; None outside one."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        output = subprocess.run(command, capture_output=True, check=True).stdout
        return output.decode(errors="replace")  # files may be in any encoding

    try:
        git("ls-files", "--error-unmatch", str(Path(__file__)))  # not just any checkout around us
        return {"commit": git("rev-parse", "HEAD").strip(), "changes": git("diff", "HEAD")}
    except (OSError, subprocess.CalledProcessError):
        return None
