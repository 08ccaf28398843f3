"""Tar shards in the layout of WebDataset, from strangers.

What a header claims is checked before it is believed: a member with a name that leads out of its
folder, a link or a device is refused by itself, and named; a shard that ends too early, or goes on
after its end in nonsense, is read up to there.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from derain.io.formats import one_line
from derain.io.places import is_inside

LONGEST_HEADER = 1 << 20  # bytes; names and other attributes of a member


@dataclass(frozen=True)
class Member:
    """A member of a tar shard; one with a problem has no content to read."""

    name: str
    size: int = 0
    offset: int = 0  # of its content in the shard
    mtime: int = 0
    problem: str = ""


class Damaged(ValueError):
    """A tar shard that cannot be read further."""


class _Guarded:
    """A file that the reader of headers can neither read far nor go back in."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._reached = file, 0
        self.tell, self.mode, self.name = file.tell, "rb", None

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        if whence or place < self._reached - 1:
            raise tarfile.ReadError("a header that leads back")
        self._reached = place
        return self._file.seek(place)


def members(path: Path) -> Iterator[Member]:
    """The members of a tar shard in their order; folders are left out.

    Raises:
        Damaged: The shard cannot be read further; says after what.
        OSError: The file cannot be read.
    """
    size, last, reached = path.stat().st_size, "its beginning", -1
    seen: set[str] = set()
    with path.open("rb") as file:
        guarded: Any = _Guarded(file)
        try:
            with tarfile.open(fileobj=guarded, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    vars(tar)["members"] = []  # which it would keep to its end
                    if member.offset <= reached:
                        raise tarfile.ReadError("a header that leads back")
                    reached = member.offset
                    found = _checked(member, seen, size)
                    last = repr(member.name)
                    if found:
                        yield found
                # The reader takes what is no header for the end; there, all is zero.
                file.seek(tar.offset)
                if any(file.read(tarfile.BLOCKSIZE)):
                    raise tarfile.ReadError("no header where one must be")
        except (tarfile.TarError, RecursionError, ValueError, OverflowError, EOFError) as error:
            raise Damaged(f"damaged after {last}: {one_line(error)}") from None


def _checked(member: tarfile.TarInfo, seen: set[str], size: int) -> Member | None:
    name = member.name
    if member.isdir():
        return None
    if not is_inside(name):
        return Member(name, problem="its name leads out of its folder")
    if not member.isreg() or member.issparse():
        kind = "link" if member.islnk() or member.issym() else "sparse file or a device"
        return Member(name, problem=f"is a {kind}")
    if member.size < 0 or member.offset_data + member.size > size:
        return Member(name, problem=f"claims {member.size} bytes, which the shard does not have")
    if name in seen:
        return Member(name, problem="is there twice")
    seen.add(name)
    return Member(name, member.size, member.offset_data, max(0, int(member.mtime)))


def content(path: Path, member: Member) -> bytes:
    """The content of a member. Raises OSError."""
    with path.open("rb") as file:
        file.seek(member.offset)
        return file.read(member.size)


def add(tar: tarfile.TarFile, name: str, data: bytes, mtime: int = 0) -> None:
    """Add a file to a tar shard; the same files give the same bytes. Raises OSError."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), mtime, 0o644
    tar.addfile(info, io.BytesIO(data))
