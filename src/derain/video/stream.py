"""Frames of one's own source, such as a camera or OpenCV, restored one after another."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.io.levels import quantise
from derain.restore import DEFAULTS, RestoreOptions, Restorer
from derain.video.temporal import Pair, fuse


def stream(
    frames: Iterable[NDArray[Any]],
    restorer: Restorer,
    *,
    temporal: bool = True,
    options: RestoreOptions = DEFAULTS,
) -> Iterator[NDArray[Any]]:
    """Restore frames as they come.

    Args:
        frames: (H, W, 3) RGB, uint8, uint16 or float in [0, 1].
        restorer: The network.
        temporal: Whether neighbouring frames help each other. The latency is then `CONTEXT`
            frames, else none.
        options: How each frame is restored.

    Yields:
        One result per frame, in order, of its shape and type.

    Raises:
        ValueError: A frame of another shape or type; says which are right.
    """
    frames = map(_checked, frames)
    if not temporal:
        yield from (restorer.restore_pixels(frame, options) for frame in frames)
        return
    kinds: list[np.dtype[Any]] = []  # of the frames whose results are still to come

    def restored() -> Iterator[Pair]:
        for frame in frames:
            kinds.append(frame.dtype)
            rainy = _as_float(frame)
            yield rainy, restorer.restore_pixels(rainy, options)

    for result in fuse(restored()):
        yield _as_kind(result, kinds.pop(0))


def _checked(frame: NDArray[Any]) -> NDArray[Any]:
    """The frame, if it is one."""
    frame = np.asarray(frame)
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame must be (H, W, 3): {frame.shape}")
    if frame.dtype not in (np.uint8, np.uint16) and frame.dtype.kind != "f":
        raise ValueError(f"a frame must be uint8, uint16 or float: {frame.dtype}")
    return frame


def _as_float(frame: NDArray[Any]) -> NDArray[Any]:
    """Any accepted frame -> float32 in [0, 1]."""
    if frame.dtype.kind == "u":
        return frame.astype(np.float32) / np.float32(np.iinfo(frame.dtype).max)
    return frame.astype(np.float32)


def _as_kind(frame: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """A float frame in another type."""
    return quantise(frame, np.iinfo(kind).max) if kind.kind == "u" else frame.astype(kind)
