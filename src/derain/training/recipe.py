"""A training recipe: frozen dataclasses read from a TOML file, where typos do not pass."""

import dataclasses
import difflib
import json
import re
import tomllib
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from derain.data.store import Storage

T = TypeVar("T")


@dataclass(frozen=True)
class SourceRecipe:
    """One folder of images, and how often crops come from it."""

    path: str  # relative to the data root given on the command line
    layout: Literal[
        "clean", "side-by-side", "folders", "set"
    ]  # "set": any that `derain data` finds
    weight: float = 1.0
    rain: dict[str, float] = field(default_factory=dict)  # preset -> weight; empty: own pairs
    augment: Literal["none", "mirror", "dihedral"] = "mirror"  # of own pairs; rain falls, so mirror
    enlarge: float = 1.0  # the largest factor by which crops are enlarged, as larger images look
    enlarge_probability: float = 0.0  # of a crop to be enlarged
    rain_layers: str = ""  # folder of photographs of rain on black, for presets that mix them in
    validation: int = 0  # backgrounds of this source kept for it, beside those of `data.validation`


@dataclass(frozen=True)
class StageRecipe:
    """Another size and number of crops from a fraction of the run on."""

    start: float  # 0..1
    patch: int  # pixels
    batch: int


@dataclass(frozen=True)
class DataRecipe:
    """What a step sees."""

    sources: tuple[SourceRecipe, ...]
    patch: int = 64  # pixels
    batch: int = 8  # crops per step, over all processes
    stages: tuple[StageRecipe, ...] = ()  # progressive learning: later sizes, in rising order
    accumulate: int = 1  # parts that a process cuts its crops into, one after the other
    order: Literal["random", "epochs"] = "random"  # "epochs": each image once before any again
    validation: int = 32  # backgrounds for validation, over all sources; 0 trains on every image
    validation_set: str = ""  # pairs that only validate, in any layout that `derain data` finds
    storage: Storage = "auto"  # decoded images: "memory", "disk", or "files" (decoded each time)


@dataclass(frozen=True)
class OptimiserRecipe:
    """Optimiser and what becomes of its steps."""

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = 8e-4  # at the top of the schedule
    weight_decay: float = 1e-4  # adamw only
    clip: float = 0.5  # largest gradient norm; 0 cuts nothing
    ema: float = 0.999  # decay of the EMA weights, which are the result; 0 turns EMA off


@dataclass(frozen=True)
class ScheduleRecipe:
    """The learning rate over the run, in fractions of it: a time budget stretches with it."""

    kind: Literal["cosine", "steps"] = "cosine"
    warmup: float = 0.01  # fraction of the run with a rising learning rate
    final_lr: float = 1e-6  # the cosine ends there; steps never fall below
    milestones: tuple[float, ...] = ()  # "steps": fractions of the run, 0..1
    factor: float = 0.5  # "steps": what the learning rate is multiplied with at each
    every: int = 0  # "steps": multiply every so many steps, instead of at milestones


@dataclass(frozen=True)
class Recipe:
    """A whole training run."""

    name: str  # of the weights and their files: letters, digits, "-", "_" and "."
    network: str  # a name from derain.models.MODELS
    data: DataRecipe
    steps: int = 0
    epochs: int = 0  # instead of steps: how often each image comes, which needs order = "epochs"
    options: dict[str, Any] = field(default_factory=dict)  # fields of the network's configuration
    init: str = ""  # weights to start from: a shipped name or a .safetensors file
    loss: dict[str, float] = field(
        default_factory=lambda: {"charbonnier": 1.0, "edge": 0.05}  # MSPFN's
    )  # name in derain.losses.LOSSES -> weight
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    precision: Literal["auto", "f32", "bf16"] = "auto"  # bf16 where the device multiplies in it
    compile: bool = False  # torch.compile: a minute or two first, then up to twice as fast
    seed: int = 0


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Args:
        path: A TOML file.
        changes: As ``optimiser.lr=3e-4``: dotted key, TOML value; a number counts in a list.

    Raises:
        ValueError: Not TOML, an unknown key or a wrong value; names file, key and what is allowed.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such recipe") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    for change in changes:
        apply_change(table, change)
    recipe = from_table(Recipe, table, f"{path} with --set" if changes else str(path))
    check_recipe(recipe, path)
    return recipe


