"""`derain figure`: the qualitative figure of a paper."""

from pathlib import Path
from typing import Annotated

import typer

from derain.weights.catalog import DEFAULT


def figure(
    data: Annotated[
        str, typer.Option(help="The folder that holds the set, or is one; or its URL.")
    ],
    set_: Annotated[
        str,
        typer.Option("--set", help="Take images of this set, as `derain evaluate --set` does."),
    ],
    image: Annotated[
        list[str] | None,
        typer.Option(
            help="Show this image, by its name without suffix. May be repeated. The default is the "
            "first."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Show this model, as `derain evaluate --model` takes it. May be repeated."
        ),
    ] = None,
    crop: Annotated[
        list[str] | None,
        typer.Option(metavar="LEFT,TOP,WIDTH,HEIGHT", help="Enlarge this detail. May be repeated."),
    ] = None,
    errors: Annotated[bool, typer.Option(help="Show maps of the error below.")] = False,
    protocol: Annotated[
        str, typer.Option(metavar="PROTOCOL", help="Measure PSNR and SSIM by this protocol.")
    ] = "y",
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Write the figure to this .png or .pdf file.")
    ] = Path("figure.pdf"),
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Run on this device.")] = "auto",
) -> None:
    """Draw rainy images, what models make of them, and the ground truth, for a paper."""
    from derain.data.layouts import find_set
    from derain.evaluation import figure as figures
    from derain.evaluation.models import InferenceSettings, evaluation_models
    from derain.io.mirror import local_copy

    figures.check_name(out)
    boxes = [figures.parse_box(text) for text in crop or ()]
    with local_copy(data) as root:
        items = figures.choose_images(find_set(root, set_).items, image or ())
        models = evaluation_models(model or [DEFAULT], InferenceSettings(device))
        rows = [figures.panels(item, models, protocol) for item in items]
    figures.save(figures.draw(rows, boxes, errors), out)
    typer.echo(out)
