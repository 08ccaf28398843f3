"""`derain inspect`: what a network sees in one image."""

from pathlib import Path
from typing import Annotated

import typer

from derain.weights.catalog import DEFAULT


def inspect(
    image: Annotated[
        str, typer.Argument(help="The rainy image, or its URL; a small one is quicker.")
    ],
    model: Annotated[
        str,
        typer.Option(help="Look into this model: a name of `derain models`, or a .safetensors."),
    ] = DEFAULT,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Write the pictures to this folder.")
    ] = Path("inside"),
) -> None:
    """Show what a network sees in an image: its stages, its attention, the rain it takes away."""
    from derain.engines import find_model
    from derain.evaluation.look_inside import look_inside, write_files
    from derain.io.decode import read_rgb
    from derain.io.mirror import local_copy
    from derain.weights.files import load_network

    network, _ = load_network(find_model(model, "torch"))
    with local_copy(image) as path:
        pixels = read_rgb(path)
    try:
        inside = look_inside(network, pixels)
    except ValueError as error:
        raise ValueError(f"{image}: {error}") from None
    for name in write_files(inside, out):
        typer.echo(out / name)
