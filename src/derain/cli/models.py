"""`derain models`: what there is, how large and how good it is."""

from typing import Annotated

import typer


def models(
    all: Annotated[
        bool,
        typer.Option("--all", help="List every network of the papers with its cost (needs torch)."),
    ] = False,
) -> None:
    """List the models that ship with derain, or every network."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    if all:
        import torch

        from derain.models import MODELS, build
        from derain.models.cost import cost

        for column in ("name", "parameters", "GMACs 512x384", "GMACs 256x256", "in its paper"):
            numeric = column.startswith(("GMACs", "param"))
            table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
        for name, entry in MODELS.items():
            with torch.device("meta"):
                network = build(name)
            large, small = (cost(network, *size) for size in ((384, 512), (256, 256)))
            table.add_row(
                name, f"{large.parameters:,}", f"{large.gmacs:.1f}", f"{small.gmacs:.1f}",
                entry.source,
            )  # fmt: skip
    else:
        from derain.weights.catalog import DEFAULT, WEIGHTS
        from derain.weights.headers import read_record

        for column in ("name", "parameters", "GMACs 512x384", "scores", "licence", "about"):
            table.add_column(column, no_wrap=column == "name")
        for name, weights in WEIGHTS.items():
            record = read_record(weights.file(".safetensors"))
            table.add_row(
                f"{name} (default)" if name == DEFAULT else name, f"{record.parameters:,}",
                f"{record.gmacs:.1f}", "\n".join(f"{k} {v}" for k, v in record.scores.items()),
                record.licence, f"{weights.about}\n{record.trained_on}",
            )  # fmt: skip
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; 80 would break the rows
    console.print(table)
