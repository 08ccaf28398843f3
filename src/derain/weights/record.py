"""The record that every model file carries in its metadata: what it is and how good it is.

`.safetensors` and `.onnx` files hold the same JSON under the key ``derain``. Nothing here needs
torch.
"""

import dataclasses
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "derain"
FORMAT = 1  # raised when a file of this version could not be read by an older derain


@dataclass(frozen=True)
class Record:
    """What a model file holds."""

    name: str  # the weights' own name
    network: str  # a name from derain.models.MODELS
    options: dict[str, Any] = field(default_factory=dict)  # changes to that network's defaults
    size_multiple: int = 1  # height and width of an exported graph's input must divide by this
    minimum_size: int = 1  # pixels
    receptive_radius: int | None = None  # pixels; None: the whole image, as means over it
    parameters: int = 0
    gmacs: float = 0.0  # multiply-adds at 512x384, in 10^9, after folding
    memory: dict[str, int] = field(default_factory=dict)  # precision -> bytes of work per pixel
    trained_on: str = ""  # data, steps, hardware
    scores: dict[str, float] = field(default_factory=dict)  # "set protocol metric" -> mean
    licence: str = "MIT"
    format: int = FORMAT

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


def parse_record(text: str, path: Path) -> Record:
    """Read a record's JSON.

    Raises:
        ValueError: Written by a newer derain, or not a record; names the file.
    """
    try:
        values = json.loads(text)
        if values["format"] > FORMAT:
            raise ValueError(
                f"{path}: written by a newer derain (format {values['format']}, this one reads "
                f"{FORMAT}); pip install --upgrade derain"
            )
        return Record(**values)
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{path}: its derain record is damaged") from None


def read_safetensors_record(path: Path) -> Record:
    """The record of a `.safetensors` file, read from its header alone.

    Raises:
        ValueError: No safetensors file, or one that derain did not write; names it.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError
            metadata = json.loads(file.read(length)).get("__metadata__", {})
    except (struct.error, ValueError):
        raise ValueError(f"{path}: not a safetensors file") from None
    if KEY not in metadata:
        raise ValueError(f"{path}: not written by derain (it has no derain record)")
    return parse_record(metadata[KEY], path)
