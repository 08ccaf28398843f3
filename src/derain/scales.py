"""Rain that is too wide for a network, found in a reduced copy and taken away at full size.

A network knows streaks as wide as those it was trained on. In a photograph of 12 megapixels they
are several times as wide; in a copy of half the height and width they are not. So the rain is
estimated in the reduced copy, and only that estimate is enlarged and subtracted: the image keeps
every detail of its own.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.tiles import Tile

Read = Callable[[slice, slice], Tile]  # rows and columns -> that part of an image
ROWS = 64  # of an image that are worked on at a time
COARSEST = 16


class RainLayer(NamedTuple):
    """Rain as it was estimated in a reduced copy of an image."""

    rain: NDArray[np.float32]  # (ceil(H / scale), ceil(W / scale), 3), what to subtract
    scale: int


def scales_by_size(length: int, full_scale_size: int) -> tuple[int, ...]:
    """The scales at which rain is looked for in an image, the coarsest first.

    At the coarsest the image is no longer than `full_scale_size`. From a quarter of the size on
    the next finer scale follows, which was measured to gain 0.8 dB; below that it does not pay.

    Args:
        length: The longer dimension of the image in pixels.
        full_scale_size: The record's; 0 keeps every image at full size.
    """
    scale = 1
    while full_scale_size and length > full_scale_size * scale and scale < COARSEST:
        scale *= 2
    return (scale, scale // 2) if scale >= 4 else (scale,)


def scaled_size(size: tuple[int, int], scale: int) -> tuple[int, int]:
    """The (H, W) of an image of (H, W) at 1 / `scale`, of squares that are cut off too."""
    height, width = (-(-length // scale) for length in size)
    return height, width


def parse_scales(text: str) -> tuple[int, ...]:
    """Scales as people write them: "2,1" -> (2, 1).

    Raises:
        ValueError: Not falling powers of two from 16 to 1; shows how they are written.
    """
    parts = text.split(",")
    scales = tuple(int(part) for part in parts if part in ("16", "8", "4", "2", "1"))
    if len(scales) < len(parts) or list(scales) != sorted(set(scales), reverse=True):
        raise ValueError(
            f"scales must be auto, or some of 16,8,4,2,1 from the coarsest to the finest, "
            f"such as 2,1: {text}"
        )
    return scales


def reduced(read: Read, size: tuple[int, int], scale: int) -> NDArray[np.float32]:
    """An image at 1 / `scale` of its height and width, each pixel the mean of a square.

    Args:
        read: Gives parts of the image, (h, w, 3).
        size: (H, W) of the image. Squares that are cut off at its bottom or right edge are
            completed by repeating the last row or column.
        scale: At least 1.

    Returns:
        (ceil(H / scale), ceil(W / scale), 3).
    """
    height, width = scaled_size(size, scale)
    small = np.empty((height, width, 3), np.float32)
    for first in range(0, height, ROWS):
        last = min(first + ROWS, height)
        part = read(slice(first * scale, min(last * scale, size[0])), slice(0, size[1]))
        missing = (last - first) * scale - part.shape[0], width * scale - part.shape[1]
        squares = np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        target = small[first:last]
        means = cv2.resize(squares, target.shape[1::-1], interpolation=cv2.INTER_AREA)
        target[:] = means.reshape(target.shape)
    return small


def enlarged(layer: NDArray[np.float32], factor: int, rows: slice, columns: slice) -> Tile:
    """Part of an enlarged layer, the same as if the whole layer were enlarged.

    Args:
        layer: (h, w, 3).
        factor: By which height and width grow; at least 1.
        rows: Rows of the enlarged layer.
        columns: Columns of the enlarged layer.
    """
    if factor == 1:
        return layer[rows, columns]
    wanted = [(rows.start, rows.stop), (columns.start, columns.stop)]
    first = [max(start // factor - 2, 0) for start, _ in wanted]  # cubic weights reach 2 pixels
    last = [-(-stop // factor) + 2 for _, stop in wanted]
    part = layer[first[0] : last[0], first[1] : last[1]]
    size = (part.shape[1] * factor, part.shape[0] * factor)
    large = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC).reshape(*size[::-1], 3)
    (top, bottom), (left, right) = (
        (start - f * factor, stop - f * factor)
        for (start, stop), f in zip(wanted, first, strict=True)
    )
    return np.asarray(large[top:bottom, left:right], np.float32)


def part_of(image: NDArray[np.float32]) -> Read:
    """An image in memory as a function of rows and columns."""
    return lambda rows, columns: image[rows, columns]


def taking_away(layer: RainLayer | None, scale: int, read: Read) -> Read:
    """An image at `scale` without the rain that was found at a coarser one."""
    if layer is None:
        return read
    factor = layer.scale // scale
    return lambda rows, columns: read(rows, columns) - enlarged(layer.rain, factor, rows, columns)


def in_strips(read: Read, size: tuple[int, int]) -> Iterator[tuple[int, Tile]]:
    """An image of (H, W) from top to bottom: first row of a strip, and the strip (h, W, 3)."""
    for first in range(0, size[0], ROWS):
        yield first, read(slice(first, min(first + ROWS, size[0])), slice(0, size[1]))
