"""The training loop: crops in, EMA weights out, within a number of steps or minutes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from derain.training.processes import world
from derain.training.recipe import Recipe
from derain.training.settings import Interrupted, Progress, TrainingSettings
from derain.training.trainer import Trainer
from derain.training.watch import BadLoss

__all__ = ["Interrupted", "Progress", "TrainingSettings", "train"]


def train(
    recipe: Recipe,
    data_root: Path,
    run: Path,
    settings: TrainingSettings | None = None,
    *,
    resume: bool = False,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe and return the path of the finished weights.

    The run folder holds the resolved ``recipe.toml``, ``environment.json``, ``metrics.csv``,
    ``checkpoints/``, ``samples/``, ``tensorboard/`` and, from the first checkpoint on,
    ``NAME.safetensors`` with the EMA weights.

    Args:
        recipe: What to train, on what, how.
        data_root: The recipe's paths are relative to it.
        run: Folder for the results; must be new unless ``resume``.
        settings: Device, time budget, checkpoints.
        resume: Go on from the newest checkpoint that is whole.
        on_step: Called after every step, in the first process.

    Raises:
        ValueError: Missing data or checkpoint, or a run folder in use; names it.
        FloatingPointError: The loss was not finite or exploded, twice; the batch is saved.
        Interrupted: SIGTERM or Ctrl-C came; a checkpoint is written.
    """
    settings = settings or TrainingSettings()
    if run.exists() and any(run.iterdir()) and not resume:
        raise ValueError(f"{run}: not empty; choose another folder or go on with --resume")
    with world(settings.device) as here, stop_signals() as stopped:
        trainer = Trainer(recipe, data_root, run, settings, here, stopped, on_step)
        trainer.start(resume)
        try:
            while not trainer.done:
                try:
                    trainer.run_steps()
                except BadLoss as bad:
                    trainer.retry(bad)
        finally:
            trainer.close()
    return run / f"{recipe.name}.safetensors"


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and the first Ctrl-C set; a second Ctrl-C is as usual."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def stop(number: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
