"""Files at URLs: s3://, gs://, az://, memory:// and whatever else fsspec knows.

The one room that knows fsspec. An operation that fails for a reason that may pass (a server that
is busy, a connection that broke) is tried again, and is an error when that does not help: a place
that cannot be asked is never taken for one where nothing is. What is written is whole or not there.
"""

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from derain.io.atomic import write_atomically
from derain.io.formats import one_line

URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # two letters, as C:// is a drive
S3 = ("s3", "s3a")
WEB = ("http", "https")  # read by `download`, which has limits of its own
# Where an upload appears whole or not at all; elsewhere a file is written aside and renamed.
WHOLE_UPLOADS = (*S3, "gs", "gcs", "az", "abfs", "abfss", "memory")
# What trying again does not change.
FINAL = (
    FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError,
    NotImplementedError, ImportError, ValueError, TypeError,
)  # fmt: skip
ATTEMPTS = 4  # each of several that the system makes by itself
PAUSE = 0.2  # seconds before the second attempt; doubled before each further one


@dataclass(frozen=True)
class Found:
    """A file in a listing."""

    name: str  # its path below the place that was listed
    size: int  # bytes


def is_url(place: str) -> bool:
    """Whether a place is a URL rather than a path; file:// is one."""
    return URL.match(place) is not None


def is_web(place: str) -> bool:
    """Whether a place is an http(s) address."""
    return place.lower().startswith(tuple(f"{scheme}://" for scheme in WEB))


def local_path(place: str) -> Path | None:
    """The path that a place is; None for a URL."""
    if place.lower().startswith("file://"):
        return Path(place[len("file://") :])
    return None if is_url(place) else Path(place)


def absolute(place: str) -> str:
    """A place that means the same in every folder."""
    path = local_path(place)
    return place if path is None else str(path.absolute())


def below(place: str, name: str) -> str:
    """The place of a name below a folder.

    Raises:
        ValueError: The name leads out of the folder.
    """
    if not is_inside(name):
        raise ValueError(f"{name!r}: a name that leads out of its folder")
    return f"{place.rstrip('/')}/{name}"


def is_inside(name: str) -> bool:
    """Whether a name stays below the folder that it is put into, on every system."""
    parts = name.replace("\\", "/").split("/")
    return not ({"", ".", ".."} & set(parts)) and ":" not in parts[0] and "\0" not in name


def kind_of(place: str) -> Literal["file", "folder"] | None:
    """What is at a place; None if nothing is.

    Raises:
        OSError: It cannot be asked; names it.
    """
    if path := local_path(place):
        return "file" if path.is_file() else "folder" if path.is_dir() else None
    system, inside = _system(place)
    try:
        # A file may share its name with a folder; nothing but a slash at the end tells them apart.
        found = _patiently(place, system.info, inside)
    except FileNotFoundError:
        return None
    return "folder" if found["type"] == "directory" else "file"


def exists(place: str) -> bool:
    """Whether a file is there. Raises OSError if it cannot be asked."""
    return kind_of(place) == "file"


def size_of(place: str) -> int:
    """Bytes of a file. Raises OSError; names it."""
    if path := local_path(place):
        return path.stat().st_size
    system, inside = _system(place)
    return int(_patiently(place, system.info, inside)["size"] or 0)


def read(place: str) -> bytes:
    """A whole file. Raises OSError; names it."""
    if path := local_path(place):
        return path.read_bytes()
    system, inside = _system(place)
    return _patiently(place, system.cat_file, inside)


def fetch(place: str, target: Path) -> None:
    """Copy a file to a path, which may be left half-written. Raises OSError; names it."""
    system, inside = _system(place)
    _patiently(place, system.get_file, inside, str(target))


