"""A training recipe: frozen dataclasses read from a TOML file, where typos do not pass."""

import dataclasses
import difflib
import tomllib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True)
class SourceRecipe:
    """One folder of pictures, and how often crops come from it."""

    path: str  # relative to the data root given on the command line
    layout: Literal["clean", "side-by-side", "folders"]
    weight: float
    rain: dict[str, float] = field(default_factory=dict)  # preset -> weight; empty: own pairs


@dataclass(frozen=True)
class DataRecipe:
    """What a step sees."""

    sources: tuple[SourceRecipe, ...]
    patch: int = 64  # pixels
    batch: int = 8
    validation: int = 32  # backgrounds held out, over all sources


@dataclass(frozen=True)
class LossRecipe:
    """MSPFN's loss: Charbonnier + edge_weight * edge."""

    edge_weight: float = 0.05  # lambda; 0 is the ablation without edge loss


@dataclass(frozen=True)
class OptimiserRecipe:
    """Optimiser and schedule."""

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = 8e-4  # at the top of the schedule
    final_lr: float = 1e-6  # at its end
    warmup: float = 0.01  # share of the run with a rising rate
    weight_decay: float = 1e-4  # adamw only
    clip: float = 0.5  # largest gradient norm
    ema: float = 0.999  # decay of the averaged weights, which are the result


@dataclass(frozen=True)
class Recipe:
    """A whole training run."""

    name: str
    network: str  # a name from derain.models.MODELS
    data: DataRecipe
    steps: int
    options: dict[str, Any] = field(default_factory=dict)  # fields of the network's configuration
    loss: LossRecipe = field(default_factory=LossRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    compile: bool = False  # torch.compile: a minute or two first, then up to twice as fast
    seed: int = 0


def read_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        ValueError: Not TOML, an unknown key or a wrong value; names file, key and what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such recipe") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    return from_table(Recipe, table, str(path))


def from_table(kind: type[T], table: dict[str, Any], where: str) -> T:
    """Build a dataclass from a table, strictly: every key known, every value of its type."""
    # Any dataclass: the type system has no bound for that.
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(fields)}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise ValueError(f"{where}: {name!r} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: convert(hints[key], v, f"{where}: {key}") for key, v in table.items()})


def convert(hint: Any, value: Any, where: str) -> Any:
    """Check a TOML value against a field's type and turn it into that."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, dict):
            return from_table(hint, value, where)
        raise ValueError(f"{where} must be a table")
    if origin is Literal:
        if value in arguments:
            return value
        raise ValueError(f"{where} must be one of {', '.join(map(repr, arguments))}: {value!r}")
    if origin is tuple:
        if isinstance(value, list):
            return tuple(convert(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        raise ValueError(f"{where} must be a list")
    if origin is dict:
        if isinstance(value, dict):
            return {key: convert(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
        raise ValueError(f"{where} must be a table")
    if origin is types.UnionType:
        return value if value is None else convert(arguments[0], value, where)
    if hint is Any:
        return tuple(value) if isinstance(value, list) else value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where} must be of type {getattr(hint, '__name__', hint)}: {value!r}")
    return value
