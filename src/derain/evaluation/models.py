"""What can be evaluated: weights by name, model files, authors' checkpoints, the rainy input.

A model knows its file's hash and, once it has been loaded or described in the cache, its cost;
the network itself is loaded when an image needs it. Evaluating twice then loads nothing.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from derain import engines, tile_budget
from derain.restore import RestoreOptions, Restorer
from derain.weights import catalog
from derain.weights.record import Record

PUBLISHED = "published"  # stands for the papers' figures, where a model is asked for
MOST_TENSORS = 20_000  # of a network whose cost is counted by its record alone
INPUT = Record("rainy input", "input")

Run = Callable[[NDArray[Any]], NDArray[Any]]  # (H, W, 3), uint8 or float in [0, 1] -> the same


@dataclass(frozen=True)
class InferenceSettings:
    """How networks run."""

    device: str = "auto"
    engine: str = "auto"
    precision: str = "f32"
    tile: str = "auto"  # "off" for whole images whatever their size, or a tile size in pixels
    threads: int | None = None


class EvaluationModel:
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
        """The SHA-256 of the model file; "input" for the rainy input."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest() if self.path else "input"

    @cached_property
    def restorer(self) -> Restorer | None:
        """The network, loaded at first use; None for the rainy input."""
        return self._load() if self._load else None

    @property
    def record(self) -> Record:
        """What the model says of itself, its cost counted if it does not say; loads it."""
        return _with_cost(self.restorer.record) if self.restorer else INPUT

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        """(H, W, 3) uint8 or float in [0, 1] -> the same, derained, clipped, rounded half up."""
        if not self.restorer:
            return image
        return self.restorer.restore_pixels(image, RestoreOptions(tile=self.tile))

    def tiles(self, image: NDArray[Any]) -> bool:
        """Whether an image (H, W, 3) goes through the network in several tiles."""
        height, width = image.shape[:2]
        if not self.restorer:
            return False
        return self.restorer.tile_for(height, width, self.tile) < max(height, width)


def _tiles(tile: str) -> str:
    if tile == "auto":
        return f"tiles of {tile_budget.TILE} above {tile_budget.WHOLE / 1e6:g} megapixels"
    return "whole images" if tile == "off" else f"tiles of {tile}"


def rainy_input() -> EvaluationModel:
    """The model that does nothing: what every other has to beat."""
    return EvaluationModel(INPUT.name)


def evaluation_model(what: str, settings: InferenceSettings | None = None) -> EvaluationModel:
    """Find a model.

    Args:
        what: A name of ``derain models``; an `.onnx` or `.safetensors` file; or a `.pth` file of
            a network's authors.
        settings: How to run it.

    Raises:
        ValueError: Neither, or it cannot run as asked; says what is allowed.
    """
    settings = settings or InferenceSettings()
    path = Path(what)
    wanted = settings.engine if settings.engine != "auto" else engines.engine_of(what)
    choice = engines.choose(settings.device, wanted)
    file = engines.find_model(what, choice.engine)
    name = what if what in catalog.WEIGHTS else path.name
    if path.suffix in catalog.AUTHORS:  # named by what they were trained on, in folders by method
        name = f"{path.parent.name}/{path.name}"

    def load() -> Restorer:
        loaded = engines.load_engine(file, choice, settings.precision, settings.threads)
        return Restorer(loaded, choice, name=name)

    where = f"{choice.engine} {choice.device} {settings.precision}"
    return EvaluationModel(name, file, load, where, settings.tile)


def evaluation_models(
    names: Sequence[str], settings: InferenceSettings | None = None
) -> list[EvaluationModel]:
    """Find several models, each once, under names of their own; ``published`` is none of them.

    Raises:
        ValueError: As ``evaluation_model``.
    """
    wanted = [name for name in dict.fromkeys(names) if name != PUBLISHED]
    found = [evaluation_model(what, settings) for what in wanted]
    shown = [one.name for one in found]
    for what, one in zip(wanted, found, strict=True):
        if shown.count(one.name) > 1:
            one.name = what
    return found


def _with_cost(record: Record) -> Record:
    """Count multiply-adds at 512x384 where a file does not say; without torch it stays so."""
    if record.gmacs or not engines.ENGINES["torch"].installed:
        return record
    from derain.models import MODELS
    from derain.models.cost import cost
    from derain.weights.files import outline

    if record.network not in MODELS:
        return record
    try:
        counted = cost(outline(record, MOST_TENSORS).fold(), 384, 512)
    except ValueError:  # a graph runs whatever its record says of the network it came from
        return record
    return replace(record, gmacs=counted.gmacs)
