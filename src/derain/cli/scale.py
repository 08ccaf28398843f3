"""`derain restore --ray`: what the command does where Ray runs it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from derain.batch import BatchSettings
    from derain.scale import Progress, Row

NAMED = 20  # failures that the terminal shows; the manifest has all


def restore_with_ray(
    inputs: Sequence[str],
    out: str | None,
    address: str,
    settings: "BatchSettings",
    *,
    model: tuple[str, str, str, str, str | None],
    recursive: bool,
    resume: bool,
    tar: int | None,
    cpus: int,
    gpus: float,
    refused: dict[str, bool],
) -> NoReturn:
    """Restore a folder with Ray; arguments as of the command.

    Args:
        inputs: One folder.
        out: The folder of the results.
        address: ``local``, ``auto`` or the address of a cluster.
        settings: What holds for every image.
        model: Model, device, engine, precision and memory.
        recursive: As of the command.
        resume: As of the command.
        tar: As of the command.
        cpus: Cores of a worker.
        gpus: GPUs of a worker.
        refused: Options that do not apply -> whether they were given.

    Raises:
        ValueError: What cannot be; one line.
    """
    from derain import scale
    from derain.cli.console import note, run_progress
    from derain.scale.loader import Loader

    if given := [option for option, was_given in refused.items() if was_given]:
        raise ValueError(f"{given[0]} does not apply with --ray")
    if len(inputs) != 1 or out in (None, "-"):
        raise ValueError("--ray takes one folder of images, and -o for that of the results")
    loader = Loader.of(*model)
    record, identity = "{}", loader.model
    if not gpus:  # else it may run only where the workers are
        restorer = loader(1)
        restorer.tile_for(1, 1, settings.options.tile)
        restorer.scales_for(1, 1, settings.options.scales)
        record = restorer.record.to_json()
        identity = f"{restorer.record.name} ({restorer.engine.name}, {restorer.engine.precision})"
        del restorer
    plan = scale.Plan(
        inputs[0], str(out), loader, identity, record, recursive, resume, tar, settings, cpus, gpus
    )
    note(f"{identity} on Ray ({address}), each worker with cores: {cpus}, GPUs: {gpus:g}")
    shown = 0
    with run_progress() as show:

        def told(rows: "list[Row]", progress: "Progress") -> None:
            nonlocal shown
            for row in rows:
                if row.status == "failed" and shown < NAMED:
                    shown += 1
                    note(f"error: {row.reason}")
            show(progress.finished, progress.failed, progress.total)

        try:
            done = scale.restore(plan, None if address == "local" else address, told)
        except KeyboardInterrupt:
            note("stopped; what is finished is kept, --resume goes on from here")
            raise typer.Exit(130) from None
    counts = {"restored": done.done, "skipped": done.skipped, "failed": done.failed}
    note(", ".join(f"{n} {status}" for status, n in counts.items() if n) or "no images")
    if done.failed > shown:
        note(f"{done.failed - shown} more failures are named in {out}/_derain")
    raise typer.Exit(1 if done.failed or not done.finished else 0)
