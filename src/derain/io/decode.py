"""Read an image: the one decoder, for every command and for training.

What goes through unchanged: the size, 8 or 16 bits, grey, alpha, EXIF (camera, place, time), the
ICC profile, XMP and the resolution. What changes, because it must: a rotated image is turned
upright and its orientation tag reset (rain falls downwards, and the network expects that); the
embedded thumbnail, which would still show the rain, is dropped; CMYK becomes RGB and a palette
becomes full colour.

OpenCV decodes JPEG, PNG, WebP, and plain TIFF, BMP and PPM; Pillow what OpenCV cannot hold or gets
wrong, and the metadata of TIFF. Which of them it is depends on the file alone, so all commands see
the same pixels.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.exif import upright_exif
from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.io.gate import read_file, read_header
from derain.io.header import Header
from derain.io.levels import to_8_bits
from derain.io.quiet import quiet_codecs

log = logging.getLogger(__name__)

Image8 = NDArray[np.uint8]  # (H, W, 3) RGB
WITH_PILLOW = ("TIFF", "GIF", "AVIF", "JPEG2000")  # formats whose metadata Pillow reads


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image."""

    pixels: NDArray[Any]  # (H, W, 3) RGB, uint8 or uint16; three equal channels where grey
    format: str  # as in FORMATS
    grey: bool = False
    alpha: NDArray[Any] | None = None  # (H, W), of the same type
    exif: bytes | None = None  # a TIFF block, orientation 1, without thumbnail
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_image(
    path: Path,
    *,
    orientation: Literal["upright", "stored"] = "upright",
    depth: Literal[8, 16] = 16,
    max_pixels: int = MAX_PIXELS,
) -> DecodedImage:
    """Read an image file. Arguments and errors as of ``decode_image``.

    Raises:
        ImageError: It cannot be read or decoded.
    """
    data = read_file(path, max_pixels)
    return decode_image(
        data, str(path), orientation=orientation, depth=depth, max_pixels=max_pixels
    )


def read_rgb(path: Path, max_pixels: int = MAX_PIXELS) -> Image8:
    """The pixels alone, upright, at 8 bits, (H, W, 3) RGB; alpha is left out.

    Raises:
        ImageError: As ``decode_image``.
    """
    data = read_file(path, max_pixels)
    image = decode_image(data, str(path), depth=8, max_pixels=max_pixels, metadata=False)
    return image.pixels


def decode_image(
    data: bytes,
    name: str,
    *,
    orientation: Literal["upright", "stored"] = "upright",
    depth: Literal[8, 16] = 16,
    max_pixels: int = MAX_PIXELS,
    metadata: bool = True,
) -> DecodedImage:
    """Decode the bytes of an image file.

    Args:
        data: The whole file.
        name: What messages call it.
        orientation: ``upright`` turns the image as its EXIF says.
        depth: Bits per channel at most: with 8, 16-bit images are rounded to 8.
        max_pixels: Refuse larger images.
        metadata: Whether EXIF, profile, XMP and resolution are wanted.

    Raises:
        ImageError: Whatever is wrong with the file: no image, damaged, animated, of a kind that is
            not supported, larger than ``max_pixels`` or than memory; one line that names it.
    """
    header = read_header(data, name, max_pixels)
    try:
        with quiet_codecs():
            values, header = _samples(header)
            if metadata and header.format in WITH_PILLOW:
                from derain.io import pillow

                header = pillow.with_metadata(header, data, name)
        if orientation == "upright":
            values = upright(values, header.orientation)
            header = replace(header, exif=upright_exif(header.exif))
        if depth > 8 and 8 < header.bits < 16:
            log.warning("%s: its %d bits per channel become 8", name, header.bits)
        return _decoded(values, header, depth)
    except ModuleNotFoundError:
        raise ImageError(
            f"{name}: {header.format} of this kind needs `pip install Pillow`"
        ) from None
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "code", 0) == cv2.Error.StsNoMem:
            size = f"{header.width}x{header.height}"
            raise ImageError(f"{name}: not enough memory to decode {size} pixels") from None
        raise ImageError(f"{name}: damaged image: {one_line(error)}") from None


def _samples(header: Header) -> tuple[NDArray[Any], Header]:
    """The samples as stored, (H, W) or (H, W, 2, 3 or 4) with RGB in order; and what they add."""
    if header.opencv:
        values = _by_opencv(header)
    else:
        from derain.io import pillow

        values, header = pillow.decode(header)
    if values.shape[:2] != (header.height, header.width):
        raise ValueError("the pixels have another size than the file says")
    return values, header


def _by_opencv(header: Header) -> NDArray[Any]:
    values = cv2.imdecode(np.frombuffer(header.payload, np.uint8), cv2.IMREAD_UNCHANGED)
    expected = np.uint16 if header.bits == 16 else np.uint8
    if values is None or values.dtype != expected:
        raise ValueError("its pixels cannot be decoded")
    if values.ndim == 3:
        turn = cv2.COLOR_BGR2RGB if values.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        cv2.cvtColor(values, turn, dst=values)
    return np.subtract(65535, values, out=values) if header.inverted else values


def _decoded(values: NDArray[Any], header: Header, depth: int) -> DecodedImage:
    if depth == 8:
        values = to_8_bits(values)
    channels = 1 if values.ndim == 2 else values.shape[2]
    values = values.reshape(*values.shape[:2], channels)
    grey = channels < 3 or header.grey
    pixels = np.repeat(values[..., :1], 3, axis=2) if channels < 3 else values[..., :3]
    return DecodedImage(
        pixels=np.ascontiguousarray(pixels),
        format=header.format,
        grey=grey,
        alpha=values[..., -1].copy() if channels in (2, 4) else None,
        exif=header.exif,
        icc=header.icc,
        xmp=header.xmp,
        dpi=header.dpi,
    )


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (1..8) to an array (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