def write(place: str, data: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError; names it."""
    if path := local_path(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        return
    _put(place, lambda system, inside: system.pipe_file(inside, data))


def upload(source: Path, place: str) -> None:
    """Move a file of this machine to a place, whole or not at all. Raises OSError; names it."""
    if path := local_path(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            _copy(source, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    else:
        _put(place, lambda system, inside: system.put_file(str(source), inside))
    source.unlink()


def remove(place: str) -> None:
    """Remove a file. Raises OSError; names it."""
    if path := local_path(place):
        path.unlink()
        return
    system, inside = _system(place)
    _patiently(place, system.rm_file, inside)


def list_files(place: str, recursive: bool = False) -> Iterator[Found]:
    """The files below a folder, one after the other, in an order that is always the same.

    S3 is asked for a page of a thousand names at a time, in the order of their bytes, and no more
    than a page is held. Elsewhere a folder's names are held at a time, sorted.

    Raises:
        OSError: It cannot be listed; names it.
    """
    if path := local_path(place):
        yield from _list_local(path, recursive)
        return
    system, root = _system(place)
    if hasattr(system, "call_s3"):
        yield from _list_s3(place, system, root, recursive)
        return
    folders = [root.rstrip("/")]
    while folders:
        folder = folders.pop()
        entries = _patiently(place, system.ls, folder, detail=True)
        deeper: list[str] = []
        for entry in sorted(entries, key=lambda entry: entry["name"]):
            name = str(entry["name"]).rstrip("/")
            if entry["type"] == "directory":
                deeper.append(name)
            else:
                yield Found(name[len(root.rstrip("/")) :].lstrip("/"), int(entry["size"] or 0))
        if recursive:
            folders += reversed(deeper)


def _list_local(root: Path, recursive: bool) -> Iterator[Found]:
    folders = [root]
    while folders:
        folder = folders.pop()
        deeper: list[Path] = []
        for name in sorted(path.name for path in folder.iterdir()):
            path = folder / name
            if path.is_file():
                yield Found(path.relative_to(root).as_posix(), path.stat().st_size)
            elif path.is_dir() and not path.is_symlink():  # a link may lead round in a circle
                deeper.append(path)
        if recursive:
            folders += reversed(deeper)


def _list_s3(place: str, system: Any, root: str, recursive: bool) -> Iterator[Found]:
    bucket, key, _ = system.split_path(root)
    prefix = f"{key.rstrip('/')}/" if key else ""
    asked = {"Bucket": bucket, "Prefix": prefix} | ({} if recursive else {"Delimiter": "/"})
    while True:
        page = _patiently(place, system.call_s3, "list_objects_v2", **asked)
        for entry in page.get("Contents", ()):
            name = entry["Key"][len(prefix) :]
            if name and not name.endswith("/"):  # such a key stands for a folder
                yield Found(name, entry["Size"])
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _system(place: str) -> tuple[Any, str]:
    """The file system of a URL and the path in it.

    Raises:
        ModuleNotFoundError: A package is missing.
        ValueError: No such kind of URL, or what it needs is missing; names the way out.
    """
    import fsspec

    scheme = place.partition("://")[0].lower()
    if scheme in WEB:
        raise ValueError(f"{place}: an address of the web is read as one image, nothing else")
    # No listings are kept: they would go stale, and grow with the number of names.
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme in S3:
        # Parts of a file one after the other: else s3fs asks for the size before each read, which
        # costs as much as the read, and holds ten parts of an upload in memory.
        options["max_concurrency"] = 1
    try:
        system, inside = fsspec.core.url_to_fs(place, **options)
    except (ImportError, ValueError) as error:  # which name the package, or no known scheme
        raise ValueError(f"{place}: {one_line(error)}") from None
    return system, str(inside)


def _put(place: str, send: Callable[[Any, str], None]) -> None:
    system, inside = _system(place)
    if place.partition("://")[0].lower() in WHOLE_UPLOADS:
        _patiently(place, send, system, inside)
        return
    parent = str(PurePosixPath(inside).parent)
    partial = f"{parent}/.{secrets.token_hex(8)}.partial"
    _patiently(place, system.makedirs, parent, exist_ok=True)
    try:
        _patiently(place, send, system, partial)
        _patiently(place, system.mv, partial, inside)
    except OSError:
        if system.exists(partial):
            system.rm_file(partial)
        raise


def _patiently(place: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call, and again while it fails for a reason that may pass.

    Raises:
        FileNotFoundError: Nothing is there; names it.
        OSError: All else; names it.
    """
    for attempt in range(ATTEMPTS):
        try:
            return call(*arguments, **options)
        except Exception as error:
            final = isinstance(error, FINAL) or "Credentials" in type(error).__name__
            if final or attempt == ATTEMPTS - 1:
                raise _named(place, error) from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError


def _named(place: str, error: Exception) -> OSError:
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(f"{place}: no such file or folder")
    reason = getattr(error, "strerror", None) or one_line(error)
    kind = PermissionError if isinstance(error, PermissionError) else OSError
    return kind(f"{place}: {reason}")


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read_from, target.open("xb") as write_to:
        shutil.copyfileobj(read_from, write_to, 1 << 20)
        write_to.flush()
        os.fsync(write_to.fileno())
