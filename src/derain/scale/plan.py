"""What a run over many files does: from where, to where, how, and in which pieces."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from derain.batch import BatchSettings
from derain.batch.jobs import ending_of
from derain.io import places
from derain.io.formats import FORMATS
from derain.restore import Restorer

FILES = 16  # images in a piece of work
MANIFEST = "_derain"  # the folder in the output that holds the manifests of all runs
TAR = ".tar"


@dataclass(frozen=True)
class Plan:
    """A run over many files.

    Attributes:
        source: The folder of images and tar shards, a path or URL.
        out: The folder of results, a path or URL.
        load: Loads the network; called once in each worker, with the worker's number of threads.
        model: The name and hash of the network, which manifests state.
        record: The record of the network, as JSON.
        recursive: Whether folders below ``source`` count.
        resume: Whether to go on with an earlier run.
        tar: Write images into tar shards of so many; None writes each by itself.
        settings: What holds for every image.
        cpus: Cores of a worker.
        gpus: GPUs of a worker; a fraction shares one.
    """

    source: str
    out: str
    load: Callable[[int], Restorer]
    model: str = ""
    record: str = "{}"
    recursive: bool = False
    resume: bool = False
    tar: int | None = None
    settings: BatchSettings = field(default_factory=BatchSettings)
    cpus: int = 1
    gpus: float = 0.0

    def identity(self) -> dict[str, object]:
        """What the results depend on; runs that go on with each other share it."""
        settings = self.settings
        return {
            "source": self.source,
            "model": self.model,
            "format": settings.format,
            "quality": settings.quality,
            "scales": settings.options.scales,
            "strength": settings.options.strength,
            "tar": self.tar,
        }


@dataclass(frozen=True)
class File:
    """A file to restore."""

    name: str  # its path below the source
    size: int  # bytes
    failed_before: bool = False  # whether an earlier run could not do it


@dataclass(frozen=True)
class Shard:
    """A piece of work: some images, one tar shard, or the images of one new tar shard."""

    number: int
    files: tuple[File, ...]
    target: str = ""  # the name of a new tar shard
    fresh: bool = False  # whether no results were there when the run began


def result_name(name: str, format: str | None) -> str:
    """The name of the result of an image; no two images of a folder share one.

    An image that is written in another format keeps its own ending before the new one: a.jpg and
    a.png become a.jpg.webp and a.png.webp.
    """
    if format is None:
        return name
    ending, path = ending_of(format), PurePosixPath(name)
    has_it = FORMATS.get(path.suffix.lower()) == FORMATS[ending]
    # Such a name could be that of another image's result.
    ambiguous = path.suffix == ending and PurePosixPath(path.stem).suffix.lower() in FORMATS
    return name if has_it and not ambiguous else name + ending


def is_ours(plan: Plan, name: str) -> bool:
    """Whether a file below the source is a result or a manifest, where the output lies there."""
    inside = plan.out.rstrip("/") + "/"
    return f"{plan.source.rstrip('/')}/{name}".startswith(inside)


def check(plan: Plan) -> None:
    """What can be said before anything starts.

    Raises:
        ValueError: What cannot be; one line that names it.
        OSError: A place cannot be asked.
    """
    if plan.settings.format and ending_of(plan.settings.format) not in FORMATS:
        known = ", ".join(s.lstrip(".") for s in FORMATS)
        raise ValueError(f"unknown format {plan.settings.format!r}; known: {known}")
    if plan.source.rstrip("/") == plan.out.rstrip("/"):
        raise ValueError(f"{plan.out}: the results would lie among the images; choose another -o")
    if places.kind_of(plan.source) != "folder":
        raise ValueError(f"{plan.source}: no such folder")
