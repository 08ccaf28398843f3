"""Compiled networks of earlier starts, in the user's cache, so that a start need not compile.

One file for each shipped network and precision, so the folder stays small; other model files are
compiled each time. A file begins with a digest of all that it depends on and of itself: one that
another version, another processor or another network made, or that is damaged, counts as none.
"""

import contextlib
import hashlib
from pathlib import Path

from derain.io.atomic import write_atomically
from derain.io.cache import user_cache
from derain.weights.catalog import WEIGHTS

DIGEST = 32  # bytes


class Kept:
    """The compiled form of a model file.

    Args:
        path: The model file. Nothing is kept of one that does not ship with derain.
        precision: ``f32`` or ``bf16``.
        made_by: What else the compiled form depends on: versions, processor, settings.
    """

    def __init__(self, path: Path, precision: str, made_by: str) -> None:
        self.file: Path | None = None
        if path in [weights.file(path.suffix) for weights in WEIGHTS.values()]:
            with contextlib.suppress(RuntimeError):  # no home folder
                self.file = user_cache() / "compiled" / f"{path.stem}-{precision}.blob"
            self._key = hashlib.sha256(path.read_bytes() + made_by.encode()).digest()

    def read(self) -> bytes | None:
        """What was kept; None if nothing was, or it is not of this key, or it is damaged."""
        if self.file is None:
            return None
        try:
            data = self.file.read_bytes()
        except OSError:
            return None
        compiled = data[DIGEST:]
        return compiled if data[:DIGEST] == self._digest(compiled) else None

    def write(self, compiled: bytes) -> None:
        """Keep a compiled form; where the cache cannot be written to, do nothing."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(self.file, self._digest(compiled) + compiled)

    def _digest(self, compiled: bytes) -> bytes:
        return hashlib.sha256(self._key + compiled).digest()
