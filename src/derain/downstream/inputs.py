"""The versions of the images that are compared: clean, rainy, derained by this or that.

A version is a folder, rain of a preset that is drawn on the clean images, or a network applied to
the rainy ones; the last two are made when an image is asked for.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from derain.downstream.types import AnnotatedImage
from derain.evaluation.cache import Cache, Key, Measurement
from derain.io.decode import DecodedImage, Image8, read_rgb
from derain.io.encode import write_image
from derain.io.formats import ImageError
from derain.io.gate import inspect_image
from derain.io.pairs import images_by_name
from derain.rain.folder import rain_index, read_clean
from derain.rain.synthesizer import RainSynthesizer

SHOWN = 3  # images that an error names


class Input(Protocol):
    """A version of all annotated images."""

    @property
    def about(self) -> str:
        """What made it, for the report."""
        ...

    def check(self, images: Sequence[AnnotatedImage]) -> None:
        """Find out before the work whether every image is there in the annotated size.

        Raises:
            ValueError: Not so; names the first images.
        """
        ...

    def read(self, image: AnnotatedImage) -> Image8:
        """The pixels (H, W, 3).

        Raises:
            ValueError: It cannot be read or made; names it.
        """
        ...


class Folder:
    """A folder whose images are named as in the annotations, whatever their suffix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def about(self) -> str:
        """The folder."""
        return f"images in {self.folder}"

    @cached_property
    def files(self) -> dict[str, Path]:
        """The image files by name, without suffix."""
        return images_by_name(self.folder, recursive=True)

    def check(self, images: Sequence[AnnotatedImage]) -> None:
        """See ``Input.check``; reads the headers of the images."""
        missing = [image.name for image in images if image.name not in self.files]
        if missing:
            raise ImageError(
                f"{self.folder}: {len(missing)} of {len(images)} annotated images are missing: "
                f"{_first(missing)}"
            )
        wrong: list[str] = []
        for image in images:
            height, width = inspect_image(self.files[image.name]).upright_size
            if (height, width) != (image.height, image.width):
                wrong.append(f"{image.name} is {width}x{height}, not {image.width}x{image.height}")
        if wrong:
            raise ImageError(
                f"{self.folder}: {len(wrong)} of {len(images)} images differ in size from their "
                f"annotations: {_first(wrong)}"
            )

    def read(self, image: AnnotatedImage) -> Image8:
        """See ``Input.read``."""
        return read_rgb(self.files[image.name])


class PresetRain:
    """Rain of a preset on the clean images: what `derain synthesize` would write for them.

    Args:
        preset: A name of `derain synthesize --presets`.
        clean: The clean images.
        seed: At least 0; another seed is other rain.

    Raises:
        ValueError: No such preset.
    """

    def __init__(self, preset: str, clean: Folder, seed: int = 0) -> None:
        self.preset, self.clean, self.seed = preset, clean, seed
        self._synthesizer = RainSynthesizer(preset, seed=seed)
        self._last: tuple[str, Image8] | None = None  # every network asks for the same image

    @property
    def about(self) -> str:
        """The preset and its seed."""
        return f"rain of the preset {self.preset} on the clean images, seed {self.seed}"

    def check(self, images: Sequence[AnnotatedImage]) -> None:
        """See ``Input.check``."""
        self.clean.check(images)

    def read(self, image: AnnotatedImage) -> Image8:
        """See ``Input.read``; the rain follows from the seed and the image's name."""
        if self._last is None or self._last[0] != image.name:
            clean = read_clean(self.clean.files[image.name])
            rainy = self._synthesizer(clean, index=rain_index(image.name)).rainy
            self._last = image.name, rainy if rainy.ndim == 3 else np.dstack([rainy] * 3)
        return self._last[1]


class Derained:
    """What a network, or any function of images, makes of another version.

    Args:
        run: (H, W, 3) uint8 -> the same without rain: a ``Restorer``, an ``EvaluationModel``.
        rain: The rainy images.
        about: What it is: network, precision, engine.
        cache: Where results are kept and found again; None keeps nothing. It belongs to one model.
        where: Engine, device and precision, which a kept result depends on.
    """

    def __init__(
        self,
        run: Callable[[NDArray[Any]], NDArray[Any]],
        rain: Input,
        about: str = "a function on the rainy images",
        cache: Cache | None = None,
        where: str = "",
    ) -> None:
        self.run, self.rain, self.about = run, rain, about
        self.cache, self.where = cache, where
        self.seconds: dict[str, float] = {}  # in the function, by the name of the image
        self._warm = False

    def check(self, images: Sequence[AnnotatedImage]) -> None:
        """See ``Input.check``."""
        self.rain.check(images)

    def read(self, image: AnnotatedImage) -> Image8:
        """See ``Input.read``."""
        rainy = self.rain.read(image)
        key = Key(hashlib.sha256(rainy.tobytes()).hexdigest(), "8 bits", self.where)
        if self.cache and (known := self.cache.entries.get(key)):
            try:
                derained = read_rgb(self.cache.example(key))
            except ImageError:
                pass  # it is gone or damaged, and made again
            else:
                self.seconds[image.name] = known.seconds
                return derained
        derained, seconds = self._timed(rainy, image)
        self.seconds[image.name] = seconds
        if self.cache:
            write_image(self.cache.example(key), DecodedImage(derained, "PNG"))
            self.cache.add(image.name, key, Measurement({}, seconds))
        return derained

    def _timed(self, rainy: Image8, image: AnnotatedImage) -> tuple[Image8, float]:
        try:
            if not self._warm:
                self.run(rainy)  # the first call pays for loading
                self._warm = True
            start = time.perf_counter()
            derained = np.asarray(self.run(rainy))
        except ValueError as error:
            raise ValueError(f"{image.name}: {error}") from error
        seconds = time.perf_counter() - start
        if derained.shape != rainy.shape or derained.dtype != np.uint8:
            raise ValueError(
                f"{image.name}: deraining gave {derained.dtype} {derained.shape}, "
                f"not uint8 {rainy.shape}"
            )
        return derained, seconds


def _first(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
