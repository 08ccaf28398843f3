"""Restorer: the one inference path. Reduce, tile, pad, run, blend, in the kind that came in."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain import engines
from derain.engines import Engine
from derain.io.decode import DecodedImage, read_image
from derain.io.encode import grey_of, write_image
from derain.io.levels import quantise
from derain.io.pillow import check_mode, plain_mode
from derain.memory import parse_bytes, ran_out
from derain.scales import (
    RainLayer,
    in_strips,
    parse_scales,
    part_of,
    reduced,
    scaled_size,
    scales_by_size,
    taking_away,
)
from derain.tile_budget import (
    HELD,
    SMALLEST,
    asked_tile,
    overlap_for,
    pixels_that_fit,
    tile_within,
    work_per_pixel,
)
from derain.tiles import Tile, count_tiles, pad, restore_tiled
from derain.weights import catalog

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestoreOptions:
    """How one image is restored.

    Attributes:
        tile: ``auto``, ``off``, or the tile size in pixels.
        scales: ``auto``, which follows the size of the image, or the scales at which rain is
            looked for, the coarsest first: ``2,1`` is half size, then full size.
        strength: 0 returns the input, 1 the network's result; between them a blend; above 1, up
            to 1.5, more is taken away than the network says.
        budget: Bytes of memory that the process may use; None for the restorer's own.
        on_tile: Called before each tile with the fraction of the tiles that is done. What it
            raises ends the call, which is how a caller cancels it.
    """

    tile: int | str = "auto"
    scales: str = "auto"
    strength: float = 1.0
    budget: int | None = None
    on_tile: Callable[[float], None] | None = None


DEFAULTS = RestoreOptions()


class Restorer:
    """A network that removes rain from images of any size and kind; threads may share it.

    Calling it with a path writes ``NAME_derained.SUFFIX`` beside the image and returns that
    path; a Pillow image or a NumPy array comes back as the same kind.

    Args:
        engine: A loaded network.
        choice: Why it runs where it runs.
        reload: Makes the same engine at f32, for values that overflow in bf16; None makes them an
            error.
        budget: Bytes of memory that the process may use, which the tile size follows; None for a
            quarter of what is free at each call.
        name: What messages call the network; its record's name if empty.
    """

    def __init__(
        self,
        engine: Engine,
        choice: engines.Choice,
        reload: Callable[[], Engine] | None = None,
        budget: int | None = None,
        name: str = "",
    ) -> None:
        self.engine, self.choice, self._reload = engine, choice, reload
        self.record, self.budget = engine.record, budget
        self.name = name or self.record.name
        self._running = threading.Lock()

    @overload
    def __call__(
        self, image: str | Path, *, tile: int | str = ..., scales: str = ...,
        strength: float = ..., overwrite: bool = ...,
    ) -> Path: ...  # fmt: skip
    @overload
    def __call__(
        self, image: Image.Image, *, tile: int | str = ..., scales: str = ...,
        strength: float = ..., overwrite: bool = ...,
    ) -> Image.Image: ...  # fmt: skip
    @overload
    def __call__(
        self, image: NDArray[Any], *, tile: int | str = ..., scales: str = ...,
        strength: float = ..., overwrite: bool = ...,
    ) -> NDArray[Any]: ...  # fmt: skip
    def __call__(
        self,
        image: str | Path | Image.Image | NDArray[Any],
        *,
        tile: int | str = "auto",
        scales: str = "auto",
        strength: float = 1.0,
        overwrite: bool = False,
    ) -> Path | Image.Image | NDArray[Any]:
        """Remove the rain.

        Args:
            image: A path; a Pillow image; or an array (H, W), (H, W, 3) or (H, W, 4): uint8,
                uint16, or float in [0, 1]. The fourth channel is alpha and stays as it is.
            tile: As in `RestoreOptions`.
            scales: As in `RestoreOptions`.
            strength: As in `RestoreOptions`.
            overwrite: Whether a result that exists beside a path is replaced.

        Raises:
            FileExistsError: The result for a path exists, and `overwrite` is false.
            ValueError: Wrong shape, type or value; says which are right.
        """
        options = RestoreOptions(tile, scales, strength)
        if isinstance(image, str | Path):
            source = Path(image)
            target = source.with_name(f"{source.stem}_derained{source.suffix}")
            if target.exists() and not overwrite:
                raise FileExistsError(f"{target}: exists already; overwrite=True replaces it")
            write_image(target, self.restore(read_image(source), options))
            return target
        if isinstance(image, Image.Image):
            return self._restore_pillow(image, options)
        return self._restore_array(np.asarray(image), options)

    def restore(self, image: DecodedImage, options: RestoreOptions = DEFAULTS) -> DecodedImage:
        """A decoded image -> the same without rain."""
        return replace(image, pixels=self.restore_pixels(image.pixels, options))

    def restore_pixels(
        self, pixels: NDArray[Any], options: RestoreOptions = DEFAULTS
    ) -> NDArray[Any]:
        """(H, W, 3), uint8, uint16 or float in [0, 1] -> the same shape and type.

        Raises:
            ValueError: An option that is not possible; says what is.
            MemoryError: Even small tiles need more memory than there is.
        """
        if not 0 <= options.strength <= 1.5:
            raise ValueError(f"strength must be in 0..1.5: {options.strength}")
        height, width = pixels.shape[:2]
        scales = self.scales_for(height, width, options.scales)
        tile_size = self.tile_for(height, width, options.tile, pixels.itemsize, options.budget)
        while True:
            try:
                return self._restore_at(scales, pixels, tile_size, options)
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error) or tile_size < 2 * SMALLEST:
                    raise
                tile_size //= 2
                logger.warning("memory ran out; going on in tiles of %d", tile_size)

    def _restore_at(
        self,
        scales: tuple[int, ...],
        pixels: NDArray[Any],
        tile_size: int,
        options: RestoreOptions,
    ) -> NDArray[Any]:
        """Estimate the rain from the coarsest scale to the finest; take it away at full size."""
        top = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        height, width = pixels.shape[:2]
        overlap, multiple = overlap_for(self.record, tile_size), self.record.size_multiple
        sizes = {scale: scaled_size((height, width), scale) for scale in scales}
        total = sum(count_tiles(size, tile_size, overlap, multiple) for size in sizes.values())
        done = 0

        def read(rows: slice, columns: slice) -> Tile:
            return pixels[rows, columns].astype(np.float32) / np.float32(top)

        def run(tile: Tile) -> Tile:
            nonlocal done
            if options.on_tile:
                options.on_tile(done / total)
            done += 1
            return self._run(tile)

        rain: RainLayer | None = None
        for scale in [s for s in scales if s > 1]:
            image = reduced(read, (height, width), scale)
            without = taking_away(rain, scale, part_of(image))
            strips = restore_tiled(run, without, sizes[scale], tile_size, overlap, multiple)
            for first, strip in strips:
                image[first : first + len(strip)] -= strip  # no later tile reads these rows
            rain = RainLayer(image, scale)
        without = taking_away(rain, 1, read)
        if 1 in scales:
            strips = restore_tiled(run, without, (height, width), tile_size, overlap, multiple)
        else:
            strips = in_strips(without, (height, width))
        result = np.empty_like(pixels)
        for first, strip in strips:
            rows = slice(first, first + len(strip))
            if options.strength != 1:
                rainy = read(rows, slice(0, width))
                strip = rainy + np.float32(options.strength) * (strip - rainy)
            result[rows] = quantise(strip, top) if top > 1 else np.clip(strip, 0, 1)
        return result

    def scales_for(self, height: int, width: int, scales: str = "auto") -> tuple[int, ...]:
        """The scales at which rain is looked for, the coarsest first; 1 is the full size.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.
            scales: ``auto``, which follows the size of the image as the record says, or whole
                numbers such as ``2,1``.

        Raises:
            ValueError: Neither; says what is possible.
        """
        if scales == "auto":
            return scales_by_size(max(height, width), self.record.full_scale_size)
        return parse_scales(scales)

    def tile_for(
        self,
        height: int,
        width: int,
        tile: int | str = "auto",
        itemsize: int = 1,
        budget: int | None = None,
    ) -> int:
        """The tile size for an image; its longer dimension where the image goes through whole.

        Args:
            height: Height of the image in pixels.
            width: Width of the image in pixels.
            tile: ``auto``, ``off``, or the tile size in pixels.
            itemsize: Bytes per value of the image.
            budget: Bytes of memory that the process may use; None for the restorer's own.

        Raises:
            ValueError: Neither auto, off nor a number of pixels of at least 64.
        """
        if tile != "auto":
            return asked_tile(tile, height, width)
        most = pixels_that_fit(
            HELD * itemsize * height * width,
            work_per_pixel(self.record, self.engine.precision),
            budget or self.budget,
            self.choice.device,
        )
        return tile_within(most, height, width, self.record)

    def _run(self, tile: Tile) -> Tile:
        """One tile (h, w, 3) in [0, 1] -> derained, unclipped."""
        height, width = tile.shape[:2]
        record = self.record
        padded = pad(tile, record.size_multiple, record.minimum_size)
        batch = np.ascontiguousarray(padded.transpose(2, 0, 1)[None])
        with self._running:
            result = self.engine(batch)
            if not np.isfinite(result).all() and self.engine.precision != "f32" and self._reload:
                logger.warning("half precision overflowed; going on in f32")
                self.engine = self._reload()
                result = self.engine(batch)
        if not np.isfinite(result).all():
            raise ValueError(f"{self.name}: the network returned values that are not finite")
        return result[0].transpose(1, 2, 0)[:height, :width]

    def _restore_pillow(self, image: Image.Image, options: RestoreOptions) -> Image.Image:
        try:
            check_mode(image)
        except ValueError as error:
            raise ValueError(f"image: {error}") from None
        if image.mode == "I;16":
            deep = self._restore_array(np.asarray(image), options)
            return Image.fromarray(deep)
        mode = plain_mode(image)
        array = np.asarray(image if image.mode == mode else image.convert(mode))
        if mode == "LA":
            grey = self._restore_array(array[..., 0], options)
            result = Image.fromarray(np.dstack([grey, array[..., 1]]))
        else:
            result = Image.fromarray(self._restore_array(array, options))
        result.info = dict(image.info)
        return result

    def _restore_array(self, array: NDArray[Any], options: RestoreOptions) -> NDArray[Any]:
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
            raise ValueError(f"an array must be (H, W), (H, W, 3) or (H, W, 4): {array.shape}")
        if array.dtype not in (np.uint8, np.uint16) and array.dtype.kind != "f":
            raise ValueError(f"an array must be uint8, uint16 or float: {array.dtype}")
        if array.size == 0:
            raise ValueError(f"an empty array: {array.shape}")
        if array.dtype.kind == "f" and not (array.min() >= 0 and array.max() <= 1):
            raise ValueError(f"a float array must be in [0, 1]: {array.min()} .. {array.max()}")
        if array.ndim == 2:
            rgb = self.restore_pixels(np.repeat(array[..., None], 3, axis=2), options)
            return grey_of(rgb) if array.dtype.kind == "u" else rgb.mean(2, array.dtype)
        result = array.copy()
        result[..., :3] = self.restore_pixels(array[..., :3], options)
        return result


def load(
    name_or_path: str | Path = catalog.DEFAULT,
    *,
    device: str = "auto",
    precision: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    memory: int | str | None = None,
) -> Restorer:
    """Load a network once, for any number of images.

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
        engine = engines.engine_of(name)
    choice = engines.choose(device, engine)
    path = engines.find_model(name, choice.engine)
    loaded = engines.load_engine(path, choice, precision, threads)
    reload = partial(engines.load_engine, path, choice, "f32", threads)
    return Restorer(loaded, choice, reload, budget, path.name)
