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
    data: Annotated[Path, typer.Option(help="Folder that holds the sets, or is one.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A name of `derain data list`, or a folder below --data, ending in :clean-left, "
            ":clean-right or :real where that needs saying. May repeat; else every test set found.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A name of `derain models`, an .onnx, .xml or .safetensors file, an authors' "
            ".pth file, or the word published. May repeat; else the default and published."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "-m", help="psnr, ssim, fsim, fsimc, niqe, sseq. May repeat; else by the set."
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="Of PSNR and SSIM: y, y_float, rgb, dcsfn.")] = "y",
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder for the report, tables and cache.")
    ] = Path("evaluation"),
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first images of every set, for a trial.")
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Images measured at a time; 1 keeps the times honest.")
    ] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, mps.")] = "auto",
    engine: Annotated[str, typer.Option(help="auto, openvino, torch, onnxruntime.")] = "auto",
    precision: Annotated[str, typer.Option(help="f32, bf16 or auto.")] = "f32",
    tile: Annotated[
        str, typer.Option(help="auto, off (whole images, much memory) or a side in pixels.")
    ] = "auto",
    parameters: Annotated[
        Path | None, typer.Option(help="File or folder of the parameters of NIQE and SSEQ.")
    ] = None,
) -> None:
    """Measure networks on sets and write tables and a report; goes on where it was stopped."""
    import derain
    from derain.cli.console import note, progress
    from derain.evaluation.evaluate import Plan
    from derain.evaluation.models import PUBLISHED, InferenceSettings
    from derain.evaluation.pipeline import FILES, run_evaluation
    from derain.evaluation.tables import markdown

    about = {
        "derain": derain.__version__,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
        "command": shlex.join(["derain", *sys.argv[1:]]),
    }
    with progress() as show:
        built = run_evaluation(
            data, set_ or [], model or [DEFAULT, PUBLISHED], out,
            Plan(tuple(metric or ()), protocol, jobs, parameters),
            InferenceSettings(device, engine, precision, tile),
            limit=limit, about=about, note=note, progress=show,
        )  # fmt: skip
    typer.echo("\n".join(markdown(table) for table in built))
    note(f"{out}: {', '.join(FILES)}")
