"""`derain plot`: curves of training runs."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    runs: Annotated[list[Path], typer.Argument(help="The folders that `derain train` wrote.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Write the plot to this .png, .svg or .pdf file.")
    ] = Path("runs.png"),
    against: Annotated[
        str, typer.Option(metavar="[step|minutes]", help="Put this on the horizontal axis.")
    ] = "step",
) -> None:
    """Draw loss and validation PSNR of several runs into one image."""
    from derain.training.curves import plot_runs

    plot_runs(runs, out, against)
    typer.echo(out)
