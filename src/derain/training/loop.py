"""The training loop: crops in, EMA weights out, within a number of steps or minutes."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from derain.memory import ran_out
from derain.training.feed import Batches, Feed, check_batches, in_steps, make_crops, save_batch
from derain.training.processes import world
from derain.training.recipe import Recipe
from derain.training.run import Run, open_run
from derain.training.settings import Interrupted, Progress, TrainingFailed, TrainingSettings
from derain.training.sources import read_sources
from derain.training.state import make_state
from derain.training.step import TrainingStep, why_not_compiled
from derain.training.trial import TRIAL
from derain.training.watch import BadLoss

__all__ = ["Interrupted", "Progress", "TrainingFailed", "TrainingSettings", "train"]


def train(
    recipe: Recipe,
    data_root: Path,
    folder: Path,
    settings: TrainingSettings | None = None,
    *,
    resume: bool = False,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe and return the path of the finished weights.

    The run folder holds the resolved ``recipe.toml``, ``environment.json``, ``metrics.csv``,
    ``checkpoints/``, ``samples/``, ``tensorboard/`` and, from the first checkpoint on,
    ``NAME.safetensors`` with the EMA weights; in the end ``NAME.onnx`` too.

    Args:
        recipe: What to train, on what, how.
        data_root: The recipe's paths are relative to it.
        folder: For the results; must be new unless ``resume``.
        settings: Device, time budget, checkpoints.
        resume: Go on from the newest checkpoint that is whole.
        on_step: Called after every step, in the first process.

    Raises:
        ValueError: Missing data or checkpoint, a run folder in use, or a network that could not be
            validated, recorded or exported in the end; names it.
        FloatingPointError: The loss was not finite or exploded, twice; the batch is saved.
        TrainingFailed: No more batches, or memory ran out; the newest checkpoint is whole.
        OSError: The last checkpoint could not be written.
        Interrupted: SIGTERM or Ctrl-C came; a checkpoint is written.
    """
    settings = settings or TrainingSettings()
    if not resume:
        refuse_used(folder)
    with world(settings.device) as here, stop_signals() as stopped:
        check_batches(recipe.data, here.size)
        state = make_state(recipe, here.device)
        with here.main_first():  # it may write decoded images for all
            sources, pairs = read_sources(recipe, data_root, settings.cache or folder / "cache")
        crops = make_crops(sources, recipe)
        recipe = in_steps(recipe, crops)
        step = TrainingStep(state, recipe, here)
        with open_run(
            recipe, settings, here, state, pairs, folder, data_root, resume, on_step
        ) as run:
            if problem := why_not_compiled(recipe, here.device):
                run.remark(problem)
            tell = run.remark if here.is_main else logging.getLogger(__name__).warning
            batches = Batches(
                recipe.data, 0, recipe.steps, here.rank, here.size, lambda: state.progress
            )
            while True:
                left = replace(batches, first=state.step)
                try:
                    with closing(Feed(crops, left, here, settings.workers, tell)) as feed:
                        train_steps(step, feed, run, stopped)
                    return run.finish()
                except BadLoss as bad:
                    seen = folder / f"bad-batch-step-{bad.step}-process-{here.rank}.npz"
                    save_batch(seen, crops, batches, bad.step)
                    run.go_back(bad, seen)
                except (RuntimeError, MemoryError) as error:
                    if not ran_out(error):
                        raise
                    raise TrainingFailed(
                        "out of memory; lower data.batch or data.patch, or raise data.accumulate"
                    ) from error


def train_steps(step: TrainingStep, feed: Feed, run: Run, stopped: threading.Event) -> None:
    """Make steps until the schedule ends: this is the loop.

    Args:
        step: Changes the run's state by a batch.
        feed: The batches, from the state's step on.
        run: Decides, saves, reports.
        stopped: Set when somebody asks the run to stop.

    Raises:
        BadLoss: The loss is not finite or exploded.
        Interrupted: The run was asked to stop, and is saved.
        TrainingFailed: There is no next batch, or memory ran out.
    """
    while True:
        now = run.decide(stopped.is_set())
        if now.save:
            run.checkpoint(last=now.stop or now.done)
        if now.stop:
            raise Interrupted(f"stopped at step {run.state.step}")
        if now.done:
            return
        with run.clock.waiting():
            rainy, clean = next(feed)
        loss = step(rainy, clean)
        run.losses.add(loss, run.state.step)
        run.report()


def refuse_used(folder: Path) -> None:
    """Refuse a folder that holds more than decoded images and what a killed start left.

    Raises:
        ValueError: It does.
    """
    if folder.is_dir() and {path.name for path in folder.iterdir()} - {"cache", TRIAL}:
        raise ValueError(f"{folder}: not empty; choose another folder, or resume the run in it")


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
