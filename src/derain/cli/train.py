"""`derain train`: run a recipe."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/mspfn-lite.toml.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's paths start from.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and weights.")],
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Time budget; the schedule ends with it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from OUT/last.pt.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps.")] = "cpu",
) -> None:
    """Train a network; Ctrl-C loses at most the minutes since the last checkpoint."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from derain.training import loop
    from derain.training.recipe import read_recipe

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>4.1f} %"),
        TimeRemainingColumn(), console=Console(stderr=True),
    )  # fmt: skip
    with bar:
        task = bar.add_task("reading pictures", total=1.0)

        def show(p: loop.Progress) -> None:
            psnr = f"{p.psnr:.2f} dB" if p.psnr else "-"
            text = f"step {p.step}  {p.step / p.elapsed:.1f}/s  loss {p.loss:.4f}  held out {psnr}"
            bar.update(task, completed=p.share, description=text)

        weights = loop.train(
            read_recipe(recipe), data, out,
            device=device, minutes=max_minutes, resume=resume, on_step=show,
        )  # fmt: skip
    typer.echo(weights)
