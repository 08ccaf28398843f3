"""Checkpoints: everything a run needs to go on, written whole or not at all."""

from pathlib import Path
from typing import Any

import torch


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` beside ``path``, then move it into place: a crash leaves the old file."""
    partial = path.with_suffix(".partial")
    try:
        torch.save(state, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ``save_checkpoint``.

    Raises:
        ValueError: Missing or damaged; names it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no checkpoint there; start without --resume")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path}: damaged checkpoint: {error}") from None
