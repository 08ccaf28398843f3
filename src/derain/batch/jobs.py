"""Which images and clips are meant, and where each result goes."""

import glob
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from derain.io.clips import is_animation, is_clip, is_clip_name
from derain.io.formats import ANIMATED, FORMATS
from derain.io.pairs import is_image_name, list_images

SUFFIX = "_derained"
PIPE = "-"


@dataclass(frozen=True)
class Job:
    """One image or clip to restore."""

    source: str  # a path, a URL or "-"
    target: Path | None  # None: standard output
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


def is_url(source: str) -> bool:
    """Whether a source is an http(s) address."""
    return source.startswith(("http://", "https://"))


def expand_inputs(
    inputs: Sequence[str], recursive: bool = False
) -> Iterator[tuple[str, Path | None, str]]:
    """Expand files, folders, globs, URLs and "-".

    Yields:
        The source, the folder it was found in, and what is wrong with it, if anything is.
    """
    for entry in inputs:
        path = Path(entry)
        # Unlike Path's methods these say False to names that the system does not allow.
        is_file, is_folder = os.path.isfile(entry), os.path.isdir(entry)  # noqa: PTH112, PTH113
        if entry == PIPE or is_url(entry) or is_file:
            yield entry, None, ""
        elif is_folder:
            problems: list[str] = []
            found = sorted(list_images(path, recursive, problems.append, is_restored_name))
            yield from ((str(f), path, "") for f in found)
            yield from ((entry, None, problem) for problem in problems)
            if not found and not problems:
                deeper = "" if recursive else "; --recursive looks into its folders"
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
    taken: dict[Path | None, str] = {}
    for source, root, problem in found:
        is_file = not problem and source != PIPE and not is_url(source)
        animated = is_file and is_animation(Path(source))
        clip = animated or (is_file and is_clip(Path(source)))
        if clip and out == PIPE:
            problem = f"{source}: moves, and so goes to a file, not to standard output"
        if out == PIPE or (beside and source == PIPE):
            target = None
        elif into_file:
            target = Path(str(out))
        else:
            name = Path(source_name(source))
            ending = name.suffix
            if format and (not clip or (animated and FORMATS[ending_of(format)] in ANIMATED)):
                ending = ending_of(format)
            target = folder_for(source, root, out) / f"{name.stem}{suffix}{ending}"
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


def is_result(source: str, root: Path, out: str | None, suffix: str) -> bool:
    """Whether an image found in the folder ``root`` is the result of an earlier run."""
    if out is None:
        return suffix != "" and Path(source).stem.endswith(suffix)
    inside = Path(out).resolve()
    return inside != root.resolve() and Path(source).resolve().is_relative_to(inside)


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


def folder_for(source: str, root: Path | None, out: str | None) -> Path:
    """Beside the source, or under ``out`` where the source lies under ``root``."""
    if out is None:
        return Path() if is_url(source) else Path(source).parent
    return Path(out) / (Path(source).parent.relative_to(root) if root else Path())


def source_name(source: str) -> str:
    """The file name of a path or URL."""
    if source == PIPE:
        return "image.png"
    if is_url(source):
        return Path(urllib.parse.unquote(urllib.parse.urlparse(source).path)).name or "image.jpg"
    return Path(source).name
