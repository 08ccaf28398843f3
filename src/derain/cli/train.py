"""`derain train`: run a recipe."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from derain.training.loop import Progress


def train(
    recipe: Annotated[
        Path | None, typer.Argument(help="The recipe, such as recipes/mspfn-lite.toml.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="The folder that the recipe's paths are relative to; or its URL, of which the "
            "images that the recipe names are copied to --cache first."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the run to this folder.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a value of the recipe: optimiser.lr=3e-4. May be repeated."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Continue the run in this folder.", metavar="RUN")
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Stop after this time over all parts of the run; the schedule follows."
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float, typer.Option(min=0.0, help="Write a checkpoint every so many minutes.")
    ] = 5.0,
    keep: Annotated[int, typer.Option(min=1, help="Keep this many of the newest checkpoints.")] = 3,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Make crops in this many processes; 0 makes them in the training process."
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Put decoded images that do not fit into memory, and copies of images behind a "
            "URL, into this folder."
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Train on this device.")] = "auto",
    onnx: Annotated[bool, typer.Option(help="Also write the finished weights as .onnx.")] = True,
) -> None:
    """Train a network by a recipe.

    Ctrl-C writes a checkpoint and exits; --resume RUN continues.

    For several GPUs or machines: torchrun --nproc-per-node K -m derain train RECIPE
    """
    from derain.cli.console import note
    from derain.training import loop
    from derain.training.checkpoint import checkpoints
    from derain.training.journal import read_data_root
    from derain.training.recipe import read_recipe
    from derain.training.sources import local_root

    if resume:
        if recipe or out:
            raise ValueError("--resume RUN takes recipe and folder from the run; leave them out")
        run, data = resume, data or str(read_data_root(resume))
        recipe = run / "recipe.toml"
    elif recipe and data and out:
        run = out
    else:
        raise ValueError("name RECIPE, --data and --out to start a run, --resume RUN to go on")
    settings = loop.TrainingSettings(
        device, max_minutes, checkpoint_minutes, keep, workers, cache, onnx
    )
    read = read_recipe(recipe, changes or ())
    root = local_root(read, data, cache)
    how = f"go on with: derain train --resume {run}"
    with shown_progress() as show:
        try:
            weights = loop.train(
                read, root, run, settings, resume=resume is not None, on_step=show,
            )  # fmt: skip
        except loop.Interrupted as stopped:
            note(f"{stopped}; {how}")
            raise typer.Exit(130) from None
        except (loop.TrainingFailed, FloatingPointError, OSError) as error:
            if not checkpoints(run / "checkpoints"):
                raise ValueError(str(error)) from error
            raise ValueError(f"{error}; {how}") from error
    if is_first_process():
        typer.echo(weights)


@contextmanager
def shown_progress() -> Iterator[Callable[["Progress"], None]]:
    """A bar on a terminal, a line every minute elsewhere; nothing but in the first process."""
    import time

    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from derain.cli.console import err, note

    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>4.1f} %"),
        TimeRemainingColumn(), console=err,
        disable=not (err.is_terminal and is_first_process()),
    )  # fmt: skip
    said = time.monotonic()
    with bar:
        task = bar.add_task("reading images", total=1.0)

        def show(p: "Progress") -> None:
            nonlocal said
            psnr = f"{p.psnr:.2f} dB" if p.psnr else "-"
            text = (
                f"step {p.step}  {p.steps_per_second:.2f}/s  waiting {100 * p.waiting:.0f} %  "
                f"loss {p.loss:.4f}  validation {psnr}"
            )
            bar.update(task, completed=p.fraction, description=text)
            if p.remark:
                note(p.remark)
            if not err.is_terminal and time.monotonic() - said > 60:
                said = time.monotonic()
                note(f"{100 * p.fraction:5.1f} %  {text}")

        yield show


def is_first_process() -> bool:
    """Whether this is the one process of ``torchrun`` that talks."""
    return os.environ.get("RANK", "0") == "0"
