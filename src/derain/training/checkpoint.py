"""Checkpoints: everything a run needs to go on, written whole or not at all, and hash-checked.

A file is what ``torch.save`` writes, followed by the SHA-256 of that.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from derain.io.atomic import write_atomically

DIGEST = 32  # bytes


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``; a crash or a full disk leaves what was there before.

    Raises:
        OSError: It cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writer aborts on a full disk
    torch.save(state, buffer)
    data = buffer.getvalue()
    write_atomically(path, data + hashlib.sha256(data).digest())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ``save_checkpoint``.

    Raises:
        ValueError: Missing or damaged; names it.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such checkpoint")
    data = path.read_bytes()
    if hashlib.sha256(data[:-DIGEST]).digest() != data[-DIGEST:]:
        raise ValueError(f"{path}: damaged checkpoint (its hash does not fit)")
    try:
        return torch.load(io.BytesIO(data[:-DIGEST]), map_location="cpu", weights_only=True)
    except Exception:  # on bytes that are no checkpoint it fails in many ways
        raise ValueError(f"{path}: not a checkpoint of a training") from None


def name_of(step: int) -> str:
    """The file of a step; names sort as steps do."""
    return f"step-{step:09d}.pt"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run's folder, the newest first."""
    return sorted(folder.glob("step-*.pt"), reverse=True)


def keep_newest(folder: Path, count: int) -> None:
    """Delete all checkpoints but the newest."""
    for path in checkpoints(folder)[count:]:
        path.unlink(missing_ok=True)


def newest_intact(folder: Path) -> tuple[Path, dict[str, Any], list[str]]:
    """The newest checkpoint that is whole.

    Returns:
        Its path, what it holds, and what is wrong with those that are newer.

    Raises:
        ValueError: There is none; names what was found.
    """
    problems: list[str] = []
    for path in checkpoints(folder):
        try:
            return path, load_checkpoint(path), problems
        except ValueError as error:
            problems.append(str(error))
    found = "; ".join(problems) or "no checkpoint there"
    raise ValueError(f"{folder.parent}: cannot go on: {found}")
