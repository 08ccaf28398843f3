"""One process of a run: what it holds, what a step is, when things are written."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from derain.io.atomic import write_atomically
from derain.losses import weighted
from derain.training.checkpoint import keep_newest, name_of, newest_intact, save_checkpoint
from derain.training.feed import (
    Batches,
    check_batches,
    loader,
    make_crops,
    read_sources,
    start,
    to_float,
)
from derain.training.journal import Journal, write_environment
from derain.training.processes import World
from derain.training.recipe import Recipe, to_toml
from derain.training.result import save_result
from derain.training.schedule import learning_rate
from derain.training.settings import Interrupted, Progress, TrainingSettings
from derain.training.state import make_state, update_ema
from derain.training.validation import autocast, validate
from derain.training.watch import BadLoss, Clock, Losses

LOG_EVERY = 10  # steps between two rows of metrics.csv


class Trainer:
    """A run in one process: what it holds, what a step is, when things are written."""

    def __init__(
        self,
        recipe: Recipe,
        data_root: Path,
        run: Path,
        settings: TrainingSettings,
        here: World,
        stopped: threading.Event,
        on_step: Callable[[Progress], None],
    ) -> None:
        self.recipe, self.run, self.settings, self.world = recipe, run, settings, here
        self.data_root = data_root
        self.stopped, self.on_step = stopped, on_step
        check_batches(recipe.data, here.size)
        self.loss = weighted(recipe.loss)
        self.state = make_state(recipe, here.device)
        self.state.minutes = settings.minutes
        cache = settings.cache or run / "cache"
        if not here.is_main:
            here.barrier()  # the first process may be writing decoded images for all
        self.sources, self.validation_pairs = read_sources(recipe, data_root, cache)
        if here.is_main:
            here.barrier()
        self.crops = make_crops(self.sources, recipe)
        self.progress = 0.0
        self.remark = ""
        self.journal: Journal | None = None
        self.batches: Iterator[Any] = iter(())

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints."""
        return self.run / "checkpoints"

    @property
    def done(self) -> bool:
        """Whether the schedule has ended."""
        return self.progress >= 1.0

    def start(self, resume: bool) -> None:
        """Go on from the newest checkpoint, or begin; write down what this run is."""
        if resume:
            _, saved, problems = newest_intact(self.folder)
            self.state.unpack(saved)
            self.state.minutes = self.settings.minutes or self.state.minutes
            self.remark = "; ".join(problems)
        self.saved = self.state.step
        self.clock = Clock(self.state.elapsed)
        self.losses = Losses(self.world)
        self.model = self.wrapped(self.state.network)
        self.last_checkpoint = time.monotonic()
        if self.world.is_main:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.journal = Journal(self.run, self.state.step)
            if resume:
                with self.surviving_full_disk():
                    self.describe()
                    self.save_result()  # which may be what the run was killed before
            else:
                self.describe()
                save_checkpoint(self.folder / name_of(0), self.state.pack())
        self.feed()

    def describe(self) -> None:
        """Write down what this run is, and what runs it."""
        write_atomically(self.run / "recipe.toml", to_toml(self.recipe).encode())
        write_environment(self.run / "environment.json", self.world, self.data_root)

    def wrapped(self, network: nn.Module) -> Any:
        """The network as it is trained: distributed, compiled."""
        self.distributed: Any = None
        model: Any = network
        if self.world.size > 1:
            # MSPFN's dead ConvLSTM weights get no gradient.
            model = self.distributed = DistributedDataParallel(network, find_unused_parameters=True)
        if not self.recipe.compile:
            return model
        if self.world.device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
            self.remark += "not compiled: torch.compile needs a C++ compiler (g++, or CXX)"
            return model
        return torch.compile(model, dynamic=False)

    def feed(self) -> None:
        """Begin to make batches at the current step."""
        batches = self.batches_from(self.state.step)
        self.batches = start(loader(self.crops, batches, self.world, self.settings.workers))

    def batches_from(self, step: int) -> Batches:
        """This process's items of each step after ``step`` of them are made."""
        return Batches(
            self.recipe.data, step, self.recipe.steps,
            self.world.rank, self.world.size, lambda: self.progress,
        )  # fmt: skip

    def run_steps(self) -> None:
        """Make steps until the schedule ends.

        Raises:
            BadLoss: The loss is not finite or exploded.
            Interrupted: The run was asked to stop, and is saved.
        """
        self.state.network.train()
        while True:
            self.progress, stop, due = self.world.all_reduce_max(
                self.measure_progress(), self.stopped.is_set(), self.is_due()
            )
            if stop or due or self.done:
                self.checkpoint()
            if stop:
                raise Interrupted(f"stopped at step {self.state.step}")
            if self.done:
                if self.world.is_main:
                    self.report()
                return
            self.losses.add(self.step(), self.state.step)
            if self.world.is_main:
                self.report()

    def measure_progress(self) -> float:
        """The fraction of the run that is done: of its steps, or of its time if that is more."""
        budget = 60 * self.state.minutes if self.state.minutes else np.inf
        by_time = self.clock.elapsed / budget if self.world.is_main else 0.0
        return min(max(self.state.step / self.recipe.steps, by_time), 1.0)

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        passed = time.monotonic() - self.last_checkpoint
        return self.world.is_main and passed > 60 * self.settings.checkpoint_minutes

    def step(self) -> Tensor:
        """One step of the optimiser; returns the loss, on the device."""
        state, optimiser = self.state, self.recipe.optimiser
        lr = self.state.lr_scale * learning_rate(optimiser.lr, self.recipe.schedule, self.progress)
        for group in state.optimiser.param_groups:
            group["lr"] = lr
        asked = time.monotonic()
        batch = next(self.batches)
        self.clock.waited += time.monotonic() - asked
        loss = self.gradients(*(to_float(images, self.world.device) for images in batch))
        if optimiser.clip:
            nn.utils.clip_grad_norm_(state.network.parameters(), optimiser.clip)
        state.optimiser.step()
        state.optimiser.zero_grad()
        state.step += 1
        self.clock.steps += 1
        update_ema(state, optimiser.ema)
        return loss

    def gradients(self, rainy: Tensor, clean: Tensor) -> Tensor:
        """Forward and backward, in parts where the recipe says so; returns the mean loss."""
        parts = self.recipe.data.accumulate
        total = torch.zeros((), device=self.world.device)
        pieces = zip(rainy.chunk(parts), clean.chunk(parts), strict=True)
        for i, (x, y) in enumerate(pieces):
            wait = self.distributed and i < parts - 1
            with self.distributed.no_sync() if wait else nullcontext():
                with autocast(self.world.device, self.recipe.precision):
                    derained = self.model(x)
                loss = self.loss(derained, y) / parts
                loss.backward()
            total += loss.detach()
        return total

    def report(self) -> None:
        """Tell the caller, and the journal every so often."""
        state = self.state
        steps_per_second, waiting = self.clock.lap()
        progress = Progress(
            state.step, self.progress, self.losses.mean, state.psnr, self.clock.elapsed,
            steps_per_second, waiting, self.remark,
        )  # fmt: skip
        self.on_step(progress)
        self.remark = ""
        if state.step % LOG_EVERY == 0 and state.step != self.saved:
            self.write_row()

    def write_row(self, psnr: float | None = None) -> None:
        """One row of metrics.csv."""
        assert self.journal is not None
        steps_per_second, waiting = self.clock.lap()
        self.clock.new_lap()
        self.journal.row(
            step=self.state.step, seconds=self.clock.elapsed,
            lr=self.state.optimiser.param_groups[0]["lr"], loss=self.losses.mean,
            steps_per_second=steps_per_second, waiting_fraction=waiting, validation_psnr_rgb=psnr,
        )  # fmt: skip

    def checkpoint(self) -> None:
        """Validate, and write checkpoint, weights, numbers and images.

        A disk that is full costs this checkpoint, not the run: the last good one stays.

        Raises:
            BadLoss: The losses or the EMA network are not finite.
        """
        self.losses.read(self.state.step)
        state = self.state
        self.last_checkpoint = time.monotonic()
        if state.step == self.saved:
            return
        finite = 1.0
        if self.world.is_main:
            psnr, strips = validate(
                state.ema, self.validation_pairs, self.world.device, self.recipe.precision
            )
            finite = float(np.isfinite(psnr))
            if finite:
                state.psnr, state.elapsed = psnr, self.clock.elapsed
                self.write(psnr, strips)
        if self.world.all_reduce_max(1.0 - finite)[0]:
            raise BadLoss(state.step, float("nan"))
        self.saved = state.step

    def write(self, psnr: float, strips: list[Any]) -> None:
        """Put a good state on disk."""
        state = self.state
        is_best = state.best is None or psnr > state.best
        with self.surviving_full_disk():
            state.best = psnr if is_best else state.best
            if is_best:
                save_checkpoint(self.folder / "best.pt", state.pack())
            save_checkpoint(self.folder / name_of(state.step), state.pack())
            keep_newest(self.folder, self.settings.keep)
            self.save_result()
            self.write_row(psnr)
            assert self.journal is not None
            self.journal.flush()
            self.journal.images(state.step, self.progress, strips)

    @contextmanager
    def surviving_full_disk(self) -> Iterator[None]:
        """What cannot be written is said, and tried again at the next checkpoint.

        Raises:
            OSError: There will be no next one.
        """
        try:
            yield
        except OSError as error:
            failed = f"{self.run}: step {self.state.step} not saved: {reason(error)}"
            if self.done or self.stopped.is_set():
                raise OSError(f"{failed}; make room and go on with --resume") from None
            self.remark = f"{failed}; training goes on"

    def save_result(self) -> None:
        """Write the EMA weights."""
        state = self.state
        save_result(state.ema, self.recipe, self.run, state.step, state.elapsed, state.psnr)

    def retry(self, bad: BadLoss) -> None:
        """Go back to the last checkpoint and on from there at half the learning rate, once.

        Raises:
            FloatingPointError: It is the second time; the batch is saved.
        """
        saved_as = self.save_batch(bad.step)
        if self.state.lr_scale < 1:
            raise FloatingPointError(
                f"{bad}, again after going on at half the learning rate; its batch is "
                f"{saved_as}; lower optimiser.lr and go on with --resume"
            )
        elapsed = self.clock.elapsed
        path, saved, _ = newest_intact(self.folder)
        self.state.unpack(saved)
        self.state.elapsed, self.state.lr_scale = elapsed, self.state.lr_scale / 2
        self.saved = self.state.step
        self.losses = Losses(self.world)
        self.remark = (
            f"{bad} (batch: {saved_as}); going on from {path.name} at half the learning rate"
        )
        self.feed()

    def save_batch(self, step: int) -> Path:
        """Write the batch of a step, which its number alone tells, to look at."""
        path = self.run / f"bad-batch-step-{step}-process-{self.world.rank}.npz"
        pairs = [self.crops[item] for item in next(iter(self.batches_from(step - 1)))]
        rainy, clean = (torch.stack(images).numpy() for images in zip(*pairs, strict=True))
        np.savez_compressed(path, rainy=rainy, clean=clean)
        return path

    def close(self) -> None:
        """Finish files and workers."""
        self.batches = iter(())  # workers end with their iterator
        if self.journal:
            self.journal.close()


def reason(error: OSError) -> str:
    """What the system said, in words."""
    return "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
