"""Copies on this machine of images behind URLs, for what reads them many times."""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from derain.io import places
from derain.io.download import download
from derain.io.formats import ImageError, one_line
from derain.io.pairs import is_image_name


@contextmanager
def local_copy(place: str) -> Iterator[Path]:
    """A path with the images of a place: itself, or a copy that is gone afterwards.

    Args:
        place: A path, or the URL of an image or a folder; all folders in it are copied too.

    An error that names the copy is told with the place instead, which is what the user knows.

    Raises:
        ImageError: It cannot be read; names it.
    """
    if path := places.local_path(place):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="derain-") as folder:
        copy = Path(folder, PurePosixPath(place).name or "images")
        try:
            _fill(place, copy)
        except OSError as error:
            raise ImageError(one_line(error)) from None
        try:
            yield copy
        except ValueError as error:
            if (said := str(error)) == (told := said.replace(str(copy), place.rstrip("/"))):
                raise
            raise ImageError(told) from error


def _fill(place: str, copy: Path) -> None:
    if places.is_web(place):
        copy.write_bytes(download(place))
    elif places.kind_of(place) == "file":
        places.fetch(place, copy)
    else:
        _fetch_missing(place, copy)


def mirror(place: str, folder: Path, parts: Sequence[str] = ("",)) -> Path:
    """A folder with the images of a place: itself, or a copy that stays on this machine.

    What a copy has in the right size is not fetched again, so one that was stopped goes on, and
    several processes may make one at the same time.

    Args:
        place: A path, or the URL of a folder; all folders in it are copied too.
        folder: Holds copies, each in a folder of its own.
        parts: The folders below the place that are copied; an empty name is the place itself.

    Raises:
        ImageError: It cannot be read, or has no images; names it.
        ValueError: A part, or the name of an image, leads out of the place.
    """
    if path := places.local_path(place):
        return path
    place = place.rstrip("/")
    key = hashlib.sha256(place.encode()).hexdigest()[:16]
    copy = folder / key / (PurePosixPath(place).name or "images")
    try:
        for part in parts:
            _fetch_missing(places.below(place, part) if part else place, copy / part)
    except OSError as error:
        raise ImageError(one_line(error)) from None
    return copy


def _fetch_missing(place: str, copy: Path) -> None:
    images = 0
    for found in places.list_files(place, recursive=True):
        if not is_image_name(found.name):
            continue
        images += 1
        source = places.below(place, found.name)  # which refuses names that lead out
        target = copy / found.name
        if target.is_file() and target.stat().st_size == found.size:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            places.fetch(source, partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    if not images:
        raise FileNotFoundError(f"{place}: no images there")