def check_recipe(recipe: Recipe, path: Path) -> None:
    """Refuse values of the right type that cannot be meant.

    Raises:
        ValueError: Names file, key and what is allowed.
    """
    data, optimiser, schedule = recipe.data, recipe.optimiser, recipe.schedule
    rules = [
        (
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", recipe.name),
            "name must be of letters, digits, '-', '_' and '.', a letter or digit first: "
            f"{recipe.name!r}",
        ),
        (
            min(recipe.steps, recipe.epochs) == 0 < max(recipe.steps, recipe.epochs),
            "one of steps and epochs must be above 0, the other left out",
        ),
        (
            recipe.epochs == 0 or data.order == "epochs",
            "epochs needs data.order = 'epochs'",
        ),
        (len(data.sources) > 0, "data.sources must not be empty"),
        (all(s.weight >= 0 for s in data.sources), "data.sources: no weight may be negative"),
        (any(s.weight > 0 for s in data.sources), "data.sources: one weight must be above 0"),
        (min(data.patch, data.batch, data.accumulate) > 0, "data: patch, batch, accumulate > 0"),
        (all(0 < s.start < 1 for s in data.stages), "data.stages: start must lie between 0 and 1"),
        (
            [s.start for s in data.stages] == sorted(s.start for s in data.stages),
            "data.stages must be in rising order of start",
        ),
        (
            data.order == "random" or (len(data.sources) == 1 and not data.stages),
            "data.order 'epochs' needs exactly one source and no stages",
        ),
        (
            min(data.validation, *(s.validation for s in data.sources)) >= 0,
            "data.validation, and a source's, must not be negative",
        ),
        (all(s.enlarge >= 1 for s in data.sources), "data.sources: enlarge must be at least 1"),
        (
            all(0 <= s.enlarge_probability <= 1 for s in data.sources),
            "data.sources: enlarge_probability must be in 0..1",
        ),
        (optimiser.lr > 0, "optimiser.lr must be above 0"),
        (0 <= optimiser.ema < 1, "optimiser.ema must be in [0, 1)"),
        (optimiser.clip >= 0, "optimiser.clip must not be negative"),
        (0 <= schedule.warmup < 1, "schedule.warmup must be in [0, 1)"),
        (all(0 <= m <= 1 for m in schedule.milestones), "schedule.milestones must be in 0..1"),
        (
            schedule.every >= 0 and not (schedule.every and schedule.milestones),
            "schedule: either milestones or every, which must not be negative",
        ),
        (any(weight > 0 for weight in recipe.loss.values()), "loss: one weight must be above 0"),
    ]
    for right, words in rules:
        if not right:
            raise ValueError(f"{path}: {words}")


def apply_change(table: dict[str, Any], change: str) -> None:
    """Set one value of a nested table, as ``data.sources.0.weight=2`` says it.

    Raises:
        ValueError: No ``=``, or a key below something that has none.
    """
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {change}: write it as key=value, such as optimiser.lr=3e-4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a word without quotes
    *parents, last = key.strip().split(".")
    place: Any = table
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ValueError(f"--set {change}: {key} does not lead to a value") from None


def to_toml(recipe: Recipe) -> str:
    """The recipe as a file that ``read_recipe`` reads back equal, every default written out."""
    values = dataclasses.asdict(recipe)
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {inline(value)}" for key, value in values.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]"] + [f"{key} = {inline(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    """A value in TOML, on one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {inline(v)}" for key, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value)  # strings, numbers and truth values are written as in JSON


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
    return kind(
        **{key: convert_value(hints[key], v, f"{where}: {key}") for key, v in table.items()}
    )


def convert_value(hint: Any, value: Any, where: str) -> Any:
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
            return tuple(
                convert_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value)
            )
        raise ValueError(f"{where} must be a list")
    if origin is dict:
        if isinstance(value, dict):
            return {
                key: convert_value(arguments[1], v, f"{where}.{key}") for key, v in value.items()
            }
        raise ValueError(f"{where} must be a table")
    if origin is types.UnionType:
        return value if value is None else convert_value(arguments[0], value, where)
    if hint is Any:
        return tuple(value) if isinstance(value, list) else value
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(f"{where} must be of type {getattr(hint, '__name__', hint)}: {value!r}")
    return value
