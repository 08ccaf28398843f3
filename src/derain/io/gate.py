"""The gate: what an image file claims to be, checked before any decoder sees it.

A file is known by its first bytes, never by its name, and only the formats listed here go on.
Lengths inside the file must lie within it, its height, width and pages within limits, and its
pixels must be as many as so many bytes can hold. Nothing is allocated that the file does not have.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from derain.io import places
from derain.io.formats import ANIMATED, MAX_LENGTH, MAX_PIXELS, ImageError, one_line
from derain.io.header import (
    CUT,
    MAX_FRAMES,
    MAX_METADATA,
    MAX_PAGES,
    Header,
    parse_avif,
    parse_bmp,
    parse_gif,
    parse_jpeg,
    parse_jpeg2000,
    parse_png,
    parse_pnm,
    parse_webp,
)
from derain.io.tiff import parse_tiff

# The first bytes of a file -> what reads its header. Formats that start other programs in Pillow
# (EPS) or that nobody photographs in are not here.
PARSERS: tuple[tuple[bytes, Callable[[bytes], Header]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", parse_png),
    (rb"\xff\xd8\xff", parse_jpeg),
    (rb"RIFF....WEBP", parse_webp),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", parse_tiff),
    (rb"BM", parse_bmp),
    (rb"P[1-6][\s#]", parse_pnm),
    (rb"GIF8[79]a", parse_gif),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", parse_jpeg2000),
    (rb"....ftyp(?:avi[fs]|.{8,56}?avi[fs])", parse_avif),
)


def read_header(
    data: bytes, name: str, max_pixels: int = MAX_PIXELS, *, animated: bool = False
) -> Header:
    """Recognise and check the bytes of an image file.

    Args:
        data: The whole file.
        name: What messages call it.
        max_pixels: Refuse larger images, and animated ones of more pixels in all their frames.
        animated: Whether an animated image is welcome.

    Raises:
        ImageError: Not an image of a known format, damaged, animated, of a kind that is not
            supported, or too large; names the file and the way out.
    """
    if not data:
        raise ImageError(f"{name}: empty file")
    parse = next((parse for magic, parse in PARSERS if re.match(magic, data, re.DOTALL)), None)
    if parse is None:
        hint = " (HEIC: convert it first)" if data[4:8] == b"ftyp" else ""
        raise ImageError(f"{name}: not an image that derain can read{hint}")
    try:
        header = parse(data)
        _check(header, len(data), max_pixels, animated)
    except ValueError as error:
        raise ImageError(f"{name}: {one_line(error)}") from None
    except Exception:  # an offset, a length or a number that leads out of the file
        raise ImageError(f"{name}: {CUT}") from None
    return replace(header, payload=header.payload or data)


def read_file(path: Path, max_pixels: int = MAX_PIXELS) -> bytes:
    """The bytes of an image file, unless no image within the limit could fill so many.

    Raises:
        ImageError: It cannot be read, or is too large; names it.
    """
    limit = most_bytes(max_pixels)
    try:
        if path.stat().st_size <= limit:
            return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror or one_line(error)}") from None
    raise ImageError(f"{path}: {_too_large(max_pixels)}")


def read_place(place: str, max_pixels: int = MAX_PIXELS, size: int | None = None) -> bytes:
    """The bytes of an image file at a path or URL, as ``read_file``.

    Args:
        place: A path, or a URL as of `derain.io.places`.
        max_pixels: As in ``read_file``.
        size: Bytes of the file where a listing has told them.

    Raises:
        ImageError: It cannot be read, or is too large; names it.
    """
    if path := places.local_path(place):
        return read_file(path, max_pixels)
    try:
        if (places.size_of(place) if size is None else size) <= most_bytes(max_pixels):
            return places.read(place)
    except OSError as error:
        raise ImageError(one_line(error)) from None
    raise ImageError(f"{place}: {_too_large(max_pixels)}")


def read_stream(file: BinaryIO, name: str, max_pixels: int = MAX_PIXELS) -> bytes:
    """The rest of an open file, unless no image within the limit could fill so many bytes.

    Raises:
        ImageError: It is too large; names it.
    """
    limit, size = most_bytes(max_pixels), 0
    parts: list[bytes] = []
    while part := file.read(1 << 20):  # a larger read would take its memory at once
        parts.append(part)
        size += len(part)
        if size > limit:
            raise ImageError(f"{name}: {_too_large(max_pixels)}")
    return b"".join(parts)


def most_bytes(max_pixels: int) -> int:
    """Of an image file: 16 bits and four channels, not compressed, and metadata."""
    return 8 * max_pixels + 4 * MAX_METADATA


def _too_large(max_pixels: int) -> str:
    return f"larger than an image of {max_pixels / 1e6:g} megapixels can be"


def inspect_image(path: Path, max_pixels: int = MAX_PIXELS) -> Header:
    """The header of an image file, without decoding it. Raises as ``read_header``."""
    return read_header(read_file(path, max_pixels), str(path), max_pixels)


def _check(header: Header, size: int, max_pixels: int, animated: bool) -> None:
    width, height = header.width, header.height
    counted = MAX_PAGES if header.format == "TIFF" else MAX_FRAMES
    if header.frames > (counted if animated and header.format in ANIMATED else 1):
        many = f"more than {counted}" if header.frames > counted else f"{header.frames}"
        raise ValueError(f"has {many} pages or frames; split it first")
    if width < 1 or height < 1:
        raise ValueError(f"damaged image: {width}x{height} pixels")
    if width * height > max_pixels:
        raise ValueError(
            f"{width}x{height} is over the limit of {max_pixels / 1e6:g} megapixels; "
            "--max-pixels raises it"
        )
    if width * height * header.frames > max_pixels:
        raise ValueError(
            f"{header.frames} frames of {width}x{height} are together over the limit of "
            f"{max_pixels / 1e6:g} megapixels; --max-pixels raises it"
        )
    if max(width, height) > MAX_LENGTH:
        raise ValueError(
            f"{width}x{height} is too long or too wide; the limit is {MAX_LENGTH} pixels"
        )
    if width * height > header.densest * size:
        raise ValueError(f"damaged image: {size} bytes cannot hold {width}x{height} pixels")
    if header.bits > 16:
        raise ValueError(f"{header.bits} bits per channel are not supported; convert to 16")
