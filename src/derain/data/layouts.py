"""Where each public deraining set keeps its files: its names, its folders, its pairs.

Copies of one set differ: JORDER's zip, PReNet's, MSPFN's and MPRNet's all name files their own
way. So a set is known by its folder's name, and its pairs are found by the structures that those
copies use, whichever set it is. Paths only: nothing here opens an image.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from derain.data.public import SETS, PublicSet

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")

# Folders of rainy and of clean images; "." is the set's own folder (PReNet's Rain100H)
_RAINY = (
    "rain/X2", "rainy", "rainy_image", "input", "rain", "inputcrop", "rainysamples", "real_input",
    "data",
)  # fmt: skip
_CLEAN = (
    "clean", "target", "gt", "norain", "ground_truth", "groundtruth", "label", "cleancrop",
    "cleansamples", ".",
)  # fmt: skip

# A rainy image's name -> the clean one's; the first that is there is taken
_CLEAN_NAMES = (
    (r"(.+)", r"\1"),  # 12, 12: MSPFN, MPRNet, DRSformer
    (r"rain-(\d+)", r"norain-\1"),  # JORDER's and PReNet's Rain100 and Rain800
    (r"(norain-\d+)x2", r"\1"),  # Rain200 as its authors zip it
    (r"(\d+)_\d+", r"\1"),  # 901_1 .. 901_14, 901: Rain1400
    (r"(\d+)", r"\1gt"),  # SPA-Data
    (r"(.+)_in", r"\1_GT"),  # Rain12
)

# Where inside its folder a set may begin
_TEST_ROOTS = ("", "test", "testing", "test/small", "rain_heavy_test", "rain_light_test")
_TRAIN_ROOTS = ("", "train", "training")
_DEPTH = 3  # levels below the root that are searched for a set's folder

HINTS = ("clean-left", "clean-right", "real")


@dataclass(frozen=True)
class Item:
    """One rainy image and its clean one, if there is one."""

    name: str  # path below the set's rainy folder, without suffix
    rainy: Path
    clean: Path | None = None  # equals `rainy` where one file holds both
    clean_half: str = ""  # then "left" or "right"


@dataclass(frozen=True)
class Found:
    """A set on this machine."""

    name: str  # key of SETS, or the folder's own name
    title: str
    folder: Path
    items: tuple[Item, ...]
    public: PublicSet | None = None
    total: int = 0  # how many there are where only the first are meant; else 0

    @property
    def has_truth(self) -> bool:
        """Whether there are clean images to compare with."""
        return self.items[0].clean is not None

    def first(self, count: int | None) -> "Found":
        """The set cut to its first images; None leaves it whole."""
        if count is None or count >= len(self.items):
            return self
        return replace(self, items=self.items[:count], total=len(self.items))


def find_set(root: Path, what: str) -> Found:
    """Find a set below a folder.

    Args:
        root: Holds sets, in folders of their usual names, or is the folder of one.
        what: A key of ``SETS``, or a folder below ``root``. Ends in ``:clean-left`` or
            ``:clean-right`` where each file holds a pair side by side, in ``:real`` where there
            is no ground truth.

    Raises:
        ValueError: Unknown or absent set, no images, or an image without a matching one; says what
            is looked for.
    """
    text, colon, hint = what.rpartition(":")
    if not colon or hint not in HINTS:
        text, hint = what, ""
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    folder = root / text
    public = SETS.get(text.lower()) or next((s for s in SETS.values() if _is(folder, s)), None)
    if not folder.is_dir():
        if public is None:
            known = ", ".join(SETS)
            raise ValueError(f"unknown set {text!r}; known: {known}; or a folder below {root}")
        folder = _locate(root, public)
    items = tuple(_items(folder, public, hint))
    if public:
        return Found(public.name, public.title, folder, items, public)
    own = folder.absolute().name
    return Found(own, own, folder, items)


def find_sets(root: Path) -> tuple[list[Found], list[str]]:
    """Find every public set below a folder.

    Returns:
        The sets, in the order of ``SETS``; and what is wrong with those that cannot be used.

    Raises:
        ValueError: No such folder.
    """
    found: list[Found] = []
    problems: list[str] = []
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    for public in SETS.values():
        for folder in _places(root, public):
            try:
                items = tuple(_items(folder, public, ""))
                found.append(Found(public.name, public.title, folder, items, public))
            except ValueError as error:
                problems.append(f"{public.title}: {error}")
    return found, problems


def _is(folder: Path, public: PublicSet) -> bool:
    return re.sub(r"[^a-z0-9]", "", folder.absolute().name.lower()) in public.folders


def _locate(root: Path, public: PublicSet) -> Path:
    places = list(_places(root, public))
    if not places:
        names = ", ".join(public.folders)
        raise ValueError(f"{root}: no {public.title} in it (a folder named like {names})")
    if len(places) > 1:
        both = " and ".join(str(place.relative_to(root)) for place in places[:2])
        raise ValueError(f"{root}: {public.title} is there twice, {both}; name the folder instead")
    return places[0]


def _places(root: Path, public: PublicSet) -> Iterator[Path]:
    """Folders named like a set, down to some depth; never one inside another."""
    other = "test" if public.training else "train"
    level = [root]
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            if _is(folder, public):
                yield folder
            else:
                below += [f for f in _folders(folder) if not f.name.lower().startswith(other)]
        level = below


def _folders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.name[0] != "." and f.is_dir())


def _child(folder: Path, path: str) -> Path | None:
    """A folder below another, whatever its capitals; None if it is not there."""
    for part in [p for p in path.split("/") if p not in ("", ".")]:
        match = next((f for f in _folders(folder) if f.name.lower() == part.lower()), None)
        if match is None:
            return None
        folder = match
    return folder


def _images(folder: Path) -> dict[str, Path]:
    """The images directly in a folder, by name without suffix, numbers in their order."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.name[0] != "."]
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda f: _in_order(f.stem)):
        if path.stem in found:
            raise ValueError(f"{found[path.stem]} and {path.name}: which of the two is meant?")
        found[path.stem] = path
    return found


