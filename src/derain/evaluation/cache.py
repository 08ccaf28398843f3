"""What has been measured before: one file of JSON lines per model and set.

A line is one image. Lines are only ever added, each in one write, so a process that is killed
loses at most the image it was at. A line that cannot be read is named and measured again.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from derain.io.atomic import write_atomically
from derain.io.gate import read_file
from derain.io.pairs import PairPath
from derain.weights.record import Record, parse_record

FORMAT = 1  # raised when a metric's definition changes: older lines are then measured again

Note = Callable[[str], None]


class Key(NamedTuple):
    """What a measurement depends on, besides the model."""

    content: str  # sha256 of the rainy file and the clean one
    protocol: str
    where: str  # engine, device, precision and tiles


class Measurement(NamedTuple):
    """What was measured."""

    values: dict[str, float]
    seconds: float
    tiled: bool = False  # the image went through the network in tiles


def content_of(item: PairPath) -> str:
    """The sha256 of a pair's files: another image under the same name is another image."""
    digest = hashlib.sha256(read_file(item.path))
    if item.clean and item.clean != item.path:
        digest.update(read_file(item.clean))
    return digest.hexdigest()


class Cache:
    """The measurements of one model on one set.

    Args:
        folder: The folder of all caches.
        model: The sha256 of the model's file.
        name: The name of the set.
        note: Is told of lines that cannot be read.
    """

    def __init__(self, folder: Path, model: str, name: str, note: Note) -> None:
        self.folder = folder / model[:16]
        self.path = self.folder / f"{name}.jsonl"
        self.entries: dict[Key, Measurement] = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        text = self.path.read_text("utf-8", "replace") if self.path.exists() else ""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                note(f"{self.path}: line {number} is unreadable; its image is measured again")
        self._torn = text != "" and not text.endswith("\n")

    def _take(self, line: dict[str, Any]) -> None:
        if line["format"] != FORMAT:
            return
        key = Key(str(line["content"]), str(line["protocol"]), str(line["where"]))
        values = {str(name): float(value) for name, value in line["values"].items()}
        known = self.entries.get(key, Measurement({}, 0))
        seconds, tiled = float(line["seconds"]), bool(line["tiled"])
        self.entries[key] = Measurement(known.values | values, seconds, tiled)

    def add(self, image: str, key: Key, entry: Measurement) -> None:
        """Keep a measurement, on disk before this returns.

        Raises:
            OSError: The file cannot be written.
        """
        values = {n: v if math.isfinite(v) else str(v) for n, v in entry.values.items()}
        line = {"format": FORMAT, "image": image, **key._asdict(), **entry._asdict()}
        text = json.dumps(line | {"values": values}, allow_nan=False) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + text if self._torn else text)  # ends a line that a kill cut off
        self._torn = False
        self._take(line)

    def example(self, key: Key) -> Path:
        """Where the restored image of a measurement is kept, if it is shown in a report."""
        name = hashlib.sha256(f"{key.content} {key.where}".encode()).hexdigest()[:16]
        return self.folder / f"{name}.png"

    def record(self, load: Callable[[], Record]) -> Record:
        """What the model says of itself, without loading it if that was kept before."""
        path = self.folder / "model.json"
        try:
            return parse_record(path.read_text("utf-8"), path)
        except (OSError, ValueError):
            record = load()
            write_atomically(path, record.to_json().encode())
            return record
