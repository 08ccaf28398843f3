"""Which images and clips are meant, and where each result goes."""

import glob
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from derain.io import places
from derain.io.clips import is_animation, is_clip, is_clip_name
from derain.io.formats import ANIMATED, FORMATS, one_line
from derain.io.pairs import is_image_name, list_images
from derain.io.places import is_url, is_web

SUFFIX = "_derained"
RAIN = "_rain"  # ends the name of a rain layer, after the name of its result
PIPE = "-"


@dataclass(frozen=True)
class Job:
    """One image or clip to restore."""

    source: str  # a path, a URL or "-"
    target: Path | str | None  # a path; a URL as text; None: standard output
    clip: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    job: Job
    status: str  # "restored", "incomplete", "skipped", "stopped" or "failed"
    seconds: float = 0.0
    size: tuple[int, int] | None = None  # (H, W)
    change: float = 0.0  # mean absolute difference to the input, in 1/255 of the value range
    message: str = ""  # why it failed, or what is missing in it
    frames: int = 1


def expand_inputs(
    inputs: Sequence[str], recursive: bool = False
) -> Iterator[tuple[str, str | None, str]]:
    """Expand files, folders, globs, URLs and "-".

    Yields:
        The source, the folder it was found in, and what is wrong with it, if anything is.
    """
    deeper = "" if recursive else "; --recursive looks into its folders"
    for entry in inputs:
        if is_url(entry) and not is_web(entry):
            yield from _expand_url(entry, recursive, deeper)
            continue
        path = Path(entry)
        # Unlike Path's methods these say False to names that the system does not allow.
        is_file, is_folder = os.path.isfile(entry), os.path.isdir(entry)  # noqa: PTH112, PTH113
        if entry == PIPE or is_web(entry) or is_file:
            yield entry, None, ""
        elif is_folder:
            problems: list[str] = []
            found = sorted(list_images(path, recursive, problems.append, is_restored_name))
            yield from ((str(f), entry, "") for f in found)
            yield from ((entry, None, problem) for problem in problems)
            if not found and not problems:
                yield entry, None, f"{entry}: no images or clips in this folder{deeper}"
        elif glob.has_magic(entry):
            # Path.glob takes no absolute pattern.
            found = glob.glob(entry, recursive=True)  # noqa: PTH207
            matches = sorted(match for match in found if Path(match).is_file())
            yield from ((match, None, "") for match in matches)
            if not matches:
                yield entry, None, f"{entry}: nothing matches"
        else:
            yield entry, None, f"{entry or repr(entry)}: no such file or folder"


def _expand_url(place: str, recursive: bool, deeper: str) -> Iterator[tuple[str, str | None, str]]:
    try:
        kind = places.kind_of(place)
        if kind == "file":
            yield place, None, ""
        elif kind == "folder":
            found = False
            for file in places.list_files(place, recursive):
                if is_image_name(file.name) and not is_hidden(file.name):
                    found = True
                    inside = places.is_inside(file.name)
                    url = f"{place.rstrip('/')}/{file.name}"
                    yield url, place, "" if inside else f"{url}: its name leads out of the folder"
            if not found:
                yield place, None, f"{place}: no images in this folder{deeper}"
        else:
            yield place, None, f"{place}: no such file or folder"
    except OSError as error:
        yield place, None, one_line(error)


def is_hidden(name: str) -> bool:
    """Whether a file's name says that it is not meant to be seen."""
    return name.rpartition("/")[2].startswith(".")


