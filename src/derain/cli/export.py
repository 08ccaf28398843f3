"""`derain export`: a trained network as a file that other programs run."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[
        str,
        typer.Argument(
            help="A name of `derain models`, a .safetensors, .onnx or authors' .pth file."
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="[onnx|openvino|torch-export]",
            help="Write this format. The default follows from the suffix of -o, or is onnx.",
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="[f32|f16|bf16]", help="Store the weights so; 16 bits halve the file."
        ),
    ] = "f32",
    size: Annotated[
        str,
        typer.Option(
            metavar="[dynamic|HEIGHTxWIDTH]", help="Take images of any size, or of one size alone."
        ),
    ] = "dynamic",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Write to this .onnx, .xml or .pt2 file. The default is MODEL's name here.",
        ),
    ] = None,
) -> None:
    """Export a network for other programs.

    The file holds the folded network and is checked against torch.
    """
    from derain.engines import find_model
    from derain.export import FORMATS
    from derain.export import export as write

    if to not in (None, *FORMATS):
        raise ValueError(f"unknown format {to!r}; known: {', '.join(FORMATS)}")
    target = out or Path(f"{Path(model).stem}{FORMATS[to or 'onnx']}")
    if to and target.suffix != FORMATS[to]:
        raise ValueError(f"{target}: --to {to} writes a file that ends in {FORMATS[to]}")
    engine = "openvino" if Path(model).suffix == ".onnx" else "torch"
    source = find_model(model, engine)
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: would replace the file that is exported")
    fixed_size = parse_size(size)
    difference, psnr = write(source, target, precision, fixed_size)
    megabytes = sum(p.stat().st_size for p in files(target)) / 1e6
    takes = f"{fixed_size[0]} high, {fixed_size[1]} wide" if fixed_size else "any size"
    typer.echo(
        f"{target}: {takes}, weights in {precision}, {megabytes:.1f} MB; differs from torch at f32 "
        f"by at most {difference:.1e} ({psnr:.1f} dB)"
    )


def parse_size(size: str) -> tuple[int, int] | None:
    """Height and width of ``HEIGHTxWIDTH``; None of ``dynamic``.

    Raises:
        ValueError: Neither.
    """
    if size == "dynamic":
        return None
    height, _, width = size.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ValueError(f"--size must be dynamic or HEIGHTxWIDTH, such as 1080x1920: {size}")
    return int(height), int(width)


def files(target: Path) -> list[Path]:
    """The files of an exported model."""
    return [target, target.with_suffix(".bin")] if target.suffix == ".xml" else [target]
