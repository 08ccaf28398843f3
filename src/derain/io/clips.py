"""Which files are clips or animated images: by their bytes, or by their name in a listing."""

import re
import struct
from pathlib import Path
from typing import BinaryIO

from derain.io.formats import ImageError
from derain.io.header import gif_palette

# Names that a folder is searched for.
SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg",
    ".mpeg", ".flv", ".wmv", ".nut",
)  # fmt: skip

# The first bytes of containers, and what a file of theirs is called. An ISO file (ftyp) may also be
# an AVIF or HEIC image.
_CONTAINERS = (
    (rb"....ftypqt  ", ".mov"),
    (
        rb"....(?:ftyp(?!avi[fs]|hei[cfmsx]|hev[cmsx]|mif1|msf1)|moov|mdat|free|skip|wide)",
        ".mp4",
    ),
    (rb"\x1a\x45\xdf\xa3.{0,60}\x42\x82.webm", ".webm"),
    (rb"\x1a\x45\xdf\xa3", ".mkv"),
    (rb"RIFF....AVI ", ".avi"),
    (rb"FLV\x01", ".flv"),
    (rb"nut/multimedia container\0", ".nut"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ".wmv"),
    (rb"\0\0\x01[\xba\xb3]", ".mpg"),  # MPEG program stream
    (rb"G.{187}G|.{4}G.{191}G", ".ts"),  # MPEG transport stream
)
HEAD = 400  # bytes that tell


def is_clip_name(name: str) -> bool:
    """Whether a file's name ends as a clip's does."""
    return Path(name).suffix.lower() in SUFFIXES


def clip_suffix(head: bytes) -> str | None:
    """What a clip that begins with some bytes, `HEAD` of them, is called; None for no clip."""
    for pattern, suffix in _CONTAINERS:
        if re.match(pattern, head, re.DOTALL):
            return suffix
    return None


def is_clip(path: Path) -> bool:
    """Whether a file is a clip: by its first bytes, or, where they say nothing, by its name.

    Raises:
        ImageError: It cannot be read; names it.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    return clip_suffix(head) is not None or is_clip_name(path.name)


def is_animation(path: Path) -> bool:
    """Whether a file is an animated image: a GIF, PNG or WebP of several frames.

    No more of the file is read than it takes to tell. A damaged one is none.

    Raises:
        ImageError: It cannot be read; names it.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
            if start[:8] == b"\x89PNG\r\n\x1a\n":
                return _moves_png(file)
            if start[:4] == b"RIFF" and start[8:] == b"WEBP":
                return _moves_webp(file)
            return start[:4] == b"GIF8" and _moves_gif(file)
    except (struct.error, IndexError):
        return False
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None


def _moves_png(file: BinaryIO) -> bool:
    """Whether a chunk of more than one frame stands before the pixels."""
    file.seek(8)
    while True:
        length, kind, frames = struct.unpack(">I4sI", file.read(12))
        if kind in (b"acTL", b"IDAT", b"IEND"):
            return kind == b"acTL" and frames > 1
        file.seek(length, 1)


def _moves_webp(file: BinaryIO) -> bool:
    """Whether there are two frames."""
    frames = 0
    while frames < 2 and len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind in (b"VP8 ", b"VP8L"):
            return False
        frames += kind == b"ANMF"
        file.seek(length + length % 2, 1)
    return frames > 1


def _moves_gif(file: BinaryIO) -> bool:
    """Whether there are two frames."""
    file.seek(10)
    frames, table = 0, file.read(3)[0]
    file.seek(gif_palette(table), 1)
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b"!":
            file.seek(1, 1)
        else:
            frames += 1
            file.seek(gif_palette(file.read(9)[8]) + 1, 1)
        if frames > 1:
            return True
        while length := file.read(1)[0]:
            file.seek(length, 1)
    return False
