"""What a run trains on: its sources, its validation pairs, and the batches of each step."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from derain.data import layouts
from derain.data.crops import Crops, Source, center_crop, subset
from derain.data.layouts import list_clean, list_folders, list_side_by_side
from derain.data.split import split_by_background
from derain.data.store import open_pairs
from derain.io.pairs import Pair, PairPath
from derain.rain import RainSynthesizer
from derain.rain.layers import read_layers
from derain.training.processes import World
from derain.training.recipe import DataRecipe, Recipe

VALIDATION_SIZE = 256  # pixels; the middle of each validation image


def list_set(folder: Path) -> list[PairPath]:
    """The pairs of a set in any layout that `derain data` knows; ``:clean-left`` may follow."""
    found = layouts.find_set(folder.parent, folder.name)
    if not found.has_truth:
        raise ValueError(f"{folder}: has no clean images to learn from")
    return list(found.items)


LISTS: dict[str, Callable[[Path], list[PairPath]]] = {
    "clean": list_clean,
    "side-by-side": list_side_by_side,
    "folders": list_folders,
    "set": list_set,
}


class Split(NamedTuple):
    """All pairs of a recipe, and which of them are for training and for validation."""

    pairs: Sequence[Pair]
    home: list[tuple[str, str]]  # path and layout of each pair's source
    training: list[int]
    validation: list[int]  # one pair of each background that is held out


def open_split(recipe: Recipe, root: Path, cache: Path) -> Split:
    """Open every pair of a recipe once and split them by background, for every source.

    Args:
        recipe: What to train on.
        root: The recipe's paths are relative to it.
        cache: Folder for decoded images that do not fit into memory.

    Raises:
        ValueError: A folder or image that cannot be used; names it.
    """
    places = list(dict.fromkeys((s.path, s.layout) for s in recipe.data.sources))
    files = {place: LISTS[place[1]](root / place[0]) for place in places}
    home: list[tuple[str, str]] = [place for place in places for _ in files[place]]
    pairs = open_pairs([f for place in places for f in files[place]], recipe.data.storage, cache)
    quotas = [(list(range(len(pairs))), recipe.data.validation)]
    for s in recipe.data.sources:
        quotas.append(([i for i, h in enumerate(home) if h == (s.path, s.layout)], s.validation))
    return Split(pairs, home, *split_by_background(pairs, quotas, recipe.seed))


def read_sources(
    recipe: Recipe, root: Path, cache: Path, size: int = VALIDATION_SIZE
) -> tuple[list[Source], list[Pair]]:
    """Open every image of a recipe once: sources for training, rainy pairs for validation.

    A background used for validation is left out of every source. A validation image
    keeps its own rain if the recipe trains on that; others get rain from the recipe's presets, in
    turn, always the same.

    Args:
        recipe: What to train on.
        root: The recipe's paths are relative to it.
        cache: Folder for decoded images that do not fit into memory.
        size: Pixels that the middle of a validation image has at most, each way.

    Raises:
        ValueError: A folder or image that cannot be used; names it.
    """
    split = open_split(recipe, root, cache)
    pairs, home, validation = split.pairs, split.home, split.validation
    sources = []
    for s in recipe.data.sources:
        kept = [i for i in split.training if home[i] == (s.path, s.layout)]
        if not kept:
            raise ValueError(
                f"{root / s.path}: every background is used for validation; lower data.validation "
                f"({recipe.data.validation}) or bring more images"
            )
        layers = read_layers(root / s.rain_layers) if s.rain_layers else ()
        sources.append(
            Source(
                subset(pairs, kept), s.weight, s.rain or None, s.augment,
                s.enlarge, s.enlarge_probability, layers,
            )
        )  # fmt: skip
    presets = sorted({preset for s in recipe.data.sources for preset in s.rain})
    own_rain = {(s.path, s.layout) for s in recipe.data.sources if not s.rain}
    chosen = [center_crop(pairs[i], size) for i in validation]
    chosen = [
        pair if home[i] in own_rain else Pair(pair.name, pair.clean)
        for i, pair in zip(validation, chosen, strict=True)
    ]
    dry = [pair.name for pair in chosen if pair.rainy is None]
    preset = {name: presets[k % len(presets)] for k, name in enumerate(dry)} if presets else {}
    return sources, [with_rain(pair, preset.get(pair.name), recipe.seed) for pair in chosen]


def with_rain(pair: Pair, preset: str | None, seed: int) -> Pair:
    """A pair with its own rain, or else with that of a preset; without one nothing falls."""
    if pair.rainy is not None:
        return pair
    if preset is None:
        return Pair(pair.name, pair.clean, pair.clean)
    sample = RainSynthesizer(preset, seed=seed)(pair.clean)
    return Pair(pair.name, sample.target, sample.rainy)  # the night stays in the target


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
    """The crops of a recipe, for its largest patch."""
    data = recipe.data
    patch = max([data.patch, *(s.patch for s in data.stages)])
    if data.order == "random":
        return Crops(sources, patch, recipe.seed)
    images = len(sources[0].pairs)
    if images < data.batch:
        raise ValueError(f"data.batch {data.batch} is more than an epoch's {images} images")
    return Crops(sources, patch, recipe.seed, epoch=images // data.batch * data.batch)


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


def loader(crops: Crops, batches: Batches, world: World, workers: int | None) -> DataLoader[Any]:
    """Batches of crops, made by workers beside the training.

    Args:
        crops: The data set.
        batches: Which items make up each step.
        world: The processes of the run.
        workers: Per process; None takes one per two cores, at most eight. 0 makes crops in the
            training process itself.
    """
    if workers is None:
        workers = max(1, min(8, (os.cpu_count() or 1) // (2 * world.size)))
    forks = workers and "fork" in torch.multiprocessing.get_all_start_methods()
    return DataLoader(
        crops,
        batch_sampler=batches,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        pin_memory=world.device.type == "cuda",
        # Forked workers share the decoded images; others would each get a copy.
        multiprocessing_context="fork" if forks else None,
    )


def start(batches: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers, deaf to Ctrl-C and SIGTERM from their first moment.

    A terminal and a cluster send them to all processes; the training decides when to stop.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return iter(batches)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        return iter(batches)  # workers inherit the mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def to_float(batch: Tensor, device: torch.device) -> Tensor:
    """(N, 3, H, W) uint8 -> float32 in [0, 1] on the device, channels last."""
    moved = batch.to(device, non_blocking=True)
    return moved.to(memory_format=torch.channels_last).float() / 255
