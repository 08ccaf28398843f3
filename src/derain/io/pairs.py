"""Images in folders, and rainy images with the clean ones that belong to them."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from derain.io.decode import Image8, read_rgb
from derain.io.formats import SUFFIXES, ImageError
from derain.io.gate import inspect_image

Half = Literal["", "left", "right"]


@dataclass(frozen=True)
class Pair:
    """A clean image and, where there is one, its rainy version; both (H, W, 3) uint8."""

    name: str
    clean: Image8
    rainy: Image8 | None = None


@dataclass(frozen=True)
class PairPath:
    """Where a pair lies: a rainy image, a clean one, or both. Nothing is opened until asked for.

    Metrics use it for an image and its reference.
    """

    name: str  # path below the folder, without suffix
    rainy: Path | None = None
    clean: Path | None = None  # equals `rainy` where one file holds both
    clean_half: Half = ""  # of such a file

    @property
    def path(self) -> Path:
        """The rainy image, or where there is none the clean one."""
        path = self.rainy or self.clean
        assert path is not None
        return path

    def read(self) -> Pair:
        """Decode it.

        Raises:
            ImageError: A file cannot be decoded, the two differ in size, or none is clean; names
                it.
        """
        if self.clean is None:
            raise ImageError(f"{self.rainy}: has no clean image")
        clean = read_rgb(self.clean)
        if self.clean_half:
            half = clean.shape[1] // 2
            left, right = clean[:, :half].copy(), clean[:, -half:].copy()
            return Pair(self.name, *((left, right) if self.clean_half == "left" else (right, left)))
        rainy = read_rgb(self.rainy) if self.rainy else None
        if rainy is not None and rainy.shape != clean.shape:
            raise self._other_size(rainy.shape[:2], clean.shape[:2])
        return Pair(self.name, clean, rainy)

    def size(self) -> tuple[int, int]:
        """Height and width of the images, from their headers.

        Raises:
            ImageError: A file is no image, or the two differ in size; names it.
        """
        height, width = inspect_image(self.path).upright_size
        if self.clean_half:
            return height, width // 2
        if self.clean and self.clean != self.path:
            clean = inspect_image(self.clean).upright_size
            if clean != (height, width):
                raise self._other_size((height, width), clean)
        return height, width

    def _other_size(self, rainy: tuple[int, ...], clean: tuple[int, ...]) -> ImageError:
        sizes = [f"{width}x{height}" for height, width in (rainy, clean)]
        return ImageError(f"{self.rainy} is {sizes[0]}, {self.clean} is {sizes[1]}")


def _refuse(problem: str) -> None:
    raise ImageError(problem)


def list_images(
    folder: Path,
    recursive: bool = False,
    on_problem: Callable[[str], None] = _refuse,
    wanted: Callable[[str], bool] | None = None,
) -> list[Path]:
    """The images in a folder, numbers in their order; hidden files are left out.

    Args:
        folder: Where to look.
        recursive: Whether sub-folders count.
        on_problem: Is told of a folder that cannot be read.
        wanted: Which names count; those of images without it.

    Raises:
        ImageError: No such folder, or, without ``on_problem``, one that cannot be read; names it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder")
    wanted = wanted or is_image_name
    found: list[Path] = []

    def tell(error: OSError) -> None:
        on_problem(f"{error.filename}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=tell):
        found += [Path(place, n) for n in names if n[0] != "." and wanted(n)]
        if not recursive:
            break
        folders.sort()
    files = [path for path in found if path.is_file()]
    return sorted(files, key=lambda path: in_order(path.relative_to(folder).as_posix()))


def find_images(place: Path, recursive: bool = False) -> list[Path]:
    """The images of a folder, as ``list_images``, or the one file.

    Raises:
        ImageError: Nothing there, or no image; names it.
    """
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise ImageError(f"{place}: no such file or folder")
    files = list_images(place, recursive)
    if not files:
        raise ImageError(f"{place}: no images in it ({', '.join(SUFFIXES)})")
    return files


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return PurePath(name).suffix.lower() in SUFFIXES


def in_order(name: str) -> list[tuple[int, str]]:
    """A key to sort names by: 2 before 10, numbers by value, the text between them as it is."""
    parts = re.split(r"(\d+)", name)
    return [(int(part[:300]), "") if part.isdecimal() else (-1, part) for part in parts]


def images_by_name(place: Path, recursive: bool = False) -> dict[str, Path]:
    """The images of a folder by their path in it, without suffix; or the one file.

    Raises:
        ImageError: Nothing there, no image, or two of one name; names it.
    """
    root = place.parent if place.is_file() else place
    found: dict[str, Path] = {}
    for path in find_images(place, recursive):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise ImageError(f"{found[name]} and {path} have the same name: which one is meant?")
        found[name] = path
    return found


def _same_name(name: str, known: Mapping[str, Path]) -> Path | None:
    return known.get(name)


def match_folders(
    rainy: Path,
    clean: Path,
    recursive: bool = False,
    find: Callable[[str, Mapping[str, Path]], Path | None] = _same_name,
) -> list[PairPath]:
    """Pair two files, or the images of two folders.

    Args:
        rainy: A file or a folder; for metrics, the images that are measured.
        clean: An image or a folder, like ``rainy``; for metrics, the references.
        recursive: Whether sub-folders count.
        find: The clean image for a rainy one's name, among those in the folder by name.

    Raises:
        ImageError: Nothing there, a file against a folder, an image without a matching one, or two
            images of one name; names what is wrong.
    """
    left, right = images_by_name(rainy, recursive), images_by_name(clean, recursive)
    if rainy.is_file() != clean.is_file():
        raise ImageError(f"{rainy} and {clean}: one is a file, the other a folder")
    if rainy.is_file():
        return [PairPath(rainy.stem, rainy, clean)]  # two files need not share a name
    pairs = [PairPath(name, path, find(name, right)) for name, path in left.items()]
    used = {pair.clean for pair in pairs}
    # A folder around that of the rainy images may hold more than their clean images.
    unused = [] if rainy.is_relative_to(clean) else [p for p in right.values() if p not in used]
    for alone, folder in (([p.path for p in pairs if p.clean is None], clean), (unused, rainy)):
        if alone:
            more = f" ({len(alone) - 1} more like it)" if alone[1:] else ""
            raise ImageError(f"{alone[0]}: no matching image in {folder}{more}")
    return pairs
