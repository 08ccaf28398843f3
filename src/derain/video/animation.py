"""Animated images: GIF, APNG and animated WebP, from frames to frames.

Each frame of the result is a whole still image, encoded as any image of its format.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from derain.io.animation import AnimatedImage
from derain.io.atomic import atomic_file
from derain.io.decode import DecodedImage
from derain.io.encode import encode_image
from derain.io.formats import ANIMATED, FORMATS, ImageError
from derain.io.join import Show, write_animation
from derain.io.levels import quantise
from derain.video.frames import Frame, Shot
from derain.video.planes import RGB
from derain.video.segments import EncodedFrame

# Units per second: fine enough to tell all of APNG's fractions of 16 bits from each other.
TICKS = 10**10


@dataclass
class AnimationSource:
    """A ``Source``.

    Attributes:
        image: The animated image.
        problems: As of ``Source``.
    """

    image: AnimatedImage
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As of ``Source``."""
        return self.image.name

    @property
    def expected(self) -> int:
        """As of ``Source``."""
        return self.image.count

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) upright, as the result has it."""
        return self.image.header.upright_size

    def at(self, pts: int) -> str:
        """As of ``Source``."""
        return f"at {pts / TICKS:.2f} s"

    def shots(self, first: int) -> Iterator[Shot]:
        """As of ``Source``; what follows on a frame that cannot be decoded is left out."""
        pts = 0
        try:
            for index, frame in enumerate(self.image.frames()):
                duration = round(frame.delay * TICKS)
                if index >= first:
                    rainy = frame.image.pixels.astype(np.float32) / np.float32(255)
                    yield Shot(Frame(index, pts, duration, frame.image), rainy)
                pts += duration
        except ImageError as error:
            self.problems.append(str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is open between two frames."""


@dataclass(frozen=True)
class AnimationSink:
    """A ``Sink``.

    Attributes:
        image: The source.
        format: A name in `derain.io.formats.ANIMATED`.
        quality: 1..100, of WebP.
    """

    image: AnimatedImage
    format: str
    quality: int

    @property
    def codec(self) -> list[Any]:
        """As of ``Sink``."""
        return [self.format]

    def encoder(self) -> "AnimationEncoder":
        """As of ``Sink``."""
        return AnimationEncoder(self)

    def write(self, target: Path, frames: Iterator[EncodedFrame], count: int) -> None:
        """As of ``Sink``."""
        size, still_first = self.image.header.upright_size, self.image.still_first
        show = Show(size, count, self.image.loops, still_first)
        stills = ((frame.data, Fraction(frame.duration, TICKS)) for frame in frames)
        with atomic_file(target) as file:
            write_animation(file, self.format, stills, show)


def animation_sink(image: AnimatedImage, target: Path, quality: int) -> AnimationSink:
    """The sink for a target.

    Args:
        image: The source.
        target: The result, by whose suffix the format is chosen.
        quality: 1..100, of WebP.

    Raises:
        ImageError: The suffix stands for no format of animated images.
    """
    format = FORMATS.get(target.suffix.lower(), "")
    if format not in ANIMATED:
        raise ImageError(
            f"{target}: {image.name} is animated and becomes .gif, .png or .webp; "
            "choose one of them with -o"
        )
    return AnimationSink(image, format, quality)


class AnimationEncoder:
    """A ``SegmentEncoder``.

    Args:
        sink: How frames are written.
    """

    def __init__(self, sink: AnimationSink) -> None:
        self.sink = sink
        self.frames: list[EncodedFrame] = []

    def add(self, frame: Frame, change: RGB | None) -> None:
        """As of ``SegmentEncoder``."""
        image = frame.image
        assert isinstance(image, DecodedImage)
        if change is not None:
            rainy = image.pixels.astype(np.float32) / np.float32(255)
            image = replace(image, pixels=quantise(rainy + change))
        image = replace(image, format=self.sink.format)
        if self.sink.format == "PNG" and self.sink.image.header.format != "PNG":
            image = _opaque_or_not(image)
        if frame.index:  # metadata are in the first
            image = replace(image, exif=None, icc=None, xmp=None, dpi=None)
        data = encode_image(image, self.sink.quality)
        self.frames.append(EncodedFrame(frame.pts, frame.duration, True, data))

    def finish(self) -> list[EncodedFrame]:
        """As of ``SegmentEncoder``."""
        return self.frames


def _opaque_or_not(image: DecodedImage) -> DecodedImage:
    """With an alpha channel in any case: all frames of a PNG are of one kind."""
    if image.alpha is not None:
        return image
    return replace(image, alpha=np.full(image.pixels.shape[:2], 255, np.uint8))
