"""Animated images, frame by frame: GIF, APNG and animated WebP.

A file passes the same gate as a still image, which also limits the pixels of all frames together.
Pillow decodes and lays the frames onto each other; one of them is held at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from derain.io import pillow
from derain.io.decode import DecodedImage, upright
from derain.io.exif import upright_exif
from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.io.gate import read_file, read_header
from derain.io.header import Header
from derain.io.quiet import quiet_codecs


@dataclass(frozen=True)
class AnimationFrame:
    """One frame of an animated image.

    Attributes:
        image: All that is shown, upright, with the metadata of the file.
        delay: For how many seconds.
    """

    image: DecodedImage
    delay: Fraction


@dataclass(frozen=True)
class AnimatedImage:
    """An animated image that passed the gate.

    Attributes:
        name: What messages call it.
        header: What its file says.
        loops: How often it is played, 0 for ever; None where the file does not tell: once.
        still_first: Whether the first frame is no part of the animation, but what programs show
            that do not know animated PNGs.
    """

    name: str
    header: Header
    loops: int | None
    still_first: bool

    @property
    def count(self) -> int:
        """The number of frames, as the file tells it."""
        return self.header.frames + self.still_first

    def frames(self) -> Iterator[AnimationFrame]:
        """Every frame in order.

        Raises:
            ImageError: The next one is missing or cannot be decoded; says which.
        """
        with _named(f"{self.name}: damaged image"):
            image = pillow.open_checked(self.header, self.header.payload)
        with image:
            for number in range(self.count):
                with _named(f"{self.name}: frame {number + 1} of {self.count} cannot be decoded"):
                    image.seek(number)
                    image.load()
                    frame = self._frame(image)
                yield frame

    def _frame(self, image: ImageFile.ImageFile) -> AnimationFrame:
        """The frame that was decoded last."""
        header = self.header
        # All frames of a PNG are of one kind. Each of the others may be transparent or not.
        mode = pillow.plain_mode(image) if header.format == "PNG" else "RGBA"
        shown = image if image.mode == mode else image.convert(mode)
        if shown.size != (header.width, header.height):  # a later frame of a GIF is larger
            canvas = Image.new(mode, (header.width, header.height))
            canvas.paste(shown)
            shown = canvas
        values = upright(np.asarray(shown), header.orientation)
        values = values.reshape(*values.shape[:2], len(mode))
        grey = len(mode) < 3
        alpha = values[..., -1].copy() if mode.endswith("A") else None
        if header.format != "PNG" and alpha is not None and alpha.min() == 255:
            alpha = None
        pixels = np.repeat(values[..., :1], 3, axis=2) if grey else values[..., :3]
        extras = upright_exif(header.exif), header.icc, header.xmp, header.dpi
        decoded = DecodedImage(np.ascontiguousarray(pixels), header.format, grey, alpha, *extras)
        # Of APNG's fractions, which have 16 bits, Pillow makes milliseconds.
        delay = Fraction(image.info.get("duration", 0) / 1000).limit_denominator(65535)
        return AnimationFrame(decoded, delay)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Whatever a damaged file makes Pillow raise, as one line."""
    try:
        with quiet_codecs(), pillow.warnings_to_log(what):
            yield
    except Exception as error:
        raise ImageError(f"{what}: {one_line(error)}") from None


def open_animation(path: Path, max_pixels: int = MAX_PIXELS) -> AnimatedImage:
    """Open an animated image.

    Raises:
        ImageError: It is none, damaged, or too large with all its frames; names it.
    """
    name = str(path)
    header = read_header(read_file(path, max_pixels), name, max_pixels, animated=True)
    if header.bits > 8:
        raise ImageError(f"{name}: animated images of 16 bits per channel are not supported")
    with _named(f"{name}: damaged image"), pillow.open_checked(header, header.payload) as image:
        loops = image.info.get("loop")
        still_first = bool(getattr(image, "default_image", False))
    return AnimatedImage(name, header, loops, still_first)
