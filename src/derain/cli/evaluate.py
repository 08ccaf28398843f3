"""`derain evaluate`: networks on public sets, beside the published figures."""

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from derain.weights.catalog import DEFAULT


def evaluate(
    data: Annotated[
        str,
        typer.Option(
            help="The folder that holds the sets, or is one; or its URL, whose images are copied "
            "into the cache of --out first."
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Evaluate on this set: a name of `derain data list`, or a folder below --data, "
            "followed by :clean-left, :clean-right or :real where needed. May be repeated. The "
            "default is every test set that is found.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Evaluate this model: a name of `derain models`, an .onnx, .xml or .safetensors "
            "file, an authors' .pth file, or the word published. May be repeated. The default "
            "is the default model and published."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            metavar="METRIC",
            help="Measure this metric; may be repeated. The default is DEFAULT_METRICS_OF_SETS.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(metavar="PROTOCOL", help="Measure PSNR and SSIM by this protocol."),
    ] = "y",
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", help="Write the report, the tables and the cache to this folder."
        ),
    ] = Path("evaluation"),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take only the first images of every set.")
    ] = None,
    blind: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="COUNT",
            help="Also write blind.html, a page on which one judges so many photographs without "
            "ground truth by eye, while the names of the models are hidden.",
        ),
    ] = 0,
    jobs: Annotated[
        int,
        typer.Option(min=1, help="Measure this many images at a time; with 1 the times are exact."),
    ] = 1,
    device: Annotated[
        str,
        typer.Option(metavar="DEVICE", help="Run on this device; auto takes a GPU."),
    ] = "auto",
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="Run with this engine.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="Compute in this precision.")
    ] = "f32",
    tile: Annotated[
        str,
        typer.Option(
            metavar="[auto|off|PIXELS]",
            help="Set the tile size; off restores whole images and needs much memory.",
        ),
    ] = "auto",
    parameters: Annotated[
        Path | None,
        typer.Option(help="Read the parameters of NIQE and SSEQ from this file or folder."),
    ] = None,
) -> None:
    """Measure networks on public sets and write a report.

    A run that was stopped is continued.
    """
    import derain
    from derain.cli.console import note, progress
    from derain.evaluation.blind import FILE as BLIND
    from derain.evaluation.evaluate import Plan
    from derain.evaluation.models import PUBLISHED, InferenceSettings
    from derain.evaluation.pipeline import FILES, run_evaluation, summary
    from derain.io.mirror import mirror

    about = {
        "derain": derain.__version__,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "command": shlex.join(["derain", *sys.argv[1:]]),
    }
    with progress() as show:
        built = run_evaluation(
            mirror(data, out / "cache" / "data"), set_ or [], model or [DEFAULT, PUBLISHED], out,
            Plan(tuple(metric or ()), protocol, jobs, parameters),
            InferenceSettings(device, engine, precision, tile),
            limit=limit, judged=blind, about=about, note=note, progress=show,
        )  # fmt: skip
    if built:
        typer.echo(summary(built))
    note(f"{out}: {', '.join([*(FILES if built else ()), *([BLIND] if blind else ())])}")
