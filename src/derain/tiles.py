"""Run a network over an image in overlapping tiles, in memory that does not grow with it."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tile = NDArray[np.float32]  # (h, w, 3) in [0, 1]


class Overlap(NamedTuple):
    """How tiles share their borders, in pixels."""

    shared: int  # the least that two neighbours have in common
    margin: int  # of it, left out at a tile's border: what knows least of its surroundings


def divide(length: int, tile: int, overlap: int, multiple: int = 1) -> tuple[list[int], int]:
    """Cover a length with tiles of one size.

    Tiles are made as small as their number allows. They start at multiples of ``multiple``: a
    network with strides computes the same for a shifted image only if it is shifted by those.

    Args:
        length: Length of the image along one axis in pixels.
        tile: The largest tile size allowed, rounded down to a multiple; at least one multiple more
            than the overlap is taken anyway.
        overlap: The least that two neighbours share, rounded up to a multiple.
        multiple: Everything is a multiple of it.

    Returns:
        First pixels, and the tile size. Where ``length`` is no multiple, the last tile ends beyond
        it.
    """
    cells, shared = -(-length // multiple), -(-overlap // multiple)
    longest = max(tile // multiple, shared + 1)
    if length <= tile or cells <= longest:
        return [0], cells * multiple
    count = -(-(cells - shared) // (longest - shared))
    tile_size = -(-(cells - shared) // count) + shared
    starts = [round(i * (cells - tile_size) / (count - 1)) * multiple for i in range(count)]
    return starts, tile_size * multiple


def ramps(
    length: int, starts: list[int], tile_size: int, overlap: Overlap
) -> list[NDArray[np.float32]]:
    """For each start, a tile's weights along one axis; over all tiles they add up to one.

    A weight rises over the overlap with a neighbour and leaves out the margin.
    """
    total = np.zeros(length)
    weights = []
    rise = max(overlap.shared - 2 * overlap.margin, 1)
    for start in starts:
        size = min(tile_size, length - start)
        inside = np.arange(size) + 0.5 - overlap.margin
        before = inside / rise if start else np.ones(size)
        after = inside[::-1] / rise if start + size < length else np.ones(size)
        weight = np.clip(np.minimum(before, after), 0, 1)
        weights.append(weight)
        total[start : start + size] += weight
    return [
        (weight / total[start : start + len(weight)]).astype(np.float32)
        for start, weight in zip(starts, weights, strict=True)
    ]


def restore_tiled(
    run: Callable[[Tile], Tile],
    read: Callable[[slice, slice], Tile],
    size: tuple[int, int],
    tile: int,
    overlap: Overlap,
    multiple: int = 1,
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the restored image from top to bottom, in strips.

    Args:
        run: One tile in, the same tile restored.
        read: Rows and columns -> that part of the image.
        size: (H, W) of the image.
        tile: The largest tile size.
        overlap: How two neighbours overlap.
        multiple: Tiles start at multiples of it.

    Yields:
        First row of a strip, and the strip (h, W, 3).
    """
    height, width = size
    tops, rows = divide(height, tile, overlap.shared, multiple)
    lefts, columns = divide(width, tile, overlap.shared, multiple)
    down, across = ramps(height, tops, rows, overlap), ramps(width, lefts, columns, overlap)
    below = np.zeros((0, width, 3), np.float32)  # what earlier tiles gave to the rows at hand
    for (top, bottom), weight_down in zip(pairwise([*tops, height]), down, strict=True):
        strip = np.zeros((len(weight_down), width, 3), np.float32)
        strip[: len(below)] = below
        for left, weight_across in zip(lefts, across, strict=True):
            here = slice(left, left + len(weight_across))
            tile_in = read(slice(top, top + len(strip)), here)
            strip[:, here] += weight_down[:, None, None] * weight_across[:, None] * run(tile_in)
        yield top, strip[: bottom - top]
        below = strip[bottom - top :]


def count_tiles(size: tuple[int, int], tile: int, overlap: Overlap, multiple: int = 1) -> int:
    """How many tiles `restore_tiled` runs for an image of (H, W)."""
    starts = [divide(length, tile, overlap.shared, multiple)[0] for length in size]
    return len(starts[0]) * len(starts[1])


def tiled_pixels(size: tuple[int, int], tile: int, overlap: Overlap, multiple: int = 1) -> int:
    """How many pixels the tiles have that `restore_tiled` runs, padded to the multiple."""
    (tops, rows), (lefts, columns) = (divide(n, tile, overlap.shared, multiple) for n in size)
    return len(tops) * rows * len(lefts) * columns


def padded_size(height: int, width: int, multiple: int, minimum: int) -> tuple[int, int]:
    """The height and width that `pad` extends an image to."""
    rows, columns = (-(-max(n, minimum) // multiple) * multiple for n in (height, width))
    return rows, columns


def pad(image: NDArray[Any], multiple: int, minimum: int) -> NDArray[Any]:
    """Extend (h, w, 3) at the bottom and right to a height and width that divide by ``multiple``.

    Reflects, where the image is large enough; else repeats its last row and column.
    """
    height, width = image.shape[:2]
    wanted = padded_size(height, width, multiple, minimum)
    extra = [length - have for length, have in zip(wanted, (height, width), strict=True)]
    if extra == [0, 0]:
        return image
    fits = all(e < have for e, have in zip(extra, image.shape[:2], strict=True))
    return np.pad(image, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="reflect" if fits else "edge")
