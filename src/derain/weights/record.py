"""The record that every model file carries in its metadata: what it is and how good it is.

`.safetensors` and `.onnx` files hold the same JSON under the key ``derain``. Files come from
strangers too, so a record checks its own fields, wherever it comes from. Nothing here needs torch.
"""

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

KEY = "derain"
FORMAT = 1  # raised when a file of this version could not be read by an older derain
LARGEST_SIZE = 1024  # pixels; what ``size_multiple`` and ``minimum_size`` may be


@dataclass(frozen=True)
class Record:
    """What a model file holds.

    Raises:
        ValueError: A field holds what it may not; names it.
    """

    name: str  # the weights' own name
    network: str  # a name from derain.models.MODELS
    options: dict[str, Any] = field(default_factory=dict)  # changes to that network's defaults
    size_multiple: int = 1  # height and width of an exported graph's input must divide by this
    minimum_size: int = 1  # pixels
    # Longer dimension, in pixels, up to which rain is looked for at full size; larger images are
    # searched at half of it, a quarter and so on (scales.py). 0: every image at full size.
    full_scale_size: int = 0
    receptive_radius: int | None = None  # pixels; None: the whole image, as means over it
    parameters: int = 0
    gmacs: float = 0.0  # multiply-adds at 512x384, in 10^9, after folding
    memory: dict[str, int] = field(default_factory=dict)  # precision -> bytes of work per pixel
    trained_on: str = ""  # data, steps, hardware
    scores: dict[str, float] = field(default_factory=dict)  # "set protocol metric" -> mean
    licence: str = "MIT"
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Check every field."""
        for name, kind in _FIELDS.items():
            value = getattr(self, name)
            if not kind.holds(value):
                raise ValueError(f"{name} must be {kind.words}: {_shown(value)}")

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


class _Kind(NamedTuple):
    """What a field may hold, as a test and in words."""

    holds: Callable[[Any], bool]
    words: str


def _whole(least: int, most: int) -> _Kind:
    return _Kind(lambda x: type(x) is int and least <= x <= most, f"a whole number {least}..{most}")


def _number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and abs(value) < 2**63  # which NaN and infinity are not


def _text(longest: int) -> _Kind:
    def holds(value: Any) -> bool:
        return isinstance(value, str) and len(value) <= longest and value.isprintable()

    return _Kind(holds, f"a line of text, at most {longest} characters")


def _table(kind: _Kind) -> _Kind:
    def holds(value: Any) -> bool:
        named = isinstance(value, dict) and all(re.fullmatch(r"[\w .:+-]{1,100}", k) for k in value)
        return named and all(kind.holds(each) for each in value.values())

    return _Kind(holds, f"a table of names, each with {kind.words}")


def _option(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 100 and all(map(_scalar, value))
    return _scalar(value)


def _scalar(value: Any) -> bool:
    plain = value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) < 99)
    return plain or (_number(value) and -(2**16) <= value <= 2**16)


_FIELDS = {
    "name": _Kind(
        lambda x: _text(200).holds(x) and bool(re.fullmatch(r"[^/\\]+", x)),
        "a name, no path",
    ),
    "network": _Kind(
        lambda x: isinstance(x, str) and bool(re.fullmatch(r"[\w.-]{1,100}", x)), "a network's name"
    ),
    "options": _table(_Kind(_option, f"a word, a number up to {2**16} or a list of them")),
    "size_multiple": _whole(1, LARGEST_SIZE),
    "minimum_size": _whole(1, LARGEST_SIZE),
    "full_scale_size": _whole(0, 2**20),
    "receptive_radius": _Kind(
        lambda x: x is None or _whole(0, 2**16).holds(x), f"null or {_whole(0, 2**16).words}"
    ),
    "parameters": _whole(0, 2**40),
    "gmacs": _Kind(lambda x: _number(x) and x >= 0, "a number from 0 up"),
    "memory": _table(_whole(1, 2**30)),
    "trained_on": _text(2000),
    "scores": _table(_Kind(_number, "a number")),
    "licence": _text(200),
    "format": _whole(1, FORMAT),
}


def parse_record(text: str, path: Path) -> Record:
    """Read a record's JSON.

    Raises:
        ValueError: Written by a newer derain, or not a record; names the file and the field.
    """
    damaged = f"{path}: its derain record is damaged"
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{damaged}: no JSON") from None
    if not isinstance(values, dict):
        raise ValueError(f"{damaged}: no table of fields")
    version = values.get("format")
    if type(version) is int and version > FORMAT:
        raise ValueError(
            f"{path}: written by a newer derain (format {version}, this one reads {FORMAT}); "
            f"pip install --upgrade derain"
        )
    known = {field.name for field in dataclasses.fields(Record)}
    if unknown := values.keys() - known:
        raise ValueError(f"{damaged}: unknown field {_shown(min(unknown))}")
    if lacking := {"name", "network", "format"} - values.keys():
        raise ValueError(f"{damaged}: {min(lacking)} is missing")
    try:
        return Record(**values)
    except ValueError as error:
        raise ValueError(f"{damaged}: {error}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
