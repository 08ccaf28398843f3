"""Read and write an image with everything that must survive.

What goes through unchanged: the size, 8 or 16 bits, grey, alpha, EXIF (camera, place, time), the
ICC profile, XMP and the resolution. What changes, because it must: a rotated image is turned
upright and its orientation tag reset (rain falls downwards, and the network expects that); the
embedded thumbnail, which would still show the rain, is dropped; CMYK becomes RGB and a palette
becomes full colour.
"""

import io
import struct
import threading
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from derain.atomic import write_atomically
from derain.codecs import (
    DIRECTORIES,
    EXIF_TAGS,
    ORIENTATION,
    encode_png16,
    encode_tiff,
    upright_exif,
)

# Suffix -> format as Pillow names it.
FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF",
    ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF", ".avif": "AVIF",
    ".ppm": "PPM", ".pgm": "PPM", ".jp2": "JPEG2000",
}  # fmt: skip
SIXTEEN_BIT = ("PNG", "TIFF")
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF", "GIF", "JPEG2000")
MAX_PIXELS = 250_000_000
QUALITY = 95
OPTIMISED = 50_000_000  # pixels; libjpeg's optimal code keeps 6 bytes for each until the end

_opening = threading.Lock()  # Pillow's own pixel limit is a global


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image, upright."""

    pixels: NDArray[Any]  # (H, W, 3) RGB, uint8 or uint16; three equal channels where grey
    format: str  # as in FORMATS
    grey: bool = False
    alpha: NDArray[Any] | None = None  # (H, W), of the same type
    exif: bytes | None = None  # a TIFF block, orientation 1, without thumbnail
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def read(path: Path, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Read an image file.

    Raises:
        ValueError: Not an image, damaged, animated, of a kind that is not supported, or larger
            than ``max_pixels``; names the file and the way out.
        OSError: The file cannot be read.
    """
    return decode(path.read_bytes(), str(path), max_pixels)


