"""Restorer: the one inference path. Pad, tile, run, blend, crop, in the kind that came in."""

import math
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import engines, images
from derain.engines import Engine
from derain.memory import free_bytes, parse_bytes, ran_out
from derain.tiles import Overlap, Tile, pad, restore_tiled
from derain.weights import catalog
from derain.weights.record import Record

# Where memory allows more, `auto` still takes no more: larger tiles are no faster, and most
# machines then give the same picture for a network that averages over its tile.
TILE = 1024  # pixels
WHOLE = TILE * TILE  # pixels; a picture up to this size goes through in one piece
SMALLEST = 64  # pixels; the smallest tile
SHARE = 1 / 4  # of free memory, the default budget
PROGRAM = 200_000_000  # bytes: Python, the libraries, a network's weights
HELD = 10  # bytes per byte of a channel: what decoding, restoring and encoding hold of a picture
WORK = {"f32": 6000, "bf16": 3000}  # bytes per pixel of a tile, where a record does not tell


class Cancelled(Exception):
    """The restorer was asked to stop between two tiles."""


class Restorer:
    """A network that removes rain from pictures of any size and kind.

    Calling it with a path writes ``NAME_derained.SUFFIX`` beside the picture and returns that
    path; a Pillow image or a NumPy array comes back as the same kind.

    Args:
        engine: A loaded network.
        choice: Why it runs where it runs.
        precision: As asked for: with ``auto``, values that overflow in bf16 are computed again.
        reload: Makes the same engine at f32.
        budget: Bytes of memory that the process may use, which the size of tiles follows; None
            for a quarter of what is free at each call.
    """

    def __init__(
        self,
        engine: Engine,
        choice: engines.Choice,
        reload: Any = None,
        budget: int | None = None,
    ) -> None:
        self.engine, self.choice, self._reload = engine, choice, reload
        self.record, self.budget = engine.record, budget
        self._most = sys.maxsize  # pixels of a tile; less once memory ran out
        self._running = threading.Lock()
        self._stop = threading.Event()

    def __call__(self, picture: Any, *, tile: int | str = "auto", strength: float = 1.0) -> Any:
        """Remove the rain.

        Args:
            picture: A path; a Pillow image; or an array (H, W), (H, W, 3) or (H, W, 4): uint8,
                uint16, or float in [0, 1]. The fourth channel is alpha and stays as it is.
            tile: ``auto``, ``off``, or the side of a tile in pixels.
            strength: 0 returns the input, 1 the network's result, between them a blend.

        Raises:
            ValueError: Wrong shape, type or value; says which are right.
        """
        if isinstance(picture, str | Path):
            source = Path(picture)
            target = source.with_name(f"{source.stem}_derained{source.suffix}")
            decoded = images.read(source)
            images.write(target, self.restore(decoded, tile=tile, strength=strength))
            return target
        if isinstance(picture, Image.Image):
            return self._restore_pillow(picture, tile, strength)
        return self._restore_array(np.asarray(picture), tile, strength)

    def restore(
        self, picture: images.Picture, *, tile: int | str = "auto", strength: float = 1.0
    ) -> images.Picture:
        """A decoded picture -> the same without rain."""
        return replace(picture, pixels=self.restore_pixels(picture.pixels, tile, strength))

    def restore_pixels(
        self, pixels: NDArray[Any], tile: int | str = "auto", strength: float = 1.0
    ) -> NDArray[Any]:
        """(H, W, 3), uint8, uint16 or float in [0, 1] -> the same shape and type."""
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in 0..1: {strength}")
        height, width = pixels.shape[:2]
        side = self.tile_for(height, width, tile, pixels.itemsize)
        while True:
            try:
                return self._restore_in_tiles(pixels, side, strength)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error) or side < 2 * SMALLEST:
                    raise
                side //= 2
                self._most = side * side
                warnings.warn(f"memory ran out; going on in tiles of {side}", stacklevel=2)

    def _restore_in_tiles(self, pixels: NDArray[Any], side: int, strength: float) -> NDArray[Any]:
        top = np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)
        height, width = pixels.shape[:2]
        result = np.empty_like(pixels)

        def read(rows: slice, columns: slice) -> Tile:
            return pixels[rows, columns].astype(np.float32) / top

        strips = restore_tiled(
            self._run, read, (height, width), side,
            overlap_for(self.record, side), self.record.size_multiple,
        )  # fmt: skip
        for first, strip in strips:
            rows = slice(first, first + len(strip))
            if strength < 1:
                strip = strength * strip + (1 - strength) * read(rows, slice(None))
            np.clip(strip, 0, 1, out=strip)
            result[rows] = np.floor(strip * top + 0.5) if top > 1 else strip
        return result

    def tile_for(self, height: int, width: int, tile: int | str = "auto", itemsize: int = 1) -> int:
        """The longest side of the tiles for a picture; the picture's own where it is whole.

        Args:
            height: Of the picture, in pixels.
            width: Of the picture, in pixels.
            tile: ``auto``, ``off``, or the longest side of a tile in pixels.
            itemsize: Bytes per value of the picture.

        Raises:
            ValueError: Neither auto, off nor a number of pixels of at least 64.
        """
        whole = max(height, width)
        if tile == "off":
            return whole
        if tile == "auto":
            most = self._pixels_that_fit(HELD * itemsize * height * width)
            side = min(TILE, max(math.isqrt(most), 4 * SMALLEST))
            return whole if height * width <= min(WHOLE, max(most, side * side)) else side
        if not str(tile).isdigit() or int(tile) < SMALLEST:
            raise ValueError(f"tile must be auto, off or at least {SMALLEST}: {tile}")
        return min(int(tile), whole)

    def _pixels_that_fit(self, held: int) -> int:
        """How many pixels a tile may have beside so many bytes that the picture holds."""
        budget = self.budget
        if budget is None:
            budget = int(SHARE * free_bytes(self.choice.device))
        precision = self.engine.precision
        work = self.record.memory.get(precision) or WORK.get(precision, WORK["f32"])
        return min(max(budget - PROGRAM - held, 0) // work, self._most)

    def stop(self) -> None:
        """Make running calls raise ``Cancelled`` before their next tile; for use at Ctrl-C."""
        self._stop.set()

    def _run(self, tile: Tile) -> Tile:
        """One tile (h, w, 3) in [0, 1] -> derained, unclipped."""
        height, width = tile.shape[:2]
        record = self.record
        padded = pad(tile, record.size_multiple, record.minimum_size)
        batch = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        with self._running:
            if self._stop.is_set():
                raise Cancelled
            result = self.engine(batch)
            if not np.isfinite(result).all() and self.engine.precision != "f32" and self._reload:
                warnings.warn("half precision overflowed; going on in f32", stacklevel=2)
                self.engine = self._reload()
                result = self.engine(batch)
        if not np.isfinite(result).all():
            raise ValueError("the network returned values that are not finite")
        return result[0].transpose(1, 2, 0)[:height, :width]

    def _restore_pillow(self, image: Image.Image, tile: int | str, strength: float) -> Image.Image:
        images.check(image, "picture", max_pixels=image.width * image.height)
        if image.mode == "I;16":
            deep = self._restore_array(np.asarray(image), tile, strength)
            return Image.fromarray(deep)
        mode = images.plain_mode(image)
        array = np.asarray(image if image.mode == mode else image.convert(mode))
        if mode == "LA":
            grey = self._restore_array(array[..., 0], tile, strength)
            result = Image.fromarray(np.dstack([grey, array[..., 1]]))
        else:
            result = Image.fromarray(self._restore_array(array, tile, strength))
        result.info = dict(image.info)
        return result

    def _restore_array(self, array: NDArray[Any], tile: int | str, strength: float) -> NDArray[Any]:
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
            raise ValueError(f"an array must be (H, W), (H, W, 3) or (H, W, 4): {array.shape}")
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise ValueError(f"an array must be uint8, uint16 or float: {array.dtype}")
        if array.size == 0:
            raise ValueError(f"an empty array: {array.shape}")
        if array.dtype.kind == "f" and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"a float array must be in [0, 1]: {array.min()} .. {array.max()}")
        if array.ndim == 2:
            rgb = self.restore_pixels(np.repeat(array[..., None], 3, axis=2), tile, strength)
            return images.grey_of(rgb) if array.dtype.kind == "u" else rgb.mean(2, array.dtype)
        result = array.copy()
        result[..., :3] = self.restore_pixels(array[..., :3], tile, strength)
        return result


