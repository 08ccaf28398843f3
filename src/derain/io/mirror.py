"""Copies on this machine of images behind URLs, for what reads them many times."""

import tempfile
from collections.abc import Iterator
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
        yield copy


def _fill(place: str, copy: Path) -> None:
    if places.is_web(place):
        copy.write_bytes(download(place))
    elif places.kind_of(place) == "file":
        places.fetch(place, copy)
    else:
        copy.mkdir()
        for found in places.list_files(place, recursive=True):
            if is_image_name(found.name):
                source = places.below(place, found.name)  # which refuses names that lead out
                target = copy / found.name
                target.parent.mkdir(parents=True, exist_ok=True)
                places.fetch(source, target)
