"""What can be evaluated: weights by name, model files, authors' checkpoints, the rainy input.

A candidate knows its file's hash and, once it has been loaded or described in the cache, its cost;
the network itself is loaded when a picture needs it. Evaluating twice then loads nothing.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from derain import engines, restore
from derain.restore import Restorer
from derain.weights import catalog
from derain.weights.record import Record

PUBLISHED = "published"  # stands for the papers' figures, where a model is asked for
INPUT = Record("rainy input", "input")

Run = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, 3), uint8 or float in [0, 1] -> the same


@dataclass(frozen=True)
class Settings:
    """How networks run."""

    device: str = "auto"
    engine: str = "auto"
    precision: str = "f32"
    tile: str = "auto"  # "off" for whole pictures whatever their size, or a side in pixels
    threads: int | None = None


class Candidate:
    """One model to evaluate.

    Args:
        name: As tables show it.
        path: Its file; None is the rainy input.
        load: Makes its restorer.
        where: Engine, device and precision; with the tiles they are part of a result's identity.
        tile: As ``Restorer`` takes it.
    """

    def __init__(
        self,
        name: str,
        path: Path | None = None,
        load: Callable[[], Restorer] | None = None,
        where: str = "",
        tile: str = "auto",
    ) -> None:
        self.name, self.path, self._load, self.tile = name, path, load, tile
        self.where = f"{where}, {_tiles(tile)}" if where else ""

    @cached_property
    def sha256(self) -> str:
        """Of the model file; "input" for the rainy input."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path else "input"

    @cached_property
    def restorer(self) -> Restorer | None:
        """The network, loaded at first use; None for the rainy input."""
        return self._load() if self._load else None

    @property
    def record(self) -> Record:
        """What the model says of itself, its cost counted if it does not say; loads it."""
        return _with_cost(self.restorer.record) if self.restorer else INPUT

    def __call__(self, picture: NDArray[Any]) -> NDArray[Any]:
        """(H, W, 3) uint8 or float in [0, 1] -> the same, derained, clipped, rounded half up."""
        return self.restorer.restore_pixels(picture, self.tile) if self.restorer else picture

    def tiles(self, picture: NDArray[Any]) -> bool:
        """Whether a picture (H, W, 3) goes through the network in several tiles."""
        height, width = picture.shape[:2]
        if not self.restorer:
            return False
        return self.restorer.tile_for(height, width, self.tile) < max(height, width)


def _tiles(tile: str) -> str:
    if tile == "auto":
        return f"tiles of {restore.TILE} above {restore.WHOLE / 1e6:g} megapixels"
    return "whole pictures" if tile == "off" else f"tiles of {tile}"


def rainy_input() -> Candidate:
    """The candidate that does nothing: what every other has to beat."""
    return Candidate(INPUT.name)


def candidate(what: str, settings: Settings | None = None) -> Candidate:
    """Find a model.

    Args:
        what: A name of ``derain models``; an `.onnx` or `.safetensors` file; or a `.pth` file of
            a network's authors.
        settings: How to run it.

    Raises:
        ValueError: Neither, or it cannot run as asked; says what is allowed.
    """
    settings = settings or Settings()
    path = Path(what)
    authors = path.suffix in catalog.AUTHORS
    if authors and not path.is_file():
        raise ValueError(f"{what}: no such file")
    asked = "auto" if authors else settings.engine  # torch alone runs checkpoints
    wanted = asked if asked != "auto" else catalog.engine_of(what)
    choice = engines.choose(settings.device, wanted)
    file = catalog.find(what, choice.engine)
    name = what if what in catalog.WEIGHTS else path.name
    if authors:  # their files are named by what they were trained on
        name = f"{path.parent.name}/{path.name}"

    def load() -> Restorer:
        loaded = engines.load(file, choice, settings.precision, settings.threads)
        return Restorer(loaded, choice)

    where = f"{choice.engine} {choice.device} {settings.precision}"
    return Candidate(name, file, load, where, settings.tile)


def candidates(names: Sequence[str], settings: Settings | None = None) -> list[Candidate]:
    """Find several models, each once, under names of their own; ``published`` is none of them.

    Raises:
        ValueError: As ``candidate``.
    """
    wanted = [name for name in dict.fromkeys(names) if name != PUBLISHED]
    found = [candidate(what, settings) for what in wanted]
    shown = [one.name for one in found]
    for what, one in zip(wanted, found, strict=True):
        if shown.count(one.name) > 1:
            one.name = what
    return found


def _with_cost(record: Record) -> Record:
    """Count multiply-adds at 512x384 where a file does not say; without torch it stays so."""
    if record.gmacs or not engines.has_torch():
        return record
    import torch

    from derain.models import MODELS, build
    from derain.models.cost import cost

    if record.network not in MODELS:
        return record
    with torch.device("meta"):
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in record.options.items()}
        network = build(record.network, **options)
        fold = getattr(network, "fold", None)
        counted = cost(fold() if fold else network, 384, 512)
    return replace(record, gmacs=counted.gmacs)
