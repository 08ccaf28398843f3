"""Where each public deraining set keeps its files: its names, its folders, its pairs.

Copies of one set differ: JORDER's zip, PReNet's, MSPFN's and MPRNet's all name files their own
way. So a set is known by its folder's name, and its pairs are found by the structures that those
copies use, whichever set it is. Paths only: nothing here opens an image.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from derain.data.public import SETS, PublicSet
from derain.io.pairs import (
    Half,
    PairPath,
    find_images,
    images_by_name,
    list_images,
    match_folders,
)

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

# Folders of nested folders: rainy and clean images, and the file that may list their pairs
_NESTED = ("real_world", "real_world_gt", "real_world.txt")  # SPA-Data's training half
_NESTED_NAMES = (r"(.+)", r"(.+)[-_]\d+", r"(.+?)[-_]\d+(?:[-_]\d+)*")  # clip/014_12 -> clip/014

# Folders of pairs side by side that make up one set together
_DENSITIES = ("Rain_Heavy", "Rain_Medium", "Rain_Light")  # DID-MDN's training half
_DENSITY_FOLDERS = ("train2018new", "train2018", "")

# Where inside its folder a set may begin
_TEST_ROOTS = ("", "test", "testing", "test/small", "rain_heavy_test", "rain_light_test")
_TRAIN_ROOTS = ("", "train", "training")
_DEPTH = 3  # levels below the root that are searched for a set's folder

HINTS = ("clean-left", "clean-right", "real")


@dataclass(frozen=True)
class Found:
    """A set on this machine."""

    name: str  # key of SETS, or the folder's own name
    title: str
    folder: Path
    items: tuple[PairPath, ...]
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


def without_hint(what: str) -> str:
    """The folder that the name of a set means, without ``:clean-left`` and its like."""
    text, colon, hint = what.rpartition(":")
    return text if colon and hint in HINTS else what


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
    text = without_hint(what)
    hint = what[len(text) + 1 :]
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
    folder = folder.absolute()
    name = folder.name.lower()
    if public.training and name in ("train", "training"):  # Rain200H/train, Rain1400/training
        name = f"{folder.parent.name.lower()}train"
    return re.sub(r"[^a-z0-9]", "", name) in public.folders


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
            elif not all(_child(folder, density) for density in _DENSITIES):  # those are one set
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


def _items(folder: Path, public: PublicSet | None, hint: str) -> list[PairPath]:
    asked_half: Half = "left" if hint == "clean-left" else "right" if hint == "clean-right" else ""
    real = hint == "real" or (not hint and public is not None and public.real)
    roots = _TRAIN_ROOTS if public and public.training else _TEST_ROOTS
    for place in [p for root in roots if (p := _child(folder, root))]:
        rainy = _with_images(place, _RAINY)
        if rainy and real:
            return _real(rainy)
        if rainy and not asked_half and (clean := _with_images(place, _CLEAN)):
            return match_folders(rainy, clean, find=_clean_of)
        if items := _nested(place) or _by_density(place, asked_half or "right"):
            return items
        if not list_images(place):
            continue
        if real:
            return _real(place)
        if not asked_half and (items := _pairs_in_one_folder(place)):
            return items
        if half := asked_half or (public.clean_half if public else ""):
            return [PairPath(n, path, path, half) for n, path in images_by_name(place).items()]
        if public is None:
            return _real(place)
    raise ValueError(
        f"{folder}: no pairs in it; looked for folders of rainy images ({', '.join(_RAINY)}) "
        f"beside folders of clean ones ({', '.join(_CLEAN[:-1])}); pairs side by side in one file "
        "need :clean-left or :clean-right after the folder's name"
    )


def _with_images(place: Path, names: Sequence[str]) -> Path | None:
    """The first of some folders that is there and holds images."""
    return next((f for name in names if (f := _child(place, name)) and list_images(f)), None)


def _clean_of(name: str, known: Mapping[str, Path], but: str = "") -> Path | None:
    """The clean image for a rainy one's name, as the copies of the sets name them."""
    for pattern, replacement in _CLEAN_NAMES:
        if match := re.fullmatch(pattern, name):
            candidate = match.expand(replacement)
            if candidate in known and candidate != but:
                return known[candidate]
    return None


def _nested(place: Path) -> list[PairPath]:
    """SPA-Data's pairs, by the list beside them or by the names of their files; often none."""
    rainy, clean = (_child(place, name) for name in _NESTED[:2])
    if rainy is None or clean is None:
        return []
    listed = place / _NESTED[2]
    if listed.is_file():
        lines = [line.split() for line in listed.read_text(encoding="utf-8").splitlines()]
        pairs = [[place / part.lstrip("/.") for part in line] for line in lines if len(line) == 2]
        return [PairPath(a.relative_to(rainy).with_suffix("").as_posix(), a, b) for a, b in pairs]
    return match_folders(rainy, clean, recursive=True, find=_nested_clean_of)


def _nested_clean_of(name: str, known: Mapping[str, Path]) -> Path | None:
    """The clean frame of a clip for a rainy frame's name."""
    for pattern in _NESTED_NAMES:
        if match := re.fullmatch(pattern, name):
            for candidate in (match[1], f"{match[1]}gt", f"{match[1]}_gt"):
                if candidate in known:
                    return known[candidate]
    return None


def _by_density(place: Path, half: Half) -> list[PairPath]:
    """The pairs of three folders, each named after its rain; often none."""
    pairs: list[PairPath] = []
    for density in _DENSITIES:
        names = (f"{density}/{inner}" for inner in _DENSITY_FOLDERS)
        folder = _with_images(place, [*names])
        if folder is None:
            return []
        images = images_by_name(folder).items()
        pairs += [PairPath(f"{density}/{name}", path, path, half) for name, path in images]
    return pairs


def _real(folder: Path) -> list[PairPath]:
    return [PairPath(name, path) for name, path in images_by_name(folder).items()]


def _pairs_in_one_folder(folder: Path) -> list[PairPath]:
    """Pairs such as 001_in and 001_GT, or rain-1 and norain-1; empty if there are none."""
    images = images_by_name(folder)
    found = [PairPath(n, path, _clean_of(n, images, but=n)) for n, path in images.items()]
    return [pair for pair in found if pair.clean]


# Training lists its pairs in the order of plain sorting: which of them are used for validation
# depends on it.


def list_clean(folder: Path) -> list[PairPath]:
    """Clean images without a rainy version."""
    return [PairPath(path.name, clean=path) for path in sorted(find_images(folder))]


def list_side_by_side(folder: Path, half: Half = "left") -> list[PairPath]:
    """Pairs stored as one image each, by default left half clean, right half rainy (Rain800)."""
    return [PairPath(path.stem, path, path, half) for path in sorted(find_images(folder))]


def list_folders(folder: Path) -> list[PairPath]:
    """Pairs stored as ``rainy/NAME`` and ``clean/NAME``, paired by name without suffix."""
    return sorted(match_folders(folder / "rainy", folder / "clean"), key=lambda pair: pair.name)
