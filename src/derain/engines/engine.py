"""What an engine is: a network ready to run, and the functions that its file offers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from derain.weights.record import Record

Batch = NDArray[np.float32]  # (N, 3, H, W)
SMALL = 3 * 128 * 128  # values of an image that takes no memory to speak of


class Engine(Protocol):
    """A network ready to run."""

    record: Record
    name: str  # "OpenVINO", "torch", "onnxruntime"
    device: str  # "CPU", "cuda:0 (NVIDIA ...)"
    precision: str  # "f32" or "bf16"

    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same shape, unclipped."""
        ...


class EngineModule(Protocol):
    """What the file of an engine offers; it may import its package at the top."""

    def load(self, path: Path, device: str, precision: str, threads: int | None) -> Engine:
        """Load a model file; see ``load_engine``."""
        ...

    def missing(self, device: str) -> str:
        """Why a device of the engine's kinds cannot be used here; empty if it can."""
        ...

    def computes(self, device: str, precision: str) -> bool:
        """Whether a device that can be used computes in a precision."""
        ...


def require_one_each(inputs: int, outputs: int, path: Path) -> None:
    """Check how many inputs and outputs an engine found in a file, whatever its header said.

    An input of an ONNX file that has a value in the file as well is none.

    Raises:
        ValueError: Not one of each; names the file.
    """
    if (inputs, outputs) != (1, 1):
        raise ValueError(f"{path}: has {inputs} inputs and {outputs} outputs, must have one each")


def image_size(shape: Sequence[int | None], path: Path) -> Sequence[int | None]:
    """The height and width that a file takes, out of the shape of its input.

    Args:
        shape: The shape of the input; None where any number will do.
        path: The file.

    Raises:
        ValueError: It does not take images; names the file.
    """
    if len(shape) != 4 or shape[1] not in (3, None):
        raise ValueError(f"{path}: takes arrays of shape {list(shape)}, no images (1, 3, H, W)")
    return shape[2:]


def check_result(result: Batch, batch: Batch, engine: str, record: Record) -> None:
    """Check that a result has the shape of what went in.

    Args:
        result: What the engine returned.
        batch: (N, 3, H, W).
        engine: Its name.
        record: The record of the file.

    Raises:
        ValueError: It has not, for an image too small to run out of memory on: the file holds no
            network that restores images.
        RuntimeError: It has not, as happens without a word when memory runs out.
    """
    if result.shape == batch.shape:
        return
    told = f"{record.name}: {engine} returned {result.shape} for {batch.shape}"
    if batch.size <= SMALL:
        raise ValueError(f"{told}: no network that restores images")
    raise RuntimeError(f"{told}: out of memory, or a size that it cannot handle")


def require_size(record: Record, size: Sequence[int | None], batch: Batch) -> None:
    """Check that a file made for images of one size gets them.

    Args:
        record: The record of the file.
        size: Height and width that it takes; None where any will do.
        batch: (N, 3, H, W).

    Raises:
        ValueError: It gets others.
    """
    given = batch.shape[2:]
    if any(wanted not in (None, length) for wanted, length in zip(size, given, strict=True)):
        raise ValueError(
            f"{record.name}: this file takes images {size[0]} high and {size[1]} wide alone, "
            f"not {given[0]} and {given[1]}; `derain export --size dynamic` makes one for all"
        )