def plan(
    inputs: Sequence[str],
    out: str | None = None,
    *,
    recursive: bool = False,
    suffix: str | None = None,
    format: str | None = None,
) -> tuple[list[Job], list[Outcome]]:
    """Decide where each result goes.

    Without ``out`` a result lies beside its image under NAME_derained; in a folder ``out`` it
    keeps its name, and its place in the tree that it came from. ``out`` is a file if there is one
    image and it ends like one.

    Returns:
        The jobs, and what cannot be done, as failed outcomes.

    Raises:
        ValueError: An unknown format.
    """
    if format and ending_of(format) not in FORMATS:
        known = ", ".join(s.lstrip(".") for s in FORMATS)
        raise ValueError(f"unknown format {format!r}; known: {known}")
    beside = out is None
    suffix = suffix if suffix is not None else (SUFFIX if beside else "")
    found = list(dict.fromkeys(expand_inputs(inputs, recursive)))
    found = [f for f in found if f[1] is None or not is_result(f[0], f[1], out, suffix)]
    into_file = out is not None and len(found) == 1 and found[0][1] is None and is_file_name(out)
    jobs: list[Job] = []
    failed: list[Outcome] = []
    taken: dict[Path | str | None, str] = {}
    for source, root, problem in found:
        is_file = not problem and source != PIPE and not is_url(source)
        animated = is_file and is_animation(Path(source))
        clip = animated or (is_file and is_clip(Path(source)))
        if out and is_web(out):
            problem = f"{out}: an address of the web cannot be written to"
        elif clip and out and is_url(out):
            problem = f"{source}: clips are written to files of this machine"
        elif is_url(source) and is_clip_name(source):
            problem = f"{source}: clips are read from files of this machine; copy it first"
        if clip and out == PIPE:
            problem = f"{source}: moves, and so goes to a file, not to standard output"
        if out == PIPE or (beside and source == PIPE):
            target = None
        elif into_file:
            target = out if is_url(str(out)) else Path(str(out))
        else:
            name = Path(source_name(source))
            ending = name.suffix
            if format and (not clip or (animated and FORMATS[ending_of(format)] in ANIMATED)):
                ending = ending_of(format)
            folder, name = folder_for(source, root, out), f"{name.stem}{suffix}{ending}"
            target = folder / name if isinstance(folder, Path) else f"{folder}/{name}"
        if not problem and target in taken:
            place = target or "standard output"
            problem = f"{source}: {taken[target]} becomes {place} too; choose another -o for one"
        job = Job(source, target, clip)
        if problem:
            failed.append(Outcome(job, "failed", message=problem))
        else:
            taken[target] = source
            jobs.append(job)
    return jobs, failed


def is_result(source: str, root: str, out: str | None, suffix: str) -> bool:
    """Whether an image found in the folder ``root`` is the result of an earlier run."""
    if out is None:
        return suffix != "" and Path(source).stem.removesuffix(RAIN).endswith(suffix)
    if is_url(source) or is_url(out):
        inside = out.rstrip("/")
        return inside != root.rstrip("/") and source.startswith(f"{inside}/")
    inside = Path(out).resolve()
    return inside != Path(root).resolve() and Path(source).resolve().is_relative_to(inside)


def rain_target(job: Job) -> Path | str:
    """Where the rain layer of an image goes: beside its result.

    Raises:
        ValueError: There is no place for it, or a clip has none; one line that names it.
    """
    if job.clip:
        raise ValueError(
            f"{job.source}: a clip has no rain layer; leave out --rain-layer, which is for images"
        )
    if job.target is None:
        raise ValueError(
            f"{job.source}: its rain layer goes beside the result; name a file with -o"
        )
    name = Path(job.target).name
    layer = Path(name).with_stem(Path(name).stem + RAIN).name
    if isinstance(job.target, str):
        return job.target.removesuffix(name) + layer
    return job.target.with_name(layer)


def is_restored_name(name: str) -> bool:
    """Whether a folder's file of that name is restored: an image's or a clip's."""
    return is_image_name(name) or is_clip_name(name)


def ending_of(format: str) -> str:
    """The suffix for a format as people write it: JPG, jpg or .jpg gives .jpg."""
    return f".{format.lower().lstrip('.')}"


def is_file_name(out: str) -> bool:
    """Whether ``-o`` names an image or a clip rather than a folder."""
    known = Path(out).suffix.lower() in FORMATS or is_clip_name(out)
    return known and not Path(out).is_dir()


def folder_for(source: str, root: str | None, out: str | None) -> Path | str:
    """Beside the source, or under ``out`` where the source lies under ``root``; URLs as text."""
    remote = is_url(source) and not is_web(source)
    if out is None:
        if remote:
            return source.rpartition("/")[0]
        return Path() if is_url(source) else Path(source).parent
    if not root:
        inside = ""
    elif remote:
        inside = source[len(root.rstrip("/")) + 1 :].rpartition("/")[0]
    else:
        inside = Path(source).parent.relative_to(root).as_posix()
    if is_url(out):
        return "/".join(part for part in (out.rstrip("/"), inside) if part not in ("", "."))
    return Path(out) / inside


def source_name(source: str) -> str:
    """The file name of a path or URL."""
    if source == PIPE:
        return "image.png"
    if is_web(source):
        return Path(urllib.parse.unquote(urllib.parse.urlparse(source).path)).name or "image.jpg"
    return Path(source).name
