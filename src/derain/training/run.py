"""A run around its steps: how far it is, when it is saved, and how it goes on after a bad loss."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from derain.training.checkpoint import newest_intact
from derain.training.files import RunFiles
from derain.training.processes import World
from derain.training.recipe import Recipe
from derain.training.result import export_result
from derain.training.settings import Progress, TrainingSettings
from derain.training.sources import ValidationPair
from derain.training.state import State
from derain.training.trial import try_the_end
from derain.training.validation import validate
from derain.training.watch import BadLoss, Clock, Losses

LOG_EVERY = 10  # steps between two rows of metrics.csv


class Decision(NamedTuple):
    """What all processes do before the next step."""

    save: bool
    stop: bool  # somebody asked for it
    done: bool  # the schedule has ended


class Run:
    """A run, as one of its processes sees it; the main one writes its files.

    Args:
        recipe: What is trained.
        settings: How the run is carried out.
        world: The processes of the run.
        state: All that changes.
        pairs: The validation pairs.
        folder: The run's.
        files: What is in it, open for writing; None in all but the main process.
        on_step: Called after every step, in the main process.
    """

    def __init__(
        self,
        recipe: Recipe,
        settings: TrainingSettings,
        world: World,
        state: State,
        pairs: Sequence[ValidationPair],
        folder: Path,
        files: RunFiles | None,
        on_step: Callable[[Progress], None],
    ) -> None:
        self.recipe, self.settings, self.world, self.state = recipe, settings, world, state
        self.pairs, self.folder, self.files, self.on_step = pairs, folder, files, on_step
        self.clock = Clock(state.elapsed)
        self.losses = Losses(world)
        self.remarks: list[str] = []
        self.saved_step = state.step
        self.last_checkpoint = time.monotonic()

    def decide(self, asked_to_stop: bool) -> Decision:
        """Agree with all processes on what comes before the next step."""
        passed = time.monotonic() - self.last_checkpoint
        due = self.world.is_main and passed > 60 * self.settings.checkpoint_minutes
        self.state.progress, stop, save = self.world.all_reduce_max(
            self.measure_progress(), asked_to_stop, due
        )
        done = self.state.progress >= 1
        return Decision(bool(save or stop or done), bool(stop), done)

    def measure_progress(self) -> float:
        """The fraction of the run that is done: of its steps, or of its time if that is more."""
        budget = 60 * self.state.minutes if self.state.minutes else np.inf
        by_time = self.clock.elapsed / budget if self.world.is_main else 0.0
        return min(max(self.state.step / self.recipe.steps, by_time), 1.0)

    def remark(self, text: str) -> None:
        """Have a line told with the next report."""
        self.remarks.append(text)

    def report(self) -> None:
        """Tell the caller where the run stands, and the journal every so often."""
        if not self.files:
            return
        state = self.state
        steps_per_second, waiting = self.clock.lap()
        progress = Progress(
            state.step, state.progress, self.losses.mean, state.psnr, self.clock.elapsed,
            steps_per_second, waiting, "; ".join(self.remarks),
        )  # fmt: skip
        self.remarks.clear()
        self.on_step(progress)
        if state.step % LOG_EVERY == 0 and state.step != self.saved_step:
            with self.surviving_full_disk("numbers not written"):
                self.files.write_row(self.clock, self.losses)

    def checkpoint(self, last: bool) -> None:
        """Validate, and write checkpoint, weights, numbers and images.

        A disk that is full costs this checkpoint, not the run: the last good one stays.

        Args:
            last: There will be no next checkpoint to try again at.

        Raises:
            BadLoss: The losses or the EMA network are not finite.
            OSError: It cannot be written, and it is the last.
        """
        state = self.state
        self.losses.read(state.step)
        self.last_checkpoint = time.monotonic()
        if state.step == self.saved_step:
            return
        finite = True
        if self.files:
            found = validate(state.ema, self.pairs, self.world.device, self.recipe.precision)
            finite = found.is_finite
            if finite:
                state.psnr, state.elapsed = found.psnr, self.clock.elapsed
                score = found.balanced
                is_best = score is not None and (state.best is None or score > state.best)
                state.best = score if is_best else state.best
                with self.surviving_full_disk("not saved", last):
                    self.files.save_validated(found, is_best, self.settings.keep)
                    self.files.write_row(self.clock, self.losses, found)
        if self.world.all_reduce_max(not finite)[0]:
            raise BadLoss(state.step, float("nan"))
        self.saved_step = state.step

    @contextmanager
    def surviving_full_disk(self, what: str, last: bool = False) -> Iterator[None]:
        """What cannot be written is said, and tried again at the next checkpoint.

        Raises:
            OSError: There will be no next one.
        """
        try:
            yield
        except OSError as error:
            failed = f"{self.folder}: step {self.state.step} {what}: {reason(error)}"
            if last:
                raise OSError(f"{failed}; make room and resume the run") from None
            self.remark(f"{failed}; training goes on")

    def go_back(self, bad: BadLoss, saved_as: Path) -> None:
        """Go back to the last checkpoint and on from there at half the learning rate, once.

        Args:
            bad: What happened.
            saved_as: Where its batch is.

        Raises:
            FloatingPointError: It is the second time.
        """
        if self.state.lr_scale < 1:
            raise FloatingPointError(
                f"{bad}, again after going on at half the learning rate; its batch is "
                f"{saved_as}; lower optimiser.lr and resume the run"
            )
        path, saved, _ = newest_intact(self.folder / "checkpoints")
        self.state.unpack(saved)
        self.state.lr_scale /= 2
        self.saved_step = self.state.step
        self.losses = Losses(self.world)
        self.remark(
            f"{bad} (batch: {saved_as}); going on from {path.name} at half the learning rate"
        )

    def finish(self) -> Path:
        """Export the finished weights, and tell the caller that the run is done.

        Returns:
            Where the weights are.
        """
        weights = self.folder / f"{self.recipe.name}.safetensors"
        if self.files and self.settings.onnx:
            try:
                export_result(weights)
            except (ImportError, ValueError, OSError, RuntimeError) as error:
                self.remark(f"no .onnx was written: {error}")
        self.report()
        return weights


@contextmanager
def open_run(
    recipe: Recipe,
    settings: TrainingSettings,
    world: World,
    state: State,
    pairs: Sequence[ValidationPair],
    folder: Path,
    data_root: Path,
    resume: bool,
    on_step: Callable[[Progress], None],
) -> Iterator[Run]:
    """Begin a run, or go on from its newest checkpoint; close its files in the end.

    Args:
        recipe: What is trained.
        settings: How the run is carried out.
        world: The processes of the run.
        state: At the start of a run; becomes what the checkpoint holds if ``resume``.
        pairs: The validation pairs.
        folder: The run's.
        data_root: Written down as what the recipe's paths are relative to.
        resume: Go on from the newest checkpoint that is whole.
        on_step: Called after every step, in the main process.

    Raises:
        ValueError: No checkpoint to go on from, or the end of the run would fail.
        OSError: The folder cannot be written to.
    """
    remarks: list[str] = []
    if resume:
        path, saved, remarks = newest_intact(folder / "checkpoints")
        try:
            state.unpack(saved)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    elif world.is_main:
        remarks = try_the_end(folder, state, recipe, settings, pairs, world.device)
    state.minutes = settings.minutes or state.minutes
    kinds = sorted({pair.kind for pair in pairs})
    files = RunFiles(folder, recipe, state, kinds) if world.is_main else None
    run = Run(recipe, settings, world, state, pairs, folder, files, on_step)
    run.remarks += remarks
    try:
        if files and resume:
            with run.surviving_full_disk("not described"):
                files.describe(world, data_root)
                files.save_result()  # which may be what the run was killed before
        elif files:
            files.describe(world, data_root)
            files.save_checkpoint()
        yield run
    finally:
        if files:
            with run.surviving_full_disk("numbers not written"):
                files.close()


def reason(error: OSError) -> str:
    """What the system said, in words."""
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
