"""`derain metrics`: measure images, with or without clean ones beside them."""

import json
import math
import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from derain.metrics.folder import Comparison


def metrics(
    images: Annotated[str, typer.Argument(help="An image, or a folder of them; or its URL.")],
    references: Annotated[
        str | None,
        typer.Argument(
            help="The clean image, or the folder of clean images with the same names; or its URL."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--metric",
            metavar="METRIC",
            help="Measure this metric; may be repeated. The default is DEFAULT_METRICS.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(metavar="PROTOCOL", help="Measure PSNR and SSIM by this protocol."),
    ] = "y",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Measure this many images at a time; the default is one per core."
        ),
    ] = None,
    parameters: Annotated[
        Path | None,
        typer.Option(help="Read the parameters of NIQE and SSEQ from this file or folder."),
    ] = None,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Download missing parameter files from their authors first."),
    ] = False,
) -> None:
    """Measure the quality of restored images as the papers do."""
    from derain.cli.console import note, progress
    from derain.io.mirror import local_copy
    from derain.metrics import METRICS, ParametersError, default_metrics, fetch_parameters
    from derain.metrics.folder import compare_folders

    if json_ and csv:
        raise ValueError("--json and --csv: choose one")
    names = metric or default_metrics("metrics", references is not None)
    try:
        for name in names if fetch else ():
            if name in METRICS and METRICS[name].needs_parameters:
                note(f"{name}: {fetch_parameters(name)}")
        with (
            local_copy(images) as measured,
            local_copy(references) if references else nullcontext() as clean,
            progress() as show,
        ):
            result = compare_folders(
                measured, clean, names, protocol, jobs or os.cpu_count() or 1, show, parameters
            )
    except ParametersError as error:
        raise ValueError(f"{error}; or --fetch" if not fetch else str(error)) from error
    for reason in result.skipped.values():
        note(f"left out: {reason}; or --fetch")
    if infinite := result.infinite.get("psnr"):
        note(f"{infinite} of {len(result.rows)} images equal their reference")
    typer.echo(as_json(result) if json_ else as_csv(result) if csv else as_table(result))


def as_json(result: "Comparison") -> str:
    """Every image and the means; infinite values are the text "inf"."""

    def finite(values: dict[str, float]) -> dict[str, float | str]:
        return {name: v if math.isfinite(v) else str(v) for name, v in values.items()}

    return json.dumps(
        {
            "protocol": result.protocol,
            "images": [{"name": row.name, **finite(row.values)} for row in result.rows],
            "mean": finite(result.means),
            "infinite": result.infinite,
            "skipped": result.skipped,
        },
        indent=1,
        allow_nan=False,
    )


def as_csv(result: "Comparison") -> str:
    """One line per image; the mean is left to whoever reads it."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "protocol", *result.means])
    for row in result.rows:
        writer.writerow([row.name, result.protocol, *row.values.values()])
    return text.getvalue().rstrip("\n")


def as_table(result: "Comparison") -> str:
    """Aligned text, the mean in the last line, the protocol where it matters."""
    from derain.metrics import METRICS

    heads = [
        f"{name.upper()} ({result.protocol})" if METRICS[name].has_protocols else name.upper()
        for name in result.means
    ]
    rows = [["", *heads]]
    for name, values in [*((r.name, r.values) for r in result.rows), ("mean", result.means)]:
        rows.append([name, *(f"{values[metric]:.4f}" for metric in result.means)])
    if len(result.rows) == 1:
        rows.pop()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for name, *numbers in rows:
        right = [text.rjust(w) for text, w in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *right]))
    return "\n".join(lines)