def overlap_for(record: Record, side: int) -> Overlap:
    """How tiles of a network overlap; docs/tiles.md has the measurements.

    Convolutions feel a tile's border 64 pixels deep, and windows half of their side deeper; with
    that left out, tiles give what the whole picture gives. Means over the whole tile differ from
    tile to tile at any depth: there an overlap serves to blend.

    Args:
        record: Of the network.
        side: Of a tile; the overlap is at most half of it.
    """
    window = record.options.get("window")
    shared, margin = (128 + window, 56 + window // 2) if window else (64, 16)
    fitting = min(shared, side // 2)
    return Overlap(fitting, margin * fitting // shared)


def load(
    name_or_path: str | Path = catalog.DEFAULT,
    *,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    memory: int | str | None = None,
) -> Restorer:
    """Load a network once, for any number of pictures.

    Args:
        name_or_path: A name that ``derain models`` lists; an `.onnx`, `.xml` or `.safetensors`
            file; or a checkpoint (`.pth`, `.pt`) by a network's authors.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; only ``auto`` falls back.
        precision: ``auto`` (bf16 where the device has it), ``f32`` or ``bf16``.
        engine: ``auto``, ``openvino``, ``torch`` or ``onnxruntime``.
        threads: CPU threads; None uses all.
        memory: What the process may use, in bytes or as ``2GB``; the size of tiles follows. None
            for a quarter of what is free at each call.

    Raises:
        ValueError: Unknown name, device, precision, engine or amount, or a broken file; says what
            is allowed.
    """
    budget = parse_bytes(memory) if isinstance(memory, str) else memory
    name = str(name_or_path)
    if engine == "auto":
        engine = catalog.engine_of(name)
    choice = engines.choose(device, engine)
    path = catalog.find(name, choice.engine)
    loaded = engines.load(path, choice, precision, threads)
    return Restorer(loaded, choice, lambda: engines.load(path, choice, "f32", threads), budget)
