"""The files of a run in pieces, one after the other; no more than a piece is held."""

import hashlib
import itertools
from collections.abc import Callable, Iterator

from derain.batch.jobs import is_hidden
from derain.io import places
from derain.io.pairs import is_image_name
from derain.scale import manifest
from derain.scale.plan import FILES, MANIFEST, TAR, File, Plan, Shard, is_ours


def files(plan: Plan) -> Iterator[places.Found]:
    """The images and tar shards of a run. Raises OSError if a folder cannot be listed."""
    for found in places.list_files(plan.source, plan.recursive):
        wanted = is_image_name(found.name) or found.name.lower().endswith(TAR)
        if wanted and not is_hidden(found.name) and not is_ours(plan, found.name):
            yield found


def shards(plan: Plan, wait: Callable[[int], None] = lambda number: None) -> Iterator[Shard]:
    """The pieces of a run.

    Args:
        plan: The run.
        wait: Called with the number of each piece before it is made; it may take its time.
    """
    failed = manifest.failed_before(plan.out) if plan.resume else set()
    fresh = is_empty(plan.out)
    size = plan.tar or FILES
    group: list[File] = []
    numbers = itertools.count()

    def made(group: list[File], target: str = "") -> Shard:
        number = next(numbers)
        wait(number)
        return Shard(number, tuple(group), target, fresh)

    tars = itertools.count()
    for found in files(plan):
        file = File(found.name, found.size, found.name in failed)
        if found.name.lower().endswith(TAR):
            yield made([file])
            continue
        group.append(file)
        if len(group) == size:
            yield made(group, tar_name(next(tars), group) if plan.tar else "")
            group = []
    if group:
        yield made(group, tar_name(next(tars), group) if plan.tar else "")


def tar_name(number: int, group: list[File]) -> str:
    """The name of a new tar shard: other images give another name."""
    names = "\0".join(file.name for file in group)
    return f"images-{number:06d}-{hashlib.sha256(names.encode()).hexdigest()[:8]}{TAR}"


def is_empty(out: str) -> bool:
    """Whether a folder holds no results yet."""
    if places.kind_of(out) is None:
        return True
    found = places.list_files(out, recursive=True)
    return all(file.name.startswith(f"{MANIFEST}/") for file in found)
