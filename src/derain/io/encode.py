"""Write an image with everything that must survive."""

import io
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from derain.io.atomic import write_atomically
from derain.io.codecs import encode_png16, encode_ppm16, encode_tiff
from derain.io.decode import DecodedImage
from derain.io.formats import SIXTEEN_BIT, WITH_ALPHA, ImageError, one_line
from derain.io.palette import indexed
from derain.io.quiet import quiet_codecs

QUALITY = 95
OPTIMISED = 50_000_000  # pixels; libjpeg's optimal code keeps 6 bytes for each until the end

log = logging.getLogger(__name__)


def write_image(path: Path, image: DecodedImage, quality: int = QUALITY) -> None:
    """Write an image; the file appears whole under its name or not at all.

    Raises:
        ImageError: As ``encode_image``.
        OSError: The folder cannot be written to, or the disk is full; nothing is left behind.
    """
    write_atomically(path, encode_image(image, quality))


def encode_image(image: DecodedImage, quality: int = QUALITY) -> bytes:
    """Encode an image in its format.

    Args:
        image: What to encode; 16 bits only in PNG, TIFF and PPM, alpha not in JPEG, BMP and PPM.
        quality: 1..100, for JPEG, WebP and AVIF; 100 is lossless in WebP.

    Raises:
        ImageError: The format cannot hold the image; says which can.
    """
    if image.pixels.dtype == np.uint16 and image.format not in SIXTEEN_BIT:
        raise ImageError(f"{image.format} cannot hold 16 bits; choose PNG or TIFF")
    if image.alpha is not None and image.format not in WITH_ALPHA:
        raise ImageError(f"{image.format} cannot hold transparency; choose PNG, TIFF or WebP")
    bare = replace(image, exif=None, icc=None, xmp=None, dpi=None)
    try:
        return _encode(image, quality)
    except MemoryError:
        raise
    except Exception as error:
        try:
            data = _encode(bare, quality)
        except (ValueError, OSError, KeyError):
            raise ImageError(f"cannot be written as {image.format}: {one_line(error)}") from None
        log.warning("metadata that %s cannot hold are left out: %s", image.format, one_line(error))
        return data


def _encode(image: DecodedImage, quality: int) -> bytes:
    samples = channels_of(image)
    if image.format == "TIFF":
        return encode_tiff(samples, image)
    if image.pixels.dtype == np.uint16:
        return encode_png16(samples, image) if image.format == "PNG" else encode_ppm16(samples)
    options = _save_options(image, quality)
    try:
        with quiet_codecs():
            return encode_pixels(samples, image.format, **options)
    except OSError:
        if not options.get("optimize"):
            raise
        # Pillow keeps at most two bytes for each pixel of an optimised JPEG; noise needs more.
        return encode_pixels(samples, image.format, **options | {"optimize": False})


def channels_of(image: DecodedImage) -> NDArray[Any]:
    """The samples as a file stores them: (H, W), or (H, W, 2, 3 or 4) with alpha last."""
    # Neither OpenCV nor Pillow knows grey with alpha at 16 bits.
    grey = image.grey and (image.alpha is None or image.pixels.dtype == np.uint8)
    colour = grey_of(image.pixels) if grey else image.pixels
    return colour if image.alpha is None else np.dstack([colour, image.alpha])


def grey_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Mean of the three channels, rounded: (H, W, 3) -> (H, W)."""
    return ((pixels.sum(axis=2, dtype=np.uint32) * 2 + 3) // 6).astype(pixels.dtype)


def encode_pixels(pixels: NDArray[np.uint8], format: str, **options: Any) -> bytes:
    """Encode bare 8-bit pixels, (H, W, 3) or (H, W), with options of Pillow's ``save``."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if format == "GIF":
        image, more = indexed(pixels)
        options |= more
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _save_options(image: DecodedImage, quality: int) -> dict[str, Any]:
    """Keyword arguments for Pillow's ``save``: quality and what rides along."""
    options: dict[str, Any] = {
        key: value
        for key, value in (
            ("exif", image.exif and b"Exif\x00\x00" + image.exif),
            ("icc_profile", image.icc),
            ("xmp", image.xmp),
            ("dpi", image.dpi),
        )
        if value
    }
    match image.format:
        case "JPEG":
            small = image.pixels[..., 0].size <= OPTIMISED
            options |= {"quality": quality, "subsampling": 0, "optimize": small}
        case "WEBP":
            options |= {"quality": quality, "lossless": quality == 100, "exact": True}
        case "AVIF":
            options |= {"quality": quality}
        case "PNG":
            if xmp := options.pop("xmp", None):
                options["pnginfo"] = text = PngImagePlugin.PngInfo()
                text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    return options
