"""`derain export`: a trained network as a file that other programs run."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(help="A .safetensors file, or a name.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="An .onnx file.")],
) -> None:
    """Write a network as ONNX, folded, for any height and width, checked against torch."""
    from derain.export import to_onnx
    from derain.weights.catalog import find
    from derain.weights.files import load_network

    if out.suffix != ".onnx":
        raise ValueError(f"{out}: must end in .onnx")
    network, record = load_network(find(model, "torch"))
    difference = to_onnx(out, network, record)
    typer.echo(f"{out}: differs from torch by at most {difference:.1e}")
