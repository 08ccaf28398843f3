"""Which files are clips: by their first bytes, or by their name in a listing."""

import re
from pathlib import Path

from derain.io.formats import ImageError

# Names that a folder is searched for.
SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg",
    ".mpeg", ".flv", ".wmv", ".nut",
)  # fmt: skip

# The first bytes of containers. An ISO file (ftyp) may also be an AVIF or HEIC image.
_CONTAINERS = re.compile(
    rb"....(?:ftyp(?!avi[fs]|hei[cfmsx]|hev[cmsx]|mif1|msf1)|moov|mdat|free|skip|wide)"
    rb"|\x1a\x45\xdf\xa3"  # Matroska, WebM
    rb"|RIFF....AVI "
    rb"|FLV\x01"
    rb"|nut/multimedia container\0"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11"  # ASF, WMV
    rb"|\0\0\x01[\xba\xb3]"  # MPEG program stream
    rb"|G.{187}G|.{4}G.{191}G",  # MPEG transport stream
    re.DOTALL,
)
HEAD = 400  # bytes that tell


def is_clip_name(name: str) -> bool:
    """Whether a file's name ends as a clip's does."""
    return Path(name).suffix.lower() in SUFFIXES


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
    return bool(_CONTAINERS.match(head)) or is_clip_name(path.name)
