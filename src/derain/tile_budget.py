"""How large tiles may be: what memory allows, what a network needs, and how tiles overlap."""

import logging
import math

from derain.memory import free_bytes
from derain.tiles import Overlap, padded_size
from derain.weights.record import Record

# Where memory allows more, `auto` still takes no more: larger tiles are no faster, and most
# machines then give the same image for a network that averages over its tile.
TILE = 1024  # pixels
WHOLE = TILE * TILE  # pixels; an image up to this size goes through in one piece
SMALLEST = 64  # pixels; the smallest tile
SMALLEST_AUTO = 256  # pixels; the smallest tile that a budget alone leads to
BLEND = 16  # pixels over which one tile fades into the next
BUDGET_FRACTION = 1 / 4  # of free memory, where no budget is given
PROGRAM = 200_000_000  # bytes: Python, the libraries, a network's weights
HELD = 10  # bytes per byte of a channel: what decoding, restoring and encoding hold of an image
WORK = {"f32": 6000, "bf16": 3000}  # bytes per pixel of a tile, where a record does not tell

logger = logging.getLogger(__name__)


def asked_tile(tile: int | str, height: int, width: int) -> int:
    """The tile size that somebody asks for; the longer dimension of a smaller image.

    Args:
        tile: ``off``, or the tile size in pixels.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: Neither off nor a number of pixels of at least ``SMALLEST``.
    """
    whole = max(height, width)
    if tile == "off":
        return whole
    if not str(tile).isdigit() or int(tile) < SMALLEST:
        raise ValueError(f"tile must be auto, off or at least {SMALLEST}: {tile}")
    return min(int(tile), whole)


def tile_within(pixels: int, height: int, width: int, record: Record) -> int:
    """The tile size where a tile may have so many pixels; the longer dimension of a whole image.

    Args:
        pixels: From ``pixels_that_fit``.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        record: The record of the network, which says how images are padded.
    """
    tile_size = min(TILE, max(math.isqrt(pixels), SMALLEST_AUTO))
    rows, columns = padded_size(height, width, record.size_multiple, record.minimum_size)
    fits = rows * columns <= min(WHOLE, max(pixels, tile_size**2))
    return max(height, width) if fits else tile_size


def work_per_pixel(record: Record, precision: str) -> int:
    """Bytes that a network takes per pixel of a tile."""
    return record.memory.get(precision) or WORK.get(precision, WORK["f32"])


def pixels_that_fit(held: int, work: int, budget: int | None, device: str) -> int:
    """How many pixels a tile may have.

    Args:
        held: Bytes that the image itself holds.
        work: Bytes per pixel of a tile.
        budget: Bytes that the process may use; None for a fraction of what is free.
        device: Where it has to be free.
    """
    least = PROGRAM + held + work * SMALLEST_AUTO**2
    if budget is not None and least > budget:
        logger.warning(
            "this image needs about %.1f GB, more than the %.1f GB allowed",
            least / 1e9,
            budget / 1e9,
        )
    if budget is None:
        budget = int(BUDGET_FRACTION * free_bytes(device))
    return max(budget - PROGRAM - held, 0) // work


def overlap_for(record: Record, tile_size: int) -> Overlap:
    """How tiles of a network overlap; docs/guide/tiles.md has the measurements.

    Where all that is nearer to a tile's border than the receptive radius is left out, tiles give
    what the whole image gives. Of a network that reads the whole image they differ at any depth:
    there an overlap serves to blend.

    Args:
        record: The record of the network.
        tile_size: Pixels; the overlap is at most half of it.
    """
    radius = record.receptive_radius
    margin = 16 if radius is None else max(radius - BLEND // 2, 0)
    shared = 2 * margin + (2 * BLEND if radius is None else BLEND)
    fitting = min(shared, tile_size // 2)
    return Overlap(fitting, margin * fitting // shared)
