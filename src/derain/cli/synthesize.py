"""`derain synthesize`: rain on clean images, as pairs to train and test on."""

from pathlib import Path
from typing import Annotated

import typer


def list_presets(asked: bool) -> None:
    """Print every preset and mixture with what it looks like, and exit."""
    if asked:
        from derain.rain import MIXTURES, PRESETS

        for name, entry in (PRESETS | MIXTURES).items():
            typer.echo(f"{name:16} {entry.about}")
        raise typer.Exit


def synthesize(
    clean: Annotated[str, typer.Argument(help="A clean image, or a folder of them; or its URL.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            help="Write the pairs to this folder, or with --preview the sheet to this file.",
        ),
    ],
    preset: Annotated[
        str,
        typer.Option(metavar="PRESET", help="Draw rain of this preset; --presets lists them."),
    ] = "robust",
    presets: Annotated[
        bool,
        typer.Option(
            "--presets", is_eager=True, callback=list_presets, help="List the presets and exit."
        ),
    ] = False,
    count: Annotated[
        int, typer.Option(min=1, help="Make this many rainy versions of each image.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Draw other rain with another seed.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a range: angle=60..120 or mean=0.2. May be repeated."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            metavar="[hazy|clean]", help="Keep the haze of the real presets in the target, or not."
        ),
    ] = "hazy",
    layers: Annotated[
        Path | None, typer.Option(help="Use the photographs of rain on black in this folder.")
    ] = None,
    rain: Annotated[bool, typer.Option("--rain", help="Also write the rain layers.")] = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Run this many processes; the images stay the same.")
    ] = 1,
    min_size: Annotated[
        int, typer.Option(min=1, help="List images of a smaller height or width as failed.")
    ] = 16,
    preview: Annotated[
        bool, typer.Option("--preview", help="Write one sheet of all presets on one image.")
    ] = False,
) -> None:
    """Make rainy images from clean ones.

    A run that was stopped is continued.
    """
    from derain.cli.console import note, progress
    from derain.io.atomic import write_atomically
    from derain.io.encode import encode_pixels
    from derain.io.formats import FORMATS
    from derain.io.mirror import local_copy
    from derain.io.pairs import find_images
    from derain.rain.folder import read_clean, synthesize_folder
    from derain.rain.layers import read_layers
    from derain.rain.sheet import contact_sheet

    if preview:
        with local_copy(clean) as images:
            first = find_images(images, recursive=True)[0]
            sheet = contact_sheet(read_clean(first), seed)
        format = FORMATS.get(out.suffix.lower(), "PNG")
        write_atomically(out, encode_pixels(sheet, format))
        note(f"{out}: every preset on {first.name}")
        return
    if target not in ("hazy", "clean"):
        raise ValueError(f"--target must be hazy or clean: {target}")
    with local_copy(clean) as images, progress("pairs") as show:
        result = synthesize_folder(
            images, out, preset,
            count=count, seed=seed, overrides=dict(map(parse_range, set_ or [])), target=target,
            layers=read_layers(layers) if layers else None, save_rain=rain, jobs=jobs,
            min_size=min_size, progress=show,
        )  # fmt: skip
    note(f"{out}: {result.written} pairs written, {result.present} were there")
    for reason in result.failed.values():
        note(f"error: {reason}")
    raise typer.Exit(1 if result.failed else 0)


def parse_range(text: str) -> tuple[str, float | tuple[float, float]]:
    """The name and value of "mean=0.2", or of "angle=60..120".

    Raises:
        ValueError: Neither; shows how it is written.
    """
    name, _, value = text.partition("=")
    low, dots, high = value.partition("..")
    try:
        return name, (float(low), float(high)) if dots else float(low)
    except ValueError:
        raise ValueError(f"--set {text}: write NAME=NUMBER or NAME=LOW..HIGH") from None
