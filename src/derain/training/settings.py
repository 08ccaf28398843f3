"""How a run is carried out, what it tells of itself on the way, and how it may end early."""

from dataclasses import dataclass
from pathlib import Path


class Interrupted(Exception):
    """The run was asked to stop; it is saved and can be resumed."""


class TrainingFailed(Exception):
    """The run cannot go on; its newest checkpoint is whole, and it can be resumed."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a run is carried out; what it trains is in the recipe."""

    device: str = "auto"
    minutes: float | None = None  # budget over all parts of a run; the schedule ends with it
    checkpoint_minutes: float = 5.0  # between checkpoints, each of which validates first
    keep: int = 3  # newest checkpoints
    workers: int | None = None  # that make crops, per process; None: chosen by the processors
    cache: Path | None = None  # for decoded images that do not fit into memory; None: the run's
    onnx: bool = True  # also write the finished weights as `.onnx`


@dataclass
class Progress:
    """Where a run stands, handed to the caller after every step."""

    step: int
    fraction: float  # of the steps or of the time budget, 0..1
    loss: float  # running mean
    psnr: float | None  # of the last validation, dB over RGB, mean over all pairs
    elapsed: float  # seconds, earlier parts of a resumed run included
    steps_per_second: float
    waiting: float  # fraction of the time that went into waiting for crops
    remark: str = ""  # something that went wrong and was mended
