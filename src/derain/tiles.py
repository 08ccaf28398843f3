"""Run a network over a picture in overlapping tiles, in memory that does not grow with it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tile = NDArray[np.float32]  # (h, w, 3) in [0, 1]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """First pixels of tiles of equal size that cover ``length`` with at least ``overlap``."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def ramps(length: int, tile: int, overlap: int) -> list[NDArray[np.float32]]:
    """For each start, a tile's weights along one axis; over all tiles they add up to one.

    A weight rises over the overlap with a neighbour and leaves out the outermost pixels of it,
    which know least of what surrounds them.
    """
    positions, size = starts(length, tile, overlap), min(tile, length)
    total = np.zeros(length)
    weights = []
    margin = overlap // 4
    for start in positions:
        inside = np.arange(size) + 0.5
        rise = np.ones(size) if start == 0 else (inside - margin) / max(overlap - 2 * margin, 1)
        fall = (
            np.ones(size)
            if start + size == length
            else (size - inside - margin) / max(overlap - 2 * margin, 1)
        )
        weight = np.clip(np.minimum(rise, fall), 0, 1)
        weights.append(weight)
        total[start : start + size] += weight
    return [
        (weight / total[start : start + size]).astype(np.float32)
        for start, weight in zip(positions, weights, strict=True)
    ]


def restore_tiled(
    run: Callable[[Tile], Tile],
    read: Callable[[slice, slice], Tile],
    size: tuple[int, int],
    tile: int,
    overlap: int,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the restored picture from top to bottom, in strips.

    Args:
        run: One tile in, the same tile restored.
        read: Rows and columns -> that part of the picture.
        size: (H, W) of the picture.
        tile: Side of a tile, larger than the overlap.
        overlap: Smallest overlap of two neighbours.

    Yields:
        First row of a strip, and the strip (h, W, 3).
    """
    (height, width), (rows, columns) = size, (min(tile, side) for side in size)
    tops, lefts = starts(height, tile, overlap), starts(width, tile, overlap)
    down, across = ramps(height, tile, overlap), ramps(width, tile, overlap)
    below = np.zeros((0, width, 3), np.float32)  # what earlier tiles gave to the rows at hand
    for i, top in enumerate(tops):
        strip = np.zeros((rows, width, 3), np.float32)
        strip[: len(below)] = below
        for j, left in enumerate(lefts):
            weight = down[i][:, None, None] * across[j][:, None]
            columns_here = slice(left, left + columns)
            strip[:, columns_here] += weight * run(read(slice(top, top + rows), columns_here))
        done = (tops[i + 1] if i + 1 < len(tops) else height) - top
        yield top, strip[:done]
        below = strip[done:]


def pad(picture: NDArray[Any], multiple: int, minimum: int) -> NDArray[Any]:
    """Extend (h, w, 3) at the bottom and right to sides that divide by ``multiple``.

    Reflects, where the picture is large enough; else repeats its last row and column.
    """
    height, width = (max(side, minimum) for side in picture.shape[:2])
    extra = [
        -(-side // multiple) * multiple - have
        for side, have in zip((height, width), picture.shape[:2], strict=True)
    ]
    if extra == [0, 0]:
        return picture
    fits = all(e < have for e, have in zip(extra, picture.shape[:2], strict=True))
    return np.pad(
        picture, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="reflect" if fits else "edge"
    )