def decode(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """Decode the bytes of an image file; ``name`` is for messages. Raises as ``read``."""
    if not data:
        raise ValueError(f"{name}: empty file")
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(io.BytesIO(data))
            finally:
                Image.MAX_IMAGE_PIXELS = limit
        check_supported(image, name, max_pixels)
        return from_pillow(image, sixteen_bit(image, data))
    except Image.UnidentifiedImageError:
        hint = " (HEIC: convert it first)" if name.lower().endswith((".heic", ".heif")) else ""
        raise ValueError(f"{name}: not an image that derain can read{hint}") from None
    except (OSError, SyntaxError, struct.error, zlib.error, cv2.error) as error:
        raise ValueError(f"{name}: damaged image: {error}") from None


def check_supported(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse what derain does not restore, before any pixel is decoded.

    Raises:
        ValueError: Too large, several pages or frames, or 32 bits per channel.
    """
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"{name}: {width}x{height} is over the limit of {max_pixels / 1e6:g} megapixels; "
            "--max-pixels raises it"
        )
    # Phones append a depth or gain map to a JPEG as a second frame (MPO); the first is the photo.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ValueError(f"{name}: has {frames} pages or frames; split it first")
    if image.mode in ("I", "F"):
        raise ValueError(f"{name}: 32 bits per channel are not supported; convert to 16")


def sixteen_bit(image: Image.Image, data: bytes) -> NDArray[np.uint16] | None:
    """The pixels of a 16-bit PNG or TIFF, which Pillow would cut to 8 bits; None for others.

    Returns:
        (H, W) or (H, W, 3 or 4) RGB(A) uint16, not yet upright.
    """
    if image.format == "PNG":
        deep = data[24] == 16
    else:
        tags = getattr(image, "tag_v2", {})  # a TIFF has them
        deep = 16 in np.atleast_1d(tags.get(258, 8))
    if not deep:
        return None
    # A damaged file is ours to report.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise OSError("16-bit pixels cannot be decoded")
    if values.ndim == 3:
        values[..., :3] = values[..., 2::-1].copy()
    return values.astype(np.uint16, copy=False)


def from_pillow(image: Image.Image, deep: NDArray[np.uint16] | None = None) -> DecodedImage:
    """Turn a Pillow image into a ``DecodedImage``.

    Args:
        image: Any mode but I and F.
        deep: Its pixels at 16 bits, where Pillow has only 8.
    """
    exif = exif_block(image)
    icc = image.info.get("icc_profile")
    if deep is None:
        image.load()  # which already turns a TIFF upright, and then says so
        orientation = image.getexif().get(ORIENTATION, 1)
        if image.mode == "CMYK":
            image, icc = cmyk_to_rgb(image, icc), None
        mode = plain_mode(image)
        values = np.asarray(image if image.mode == mode else image.convert(mode))
    else:
        values, orientation = deep, image.getexif().get(ORIENTATION, 1)
    values = upright(values, orientation)
    channels = 1 if values.ndim == 2 else values.shape[2]
    grey = channels < 3
    values = values.reshape(*values.shape[:2], channels)
    pixels = np.repeat(values[..., :1], 3, axis=2) if grey else values[..., :3]
    xmp = image.info.get("xmp")
    return DecodedImage(
        pixels=np.ascontiguousarray(pixels),
        format="JPEG" if image.format == "MPO" else image.format or "PNG",
        grey=grey,
        alpha=values[..., -1].copy() if channels in (2, 4) else None,
        exif=upright_exif(exif),
        icc=icc,
        xmp=xmp if isinstance(xmp, bytes) else None,
        dpi=image.info.get("dpi"),
    )


def plain_mode(image: Image.Image) -> str:
    """The mode among L, LA, RGB and RGBA that holds all of an 8-bit image."""
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        return "LA" if transparent else "L"
    return "RGBA" if transparent else "RGB"


def cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK to sRGB, by its own profile where it has a valid one."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            converted.format, converted.info = image.format, image.info
            return converted
    converted = image.convert("RGB")
    converted.format, converted.info = image.format, image.info
    return converted


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation (1..8) to an array (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def exif_block(image: Image.Image) -> bytes | None:
    """The EXIF of an image as a TIFF block, byte for byte where the file stores one."""
    stored = image.info.get("exif")
    if stored:
        return stored.removeprefix(b"Exif\x00\x00")
    exif = image.getexif()
    if image.format != "TIFF" or not exif:
        return None
    kept = Image.Exif()
    for tag in EXIF_TAGS:
        value = exif.get_ifd(tag) if tag in DIRECTORIES else exif.get(tag)
        if value:
            kept[tag] = value
    return kept.tobytes().removeprefix(b"Exif\x00\x00") if len(kept) else None


def write(path: Path, image: DecodedImage, quality: int = QUALITY) -> None:
    """Write an image; the file appears whole under its name or not at all. Raises as ``encode``.

    Raises:
        OSError: The folder cannot be written to, or the disk is full; nothing is left behind.
    """
    write_atomically(path, encode(image, quality))


def encode(image: DecodedImage, quality: int = QUALITY) -> bytes:
    """Encode an image in its format.

    Args:
        image: What to encode; 16 bits only in PNG and TIFF, alpha not in JPEG and BMP.
        quality: 1..100, for JPEG, WebP and AVIF; 100 is lossless in WebP.

    Raises:
        ValueError: The format cannot hold the image; says which can.
    """
    deep = image.pixels.dtype == np.uint16
    if deep and image.format not in SIXTEEN_BIT:
        raise ValueError(f"{image.format} cannot hold 16 bits; choose PNG or TIFF")
    if image.alpha is not None and image.format not in WITH_ALPHA:
        raise ValueError(f"{image.format} cannot hold transparency; choose PNG, TIFF or WebP")
    if image.format == "TIFF":
        return encode_tiff(channels_of(image), image)
    if deep:
        return encode_png16(channels_of(image), image)
    pixels = Image.fromarray(channels_of(image))
    buffer = io.BytesIO()
    pixels.save(buffer, image.format, **save_options(image, quality))
    return buffer.getvalue()


def channels_of(image: DecodedImage) -> NDArray[Any]:
    """The samples as a file stores them: (H, W), or (H, W, 2, 3 or 4) with alpha last."""
    # Neither OpenCV nor Pillow knows grey with alpha at 16 bits.
    grey = image.grey and (image.alpha is None or image.pixels.dtype == np.uint8)
    colour = grey_of(image.pixels) if grey else image.pixels
    return colour if image.alpha is None else np.dstack([colour, image.alpha])


def grey_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Mean of the three channels, rounded: (H, W, 3) -> (H, W)."""
    return ((pixels.sum(axis=2, dtype=np.uint32) * 2 + 3) // 6).astype(pixels.dtype)


def save_options(image: DecodedImage, quality: int) -> dict[str, Any]:
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
