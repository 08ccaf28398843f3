"""What a recipe's images are for: sources to train on, and rainy pairs for validation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from derain.data import layouts
from derain.data.crops import Source, center_crop, subset
from derain.data.layouts import list_clean, list_folders, list_side_by_side
from derain.data.split import split_by_background
from derain.data.store import open_pairs
from derain.io import places
from derain.io.mirror import mirror
from derain.io.pairs import Pair, PairPath
from derain.rain import RainSynthesizer
from derain.rain.layers import read_layers
from derain.training.recipe import Recipe

VALIDATION_SIZE = 256  # pixels; the middle of each validation image
OWN_RAIN, NO_RAIN = "own rain", "no rain"  # kinds beside the names of presets


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


def local_root(recipe: Recipe, root: str, cache: Path | None) -> Path:
    """A folder of this machine that a recipe's paths are relative to.

    Args:
        recipe: What to train on; only what it names is copied.
        root: A path or URL.
        cache: Holds the copies of what is behind a URL, which stay.

    Raises:
        ImageError: A folder cannot be read, or has no images; names it.
        ValueError: There is no folder for copies, or a path of the recipe leads out of the URL.
    """
    if path := places.local_path(root):
        return path
    if cache is None:
        raise ValueError(f"--data {root}: name a folder for the copies of the images with --cache")
    named = [name for s in recipe.data.sources for name in (s.path, s.rain_layers)]
    named.append(recipe.data.validation_set)
    folders = [layouts.without_hint(name) for name in named if name]
    return mirror(root, cache / "sources", list(dict.fromkeys(folders)))


class Split(NamedTuple):
    """All pairs of a recipe, and which of them are for training and for validation."""

    pairs: Sequence[Pair]
    home: list[tuple[str, str]]  # path and layout of each pair's source
    training: list[int]
    validation: list[int]  # one pair of each background that is kept for it


class ValidationPair(NamedTuple):
    """A pair with a rainy image, and what rain that is."""

    pair: Pair
    kind: str  # a preset, "own rain" (of the set) or "no rain" (the clean image itself)


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
    quotas: list[tuple[Sequence[int], int]] = [(range(len(pairs)), recipe.data.validation)]
    for s in recipe.data.sources:
        quotas.append(([i for i, h in enumerate(home) if h == (s.path, s.layout)], s.validation))
    return Split(pairs, home, *split_by_background(pairs, quotas, recipe.seed))


def read_sources(
    recipe: Recipe, root: Path, cache: Path, size: int = VALIDATION_SIZE
) -> tuple[list[Source], list[ValidationPair]]:
    """Open every image of a recipe once: sources for training, rainy pairs for validation.

    A background used for validation is left out of every source; that holds for backgrounds that
    are kept apart, and not for ``data.validation_set``, which is not compared with the sources.

    Args:
        recipe: What to train on.
        root: The recipe's paths are relative to it.
        cache: Folder for decoded images that do not fit into memory.
        size: Pixels that the middle of a validation image has at most, each way.

    Raises:
        ValueError: A folder or image that cannot be used; names it.
    """
    split = open_split(recipe, root, cache)
    sources = []
    for s in recipe.data.sources:
        kept = [i for i in split.training if split.home[i] == (s.path, s.layout)]
        if not kept:
            raise ValueError(
                f"{root / s.path}: every background is used for validation; lower data.validation "
                f"({recipe.data.validation}) or bring more images"
            )
        layers = read_layers(root / s.rain_layers) if s.rain_layers else ()
        sources.append(
            Source(
                subset(split.pairs, kept), s.weight, s.rain or None, s.augment,
                s.enlarge, s.enlarge_probability, layers,
            )
        )  # fmt: skip
    pairs = validation_pairs(recipe, split, size)
    if recipe.data.validation_set:
        named = list_set(root / recipe.data.validation_set)
        pairs += [ValidationPair(center_crop(file.read(), size), OWN_RAIN) for file in named]
    return sources, pairs


def validation_pairs(recipe: Recipe, split: Split, size: int) -> list[ValidationPair]:
    """The middles of a split's validation images, each with one kind of rain.

    An image keeps its own rain if the recipe trains on that; others get rain from the recipe's
    presets in turn, always the same; where there are no presets, nothing falls.
    """
    presets = sorted({preset for s in recipe.data.sources for preset in s.rain})
    own_rain = {(s.path, s.layout) for s in recipe.data.sources if not s.rain}
    chosen: list[ValidationPair] = []
    dealt = 0
    for i in split.validation:
        pair = center_crop(split.pairs[i], size)
        if pair.rainy is not None and split.home[i] in own_rain:
            chosen.append(ValidationPair(pair, OWN_RAIN))
        elif not presets:
            chosen.append(ValidationPair(Pair(pair.name, pair.clean, pair.clean), NO_RAIN))
        else:
            preset = presets[dealt % len(presets)]
            chosen.append(ValidationPair(with_rain(pair, preset, recipe.seed), preset))
            dealt += 1
    return chosen


def with_rain(pair: Pair, preset: str, seed: int) -> Pair:
    """A pair with the rain of a preset over its clean image."""
    sample = RainSynthesizer(preset, seed=seed)(pair.clean)
    return Pair(pair.name, sample.target, sample.rainy)  # the night stays in the target
