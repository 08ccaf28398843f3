"""Which files are clips: by their first bytes, or by their name in a listing."""

import re
from pathlib import Path

from derain.io.formats import ImageError

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
