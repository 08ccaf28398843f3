"""Image files of every format that derain reads, made here, and ways to damage them.

For `benchmarks.fuzz` and for `tests/fuzz`.
"""

import io
import struct
import zlib
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms, features

from derain.io.decode import DecodedImage
from derain.io.encode import encode_image

HEIGHT, WIDTH = 24, 40
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>rating</a></x:xmpmeta>"
# What is written over numbers in a file: limits of signed and unsigned ones
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(buffer, format, **options)  # Pillow keeps options in the image
    return buffer.getvalue()


def _exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Camera & Co", 6
    tags.get_ifd(0x8769)[0x829A] = (1, 250)
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def _frames(image: Image.Image) -> dict[str, Any]:
    """Options that save a second frame."""
    return {"save_all": True, "append_images": [image.transpose(Image.Transpose.ROTATE_180)]}


@cache
def corpus() -> dict[str, bytes]:
    """Good files by name, the name ending in the format's suffix."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 8, 4), np.uint8)
    rgba = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    colour, alpha = Image.fromarray(rgba[..., :3].copy()), Image.fromarray(rgba)
    grey, palette = colour.convert("L"), colour.quantize(16)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    extras: dict[str, Any] = {"exif": _exif(), "icc_profile": icc, "dpi": (300, 300)}
    deep = rgba.astype(np.uint16) * 257
    sixteen = {"exif": _exif().removeprefix(b"Exif\0\0"), "icc": icc, "xmp": XMP, "dpi": (300, 300)}
    files = {
        "plain.jpg": _saved(colour, "JPEG"),
        "extras.jpg": _saved(colour, "JPEG", xmp=XMP, **extras),
        "progressive.jpg": _saved(colour, "JPEG", progressive=True),
        "grey.jpg": _saved(grey, "JPEG"),
        "cmyk.jpg": _saved(colour.convert("CMYK"), "JPEG", icc_profile=icc),
        "depth.jpg": _saved(colour, "MPO", **_frames(colour)),
        "plain.png": _saved(colour, "PNG"),
        "extras.png": _saved(alpha, "PNG", **extras),
        "palette.png": _saved(palette, "PNG", transparency=1),
        "level.png": _saved(grey, "PNG", transparency=1),
        "grey.png": _saved(colour.convert("LA"), "PNG"),
        "bits.png": _saved(colour.convert("1"), "PNG"),
        "animated.png": _saved(colour, "PNG", **_frames(colour)),
        "deep.png": encode_image(DecodedImage(deep[..., :3], "PNG", **sixteen)),
        "deep_alpha.png": encode_image(DecodedImage(deep[..., :3], "PNG", alpha=deep[..., 3])),
        "plain.webp": _saved(colour, "WEBP"),
        "extras.webp": _saved(alpha, "WEBP", xmp=XMP, exif=_exif(), icc_profile=icc),
        "lossless.webp": _saved(alpha, "WEBP", lossless=True),
        "animated.webp": _saved(colour, "WEBP", **_frames(colour)),
        "plain.tif": _saved(colour, "TIFF"),
        "extras.tif": _saved(colour, "TIFF", **extras),
        "lzw.tif": _saved(colour, "TIFF", compression="tiff_lzw"),
        "alpha.tif": _saved(alpha, "TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": _saved(grey, "TIFF", compression="packbits"),
        "jpeg.tif": _saved(colour, "TIFF", compression="jpeg"),
        "fax.tif": _saved(colour.convert("1"), "TIFF", compression="group4"),
        "palette.tif": _saved(palette, "TIFF"),
        "cmyk.tif": _saved(colour.convert("CMYK"), "TIFF"),
        "pages.tif": _saved(colour, "TIFF", **_frames(colour)),
        "ours.tif": encode_image(DecodedImage(rgba[..., :3], "TIFF", exif=sixteen["exif"])),
        "deep.tif": encode_image(DecodedImage(deep[..., :3], "TIFF", **sixteen)),
        "plain.bmp": _saved(colour, "BMP"),
        "alpha.bmp": _saved(alpha, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "plain.gif": _saved(palette, "GIF", transparency=1),
        "animated.gif": _saved(palette, "GIF", **_frames(colour)),
        "plain.ppm": _saved(colour, "PPM"),
        "plain.pgm": _saved(grey, "PPM"),
        "deep.ppm": encode_image(DecodedImage(deep[..., :3], "PPM")),
        "text.ppm": b"P3\n2 1\n255\n1 2 3 4 5 6\n",
        "plain.jp2": _saved(colour, "JPEG2000"),
        "alpha.jp2": _saved(alpha, "JPEG2000"),
        "deep.jp2": _saved(Image.fromarray(deep[..., 0].copy()), "JPEG2000"),
    }
    if features.check("avif"):
        files["plain.avif"] = _saved(colour, "AVIF")
        files["extras.avif"] = _saved(alpha, "AVIF", exif=_exif(), icc_profile=icc)
    return files


def mutate(data: bytes, rng: np.random.Generator, other: bytes = b"") -> bytes:
    """Damage a file in one to eight places; mostly its start, where the sizes stand.

    Args:
        data: A good file.
        rng: Decides where and how.
        other: A file that a piece may be taken from.
    """
    edited = bytearray(data)
    for _ in range(1 + min(int(rng.geometric(0.4)), 7)):
        size = len(edited)
        if size < 8:
            break
        place = int(size * rng.random() ** rng.choice([1, 3]))
        length = int(rng.integers(1, 1 + min(64, size)))
        match rng.integers(8):
            case 0:
                edited[place] ^= 1 << int(rng.integers(8))
            case 1:
                edited[place] = int(rng.integers(256))
            case 2 | 3:
                width = int(rng.choice([1, 2, 4]))
                number = EXTREMES[int(rng.integers(len(EXTREMES)))] & (256**width - 1)
                order = "little" if rng.random() < 0.5 else "big"
                edited[place : place + width] = number.to_bytes(width, order)
            case 4:
                del edited[place : place + length]
            case 5:
                start = int(rng.integers(size))
                edited[place:place] = edited[start : start + length]
            case 6:
                start = int(rng.integers(len(other) or 1))
                edited[place : place + length] = other[start : start + length]
            case _:
                if rng.random() < 0.3:
                    del edited[max(place, 8) :]
    return with_checksums(bytes(edited)) if rng.random() < 0.8 else bytes(edited)


def with_checksums(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have; other files as they are.

    Without them no damage would come further than the checksum.
    """
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    edited, position = bytearray(data), 8
    while position + 12 <= len(edited):
        (length,) = struct.unpack_from(">I", edited, position)
        end = position + 8 + length
        if end + 4 > len(edited):
            break
        struct.pack_into(">I", edited, end, zlib.crc32(edited[position + 4 : end]))
        position = end + 4
    return bytes(edited)


def mutated_file(seed: int) -> tuple[str, bytes]:
    """The name and the bytes of a damaged file; the same seed gives the same file."""
    rng = np.random.default_rng(seed)
    names = list(corpus())
    name, other = (names[int(rng.integers(len(names)))] for _ in range(2))
    return name, mutate(corpus()[name], rng, corpus()[other])