def _in_order(name: str) -> list[tuple[int, str]]:
    # 2 before 10: numbers by value, the text between them as it is
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _items(folder: Path, public: PublicSet | None, hint: str) -> list[Item]:
    asked_half = hint.removeprefix("clean-") if hint.startswith("clean-") else ""
    real = hint == "real" or (not hint and public is not None and public.real)
    roots = _TRAIN_ROOTS if public and public.training else _TEST_ROOTS
    for place in [p for root in roots if (p := _child(folder, root))]:
        rainy = next((f for name in _RAINY if (f := _child(place, name)) and _images(f)), None)
        if rainy and real:
            return _real(_images(rainy))
        if rainy and not asked_half:
            clean = [f for name in _CLEAN if (f := _child(place, name)) and _images(f)]
            if clean:
                return _pairs(rainy, clean[0])
        images = _images(place)
        if images and real:
            return _real(images)
        if images and not asked_half and (items := _pairs_in_one_folder(images)):
            return items
        half = asked_half or (public.clean_half if public else "")
        if images and half:
            return [Item(name, path, path, half) for name, path in images.items()]
        if images and public is None:
            return _real(images)
    raise ValueError(
        f"{folder}: no pairs in it; looked for folders of rainy images ({', '.join(_RAINY)}) "
        f"beside folders of clean ones ({', '.join(_CLEAN[:-1])}); pairs side by side in one file "
        "need :clean-left or :clean-right after the folder's name"
    )


def _real(images: dict[str, Path]) -> list[Item]:
    return [Item(name, path) for name, path in images.items()]


def _match(name: str, clean: dict[str, Path], but: str = "") -> Path | None:
    for pattern, replacement in _CLEAN_NAMES:
        if match := re.fullmatch(pattern, name):
            candidate = match.expand(replacement)
            if candidate in clean and candidate != but:
                return clean[candidate]
    return None


def _pairs(rainy: Path, clean: Path) -> list[Item]:
    known = _images(clean)
    items = [Item(name, path, _match(name, known)) for name, path in _images(rainy).items()]
    used = {item.clean for item in items}
    # A folder around that of the rainy images may hold more than their clean images
    unused = [] if rainy.is_relative_to(clean) else [p for p in known.values() if p not in used]
    missing = [item.rainy for item in items if item.clean is None]
    for alone, kind, folder in ((missing, "clean", clean), (unused, "rainy", rainy)):
        if alone:
            more = f" ({len(alone) - 1} more like it)" if alone[1:] else ""
            raise ValueError(f"{alone[0]}: no matching {kind} image in {folder}{more}")
    return items


def _pairs_in_one_folder(images: dict[str, Path]) -> list[Item]:
    """Pairs such as 001_in and 001_GT, or rain-1 and norain-1; empty if there are none."""
    matches = {name: _match(name, images, but=name) for name in images}
    return [Item(name, images[name], clean) for name, clean in matches.items() if clean]
