"""The batches of each step: which items make them up, and the workers that cut their crops.

A broken image costs its own crops alone: others, always the same, stand in for them. What no crop
can stand in for (a worker that was killed, memory that ran out) ends the run in seconds.
"""

import errno
import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import active_children
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from derain.data.crops import Crops, Source
from derain.io.atomic import write_atomically
from derain.memory import ran_out
from derain.training.processes import World
from derain.training.recipe import DataRecipe, Recipe
from derain.training.settings import TrainingFailed

TOO_MANY = 20  # broken images of one process
ATTEMPTS = 10  # items that are tried for a crop
ELSEWHERE = 2**40  # added to an item's number to get the one that stands in for it

_FULL = "shared memory (/dev/shm) is full: enlarge it, or use fewer workers"
_DEATHS = {"SIGKILL": "; if memory ran out, use fewer workers", "SIGBUS": f"; {_FULL}"}


def stage_of(data: DataRecipe, progress: float) -> tuple[int, int]:
    """Patch and batch size at a point of the run, 0..1."""
    current = (data.patch, data.batch)
    for stage in data.stages:
        if progress >= stage.start:
            current = (stage.patch, stage.batch)
    return current


@dataclass
class Batches(Sampler[list[tuple[int, int]]]):
    """The items of each step from ``first`` on: (number, patch), this process's part of them.

    Steps number their items without a gap over all stages, so no two share one. ``progress`` tells
    how far a run with a time budget is; without one, the step alone says.
    """

    data: DataRecipe
    first: int
    steps: int
    rank: int = 0
    size: int = 1
    progress: Callable[[], float] = lambda: 0.0

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Yield the items of each step."""
        for step in range(self.first, self.steps):
            patch, batch = stage_of(self.data, max(step / self.steps, self.progress()))
            widest = max([self.data.batch, *(s.batch for s in self.data.stages)])
            part = batch // self.size
            start = step * widest + self.rank * part
            yield [(item, patch) for item in range(start, start + part)]

    def __len__(self) -> int:
        """How many steps."""
        return self.steps - self.first


def make_crops(sources: list[Source], recipe: Recipe) -> Crops:
    """The crops of a recipe, for its largest patch.

    Raises:
        ValueError: A source has no image that large, or too few for an epoch.
    """
    data = recipe.data
    patch = max([data.patch, *(s.patch for s in data.stages)])
    return Crops(sources, patch, recipe.seed, data.batch if data.order == "epochs" else 0)


def in_steps(recipe: Recipe, crops: Crops) -> Recipe:
    """The recipe with its epochs as steps, which the number of images tells."""
    if not recipe.epochs:
        return recipe
    steps = recipe.epochs * crops.epoch // recipe.data.batch
    return replace(recipe, steps=steps, epochs=0)


def check_batches(data: DataRecipe, size: int) -> None:
    """Refuse batches that do not divide among processes and parts.

    Raises:
        ValueError: Names the batch and what it must divide by.
    """
    parts = size * data.accumulate
    for batch in (data.batch, *(s.batch for s in data.stages)):
        if batch % parts:
            raise ValueError(
                f"a batch of {batch} does not divide by {parts} "
                f"({size} processes x {data.accumulate} accumulated parts)"
            )


class CropBatch(NamedTuple):
    """The crops of a step, or why there are none."""

    rainy: Tensor  # (N, 3, patch, patch) uint8
    clean: Tensor
    skipped: list[str]  # images that could not be used, and why
    failure: str = ""


class CropBatches(Dataset[CropBatch]):
    """Batches of crops by the (number, patch) of their items.

    Nothing is raised: an exception would reach the training as the worker's whole traceback.

    Args:
        crops: What the items are taken from.
    """

    def __init__(self, crops: Crops) -> None:
        self.crops = crops

    def __getitem__(self, items: list[tuple[int, int]]) -> CropBatch:
        skipped: list[str] = []
        try:
            rainy, clean = default_collate([self._crop(*item, skipped) for item in items])
            return CropBatch(rainy, clean, skipped)
        except Exception as error:
            reason = describe_memory(error) if ran_out(error) else str(error)
            return CropBatch(torch.empty(0), torch.empty(0), skipped, one_line(reason))

    def _crop(self, number: int, patch: int, skipped: list[str]) -> tuple[Tensor, Tensor]:
        """The crop of an item, or of the first item standing in for it that can be made.

        Which one it is depends on the number and on what is broken alone, so that a resumed run
        sees the same crops.
        """
        for attempt in range(ATTEMPTS):
            item = number + attempt * ELSEWHERE
            try:
                return self.crops[item, patch]
            except Exception as error:
                if ran_out(error):
                    raise
                skipped.append(describe(error, self.crops.name_of(item)))
        raise ValueError(f"{ATTEMPTS} images in a row cannot be used; the last: {skipped[-1]}")


def describe(error: Exception, name: str) -> str:
    """A line about an image that could not be used; an error of ours names it already."""
    text = one_line(str(error))
    named = text.partition(": ")[0].endswith(name)
    return text if named else f"{name}: {type(error).__name__}: {text}"


def describe_memory(error: Exception) -> str:
    """A line about memory that ran out while crops were made."""
    if "shared memory" in str(error):
        return _FULL
    return f"out of memory while making crops ({one_line(str(error))}); use fewer workers"


def one_line(text: str) -> str:
    """Some text without line breaks."""
    return " ".join(text.split())


class Feed(Iterator[tuple[Tensor, Tensor]]):
    """Batches (rainy, clean), each (N, 3, patch, patch) uint8, made beside the training.

    Args:
        crops: What the batches are made from.
        batches: Which items make up each step.
        world: The processes of the run.
        workers: Per process; None takes one per two cores, at most eight. 0 makes crops in the
            training process itself.
        tell: Called with a line about each broken image, once.

    Raises:
        TrainingFailed: The workers cannot be started.
    """

    def __init__(
        self,
        crops: Crops,
        batches: Batches,
        world: World,
        workers: int | None,
        tell: Callable[[str], None],
    ) -> None:
        self._tell = tell
        self._skipped: set[str] = set()
        before = active_children()
        try:
            with _blocked_signals(), _plain_sigchld():
                self._batches = iter(make_loader(crops, batches, world, workers))
        except OSError as error:
            why = _FULL if error.errno == errno.ENOSPC else error.strerror
            raise TrainingFailed(f"workers cannot be started: {why}") from None
        finally:
            self._workers = [child for child in active_children() if child not in before]

    def __next__(self) -> tuple[Tensor, Tensor]:
        """The batch of the next step.

        Raises:
            TrainingFailed: There is none: a worker died, memory ran out, too many images are
                broken; says which.
        """
        batch = CropBatch(torch.empty(0), torch.empty(0), [])
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except Exception as error:  # torch tells of a dead worker in a RuntimeError of its own
            batch = batch._replace(failure=self._death() or one_line(str(error)))
        for line in batch.skipped:
            if line not in self._skipped:
                self._skipped.add(line)
                self._tell(f"{line}; other crops stand in for its own")
        if batch.failure:
            raise TrainingFailed(batch.failure)
        if len(self._skipped) > TOO_MANY:
            raise TrainingFailed(f"more than {TOO_MANY} images cannot be used")
        return batch.rainy, batch.clean

    def _death(self) -> str:
        """How a worker died; empty if none did."""
        for code in (worker.exitcode for worker in self._workers):
            if code:
                number = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                return f"a worker that makes crops ended by {number}{_DEATHS.get(number, '')}"
        return ""

    def close(self) -> None:
        """End the workers, whatever state they are in."""
        with _plain_sigchld():
            self._batches = iter(())  # torch tells the workers to end, and waits some seconds
            for worker in self._workers:
                worker.kill()  # those that did not; they are deaf to SIGTERM
                worker.join(5)


def save_batch(path: Path, crops: Crops, batches: Batches, step: int) -> None:
    """Write the batch of a step, which its number alone tells, to look at.

    Args:
        path: Ends in ``.npz``; will hold ``rainy`` and ``clean``, (N, 3, patch, patch) uint8.
        crops: What the batch was made from.
        batches: The items of the run's steps.
        step: Counted from 1.
    """
    batch = CropBatches(crops)[next(iter(replace(batches, first=step - 1)))]
    data = io.BytesIO()
    np.savez_compressed(data, rainy=batch.rainy.numpy(), clean=batch.clean.numpy())
    write_atomically(path, data.getvalue())


def make_loader(
    crops: Crops, batches: Batches, world: World, workers: int | None
) -> DataLoader[CropBatch]:
    """Whole batches, made by workers; ``Feed`` says what its arguments are."""
    if workers is None:
        workers = max(1, min(8, (os.cpu_count() or 1) // (2 * world.size)))
    if workers:
        torch.multiprocessing.Queue()  # without shared memory the loader would fail less clearly
    forks = workers and "fork" in torch.multiprocessing.get_all_start_methods()
    return DataLoader(
        CropBatches(crops),
        batch_size=None,  # an item of the dataset is a batch
        sampler=batches,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        pin_memory=world.device.type == "cuda",
        # Forked workers share the decoded images; others would each get a copy.
        multiprocessing_context="fork" if forks else None,
    )


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Start workers that are deaf to Ctrl-C and SIGTERM from their first moment.

    A terminal and a cluster send them to all processes; the training decides when to stop.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield  # workers inherit the mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _plain_sigchld() -> Iterator[None]:
    """Leave the end of a process without a handler, and with that from before afterwards.

    torch's, which it sets as workers start, would raise an exception anywhere, in the middle of a
    checkpoint too; ``Feed`` looks at the workers when it waits for them.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() != threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)
