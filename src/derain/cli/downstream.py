"""`derain downstream`: what rain costs a detector or segmenter, and what deraining gives back."""

import datetime
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from derain.weights.catalog import DEFAULT


def downstream(
    task: Annotated[
        str, typer.Option(metavar="[detect|segment]", help="Find objects, or classify pixels.")
    ],
    model: Annotated[
        str,
        typer.Option(
            help="Judge this model: onnx:FILE:KIND, where KIND is yolox, nanodet, "
            "fastestdet or xyxy, or python:FILE:FUNCTION[:ARGUMENT], whose code is run and "
            "returns the model."
        ),
    ],
    ann: Annotated[
        Path,
        typer.Option(
            help="Compare with these annotations: a COCO JSON file, a folder of YOLO text files "
            "with classes.txt, or for segment a folder of index masks."
        ),
    ],
    rain: Annotated[
        str,
        typer.Option(
            help="Take the rainy images from this folder, or draw rain of preset:NAME on the "
            "clean ones; `derain synthesize --presets` lists the names."
        ),
    ],
    clean: Annotated[
        Path | None,
        typer.Option(
            help="Take the clean images, which say what can be reached, from this folder."
        ),
    ] = None,
    derain: Annotated[
        list[str] | None,
        typer.Option(
            help="Compare this deraining: a name of `derain models`, a model file, or a folder of "
            "derained images. May be repeated. The default is the default model."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Write the report and the cache to this folder.")
    ] = Path("downstream"),
    score: Annotated[
        float,
        typer.Option(min=0, max=1, help="Count detections of at least this score."),
    ] = 0.6,
    iou: Annotated[
        float,
        typer.Option(min=0, max=1, help="Count a detection as right from this IoU on."),
    ] = 0.5,
    floor: Annotated[
        float,
        typer.Option(min=0, max=1, help="Ignore classes and count detections of this score."),
    ] = 0.05,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Read the names of an .onnx file's classes from this text file, one a line, with "
            "- for a class that the annotations lack. The default is the annotations' categories, "
            "in the order of their ids."
        ),
    ] = None,
    ignore: Annotated[
        int, typer.Option(min=0, max=255, help="Leave out mask pixels of this value.")
    ] = 255,
    bootstrap: Annotated[
        int, typer.Option(min=1, help="Draw the images so often for the intervals of confidence.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Draw other rain with another seed.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Take only the first images of the annotations.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Derain on this device; auto takes a GPU.")
    ] = "auto",
    engine: Annotated[
        str, typer.Option(metavar="ENGINE", help="Derain with this engine.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="Derain in this precision.")
    ] = "f32",
    tile: Annotated[
        str,
        typer.Option(metavar="[auto|off|PIXELS]", help="Derain in tiles of this size."),
    ] = "auto",
) -> None:
    """Measure what rain costs a detector or a segmenter, and what deraining gives back.

    A run that was stopped is continued: derained images are kept in the cache.
    """
    from derain import __version__
    from derain.cli.console import note, progress
    from derain.cli.facts import NO_URLS
    from derain.downstream.detection import DetectionSettings
    from derain.downstream.page import FILES
    from derain.downstream.pipeline import Subject, run_downstream
    from derain.evaluation.models import InferenceSettings
    from derain.io.places import is_url

    for option, place in [("--rain", rain), *(("--derain", each) for each in derain or ())]:
        if is_url(place):
            raise ValueError(NO_URLS.format(option, place))
    about = {
        "derain": __version__,
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "command": shlex.join(["derain", *sys.argv[1:]]),
    }
    with progress() as show:
        text = run_downstream(
            Subject(task, model, ann, clean, labels, ignore, DetectionSettings(score, iou, floor)),
            rain, derain or [DEFAULT], out,
            InferenceSettings(device, engine, precision, tile),
            bootstrap=bootstrap, seed=seed, limit=limit, about=about, note=note, progress=show,
        )  # fmt: skip
    typer.echo(text)
    note(f"{out}: {', '.join(FILES)}")
