"""`derain study`: a paper's table by one command."""

import datetime
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def study(
    study: Annotated[Path, typer.Argument(help="The study, such as studies/mspfn-table3.toml.")],
    data: Annotated[Path, typer.Option(help="The folder that the recipe's paths are relative to.")],
    out: Annotated[Path, typer.Option(help="Write the runs and the tables to this folder.")],
    test: Annotated[
        Path | None,
        typer.Option(help="The folder that holds the sets to measure on. The default is --data."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="Change this recipe in every row, not the study's own; the title says so."
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value of every row's recipe: data.batch=4. The title says so. May be "
            "repeated.",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Train each row for this time, the schedule follows; the title says so."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each row so often.")] = 1,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--rows",
            help="Train this row alone, by its name in the study. May be repeated. The table has "
            "every row that is trained.",
        ),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="SET",
            help="Measure on this set, as `derain evaluate --set` takes it, not on the study's. "
            "May be repeated.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Measure only the first images of every set.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Make crops in this many processes.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Train on this device.")] = "auto",
) -> None:
    """Train the rows of a paper's table and write the table.

    The same command continues a study that was stopped. For several GPUs, row by row:
    torchrun --nproc-per-node K -m derain study STUDY
    """
    import derain
    from derain.cli.console import note, progress
    from derain.cli.train import is_first_process, shown_progress
    from derain.study.page import FILES
    from derain.study.pipeline import run_study
    from derain.study.run import StudySettings
    from derain.study.table import markdown
    from derain.training.settings import Interrupted, TrainingSettings

    training = TrainingSettings(
        device, max_minutes, workers=workers, cache=out / "cache", onnx=False
    )
    settings = StudySettings(
        recipe, tuple(changes or ()), tuple(rows or ()), seeds, tuple(on or ()), limit, training
    )
    about = {
        "derain": derain.__version__,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "command": shlex.join(["derain", *sys.argv[1:]]),
    }
    main = is_first_process()
    with shown_progress() as show, progress() as show_images:
        try:
            table = run_study(
                study, data, test or data, out, settings, is_main=main, about=about,
                on_job=lambda job: note(f"training {job.row.name}, seed {job.seed}"),
                on_step=show, note=note, progress=show_images,
            )  # fmt: skip
        except Interrupted as stopped:
            note(f"{stopped}; the same command goes on")
            raise typer.Exit(130) from None
    if table:
        typer.echo(markdown(table))
        note(f"{out}: {', '.join(FILES)}")
