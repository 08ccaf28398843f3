"""Restore one image in a process of its own, which it may end without harm to anybody else."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from derain.batch import BatchSettings, restore_data
from derain.io.formats import ImageError
from derain.restore import Restorer


@dataclass(frozen=True)
class Result:
    """A restored image."""

    data: bytes  # the result as a file
    size: tuple[int, int]  # (H, W)
    change: float  # mean absolute difference to the input, in 1/255 of the value range


def restore_here(data: bytes, name: str, restorer: Restorer, settings: BatchSettings) -> Result:
    """Restore the bytes of an image in this process. Raises as `derain.batch.restore_data`."""
    result = restore_data(data, name, restorer, settings, settings.format)
    height, width = result.image.pixels.shape[:2]
    return Result(result.data, (height, width), result.change)


def restore_alone(
    data: bytes, name: str, load: Callable[[int], Restorer], cpus: int, settings: BatchSettings
) -> Result:
    """Restore the bytes of an image in a new process.

    Raises:
        ImageError: The image, or that it ended this process too; names it.
    """
    import ray.cloudpickle

    done = subprocess.run(
        [sys.executable, "-m", "derain.scale.alone"],
        input=ray.cloudpickle.dumps((data, name, load, cpus, settings)),  # pyright: ignore[reportPrivateImportUsage]
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    if done.returncode:
        raise ImageError(f"{name}: ended the process that restored it, twice; it is left out")
    outcome = pickle.loads(done.stdout)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def main() -> None:
    """Read a task from standard input, write the result or the error to standard output."""
    out = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints may mix with the result
    data, name, load, cpus, settings = pickle.load(sys.stdin.buffer)
    try:
        outcome: Result | Exception = restore_here(data, name, load(cpus), settings)
    except Exception as error:
        outcome = ImageError(str(error))
    with os.fdopen(out, "wb") as file:
        pickle.dump(outcome, file)


if __name__ == "__main__":
    # Under its own name, by which the other process knows `Result`.
    from derain.scale.alone import main as run

    run()
