"""`derain benchmark`: what this machine gives, engine by engine."""

import datetime
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from derain.weights.catalog import DEFAULT

if TYPE_CHECKING:
    from derain.benchmark.compare import BenchmarkReport
    from derain.benchmark.curve import CurvePoint
    from derain.benchmark.measure import BenchmarkRow

BUSY = 0.1  # fraction of the processor that others may use before we warn


def benchmark(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names of `derain models` or, with random weights, of `derain models --all`; or "
            "model files. Without any, the default model is measured."
        ),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="Measure images of this size; may be repeated. The default is 384x512.",
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BACKEND",
            help="Measure this backend; may be repeated. torch-published is eager f32, as the "
            "papers' code runs. The default is all that are installed but torch-compiled.",
        ),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PRECISION",
            help="Measure this precision; may be repeated. The default is all that the device has.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEVICE",
            help="Measure on this device; may be repeated. The default is the CPU and any GPU.",
        ),
    ] = None,
    runs: Annotated[
        int,
        typer.Option(min=1, help="Measure each backend this many times, after one warm-up run."),
    ] = 7,
    seconds: Annotated[
        float,
        typer.Option(min=1, help="Begin no more runs of a size, or of the curve, after this time."),
    ] = 25.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Use this many CPU threads; the default is all.")
    ] = None,
    curve: Annotated[
        bool,
        typer.Option(
            "--curve",
            help="Measure images of 0.1 to 100 megapixels instead, tiled as `restore` does.",
        ),
    ] = False,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers to this file.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Draw the numbers into this .png, .svg or .pdf file (needs matplotlib)."),
    ] = None,
) -> None:
    """Measure the speed of networks on this machine.

    Backends run in turn and are compared with the machine's rate of matrix products.
    """
    import derain
    from derain.benchmark import figure, machine
    from derain.benchmark.compare import BenchmarkReport, Wanted, compare_backends
    from derain.benchmark.curve import curve as measure_curve
    from derain.benchmark.measure import BenchmarkSettings
    from derain.cli.console import note
    from derain.cli.export import parse_size
    from derain.io.atomic import write_atomically

    sizes = [parsed for text in size or ["384x512"] if (parsed := parse_size(text))]
    if len(sizes) < len(size or []):
        raise ValueError("--size must be HEIGHTxWIDTH here, such as 384x512")
    if json_ and not json_.parent.is_dir():
        raise ValueError(f"{json_}: there is no folder {json_.parent}")
    if plot:
        figure.check_plot_path(plot)
    names = list(dict.fromkeys(models or [DEFAULT]))
    if curve:
        one_each = {
            "a model": names, "--engine": engine, "--precision": precision, "--device": device,
        }  # fmt: skip
        for what, given in one_each.items():
            if given and len(given) > 1:
                raise ValueError(f"--curve takes {what} once")
        once = {"engine": engine, "precision": precision, "device": device}
        options = {name: given[0] for name, given in once.items() if given}
        before = machine.busy()
        points = measure_curve(
            names[0], seconds=seconds, options=options | {"threads": threads}, note=note
        )
        report = BenchmarkReport(machine.describe(before), curve=points)
        typer.echo(limit(report))
        show_curve(points)
    else:
        wanted = Wanted(names, sizes, engine or (), precision or (), device or ())
        report = compare_backends(wanted, BenchmarkSettings(runs, seconds, threads), note)
        show_rows(report)
    if json_:
        about = {
            "derain": derain.__version__,
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "command": shlex.join(["derain", *sys.argv[1:]]),
        }
        write_atomically(json_, json.dumps(about | report.to_json(), indent=1).encode())
    if plot:
        figure.draw(plot, report.rows, report.curve)
    if any(row.error for row in report.rows):
        raise typer.Exit(1)


def show_rows(report: "BenchmarkReport") -> None:
    """A table per network and size, and what it comes to."""
    typer.echo(limit(report))
    for (model, height, width), flop in report.flop.items():
        rows = [r for r in report.rows if (r.model, r.height, r.width) == (model, height, width)]
        work = f": {flop / 1e9:.1f} GFLOP an image" if flop else ""
        typer.echo(f"\n{model}, {height} high, {width} wide{work}\n")
        show(
            ("", "engine", "precision", "device", "s/image", "±", "images/s", "MP/s", "GFLOP/s",
             "of limit", "memory MB", "agreement dB"),
            [cells(row) for row in rows],
        )  # fmt: skip
        if verdict := compared(rows):
            typer.echo(f"\n{verdict}")
    typer.echo(
        "\nGFLOP: twice the multiply-adds of the folded network, whatever an engine computes. "
        "Limit: see above.\nMemory: the most that the whole process held. Agreement: PSNR with "
        "torch at f32, or, without it, OpenVINO."
    )


def limit(report: "BenchmarkReport") -> str:
    """What the machine is and can do."""
    about, rates = report.machine, report.matrix_rates
    kinds = ", ".join(
        f"{precision} {rate / 1e9:.0f}" + (f" ({device})" if device != "cpu" else "")
        for (device, precision), rate in rates.items()
    )
    multiplies = f"; multiplies large matrices at {kinds} GFLOP/s" if rates else ""
    busy = about["busy"]
    shared = (
        f"\nwarning: other programs kept {busy:.0%} of it busy; expect less than it can give"
        if isinstance(busy, float) and busy > BUSY
        else ""
    )
    cores = f"{about['cores']} core{'s' if about['cores'] != 1 else ''}"
    return f"{about['processor']}, {cores}{multiplies}{shared}"


def cells(row: "BenchmarkRow") -> list[str]:
    """A row of the table as text."""
    named = ["*" if row.default else "", row.engine, row.precision, row.device]
    if row.error:
        return [*named, f"failed: {row.error}"]
    return [
        *named,
        f"{row.seconds:.3f}",
        f"{row.spread:.0%}",
        f"{row.images_per_second:.2f}",
        f"{row.megapixels_per_second:.2f}",
        f"{row.gflop_per_second:.0f}" if row.gflop_per_second else "",
        f"{row.limit_fraction:.0%}" if row.limit_fraction else "",
        f"{row.peak_bytes / 1e6:.0f}" if row.peak_bytes else "",
        "reference" if row.agreement_db is None else f"{row.agreement_db:.1f}",
    ]


def compared(rows: "Sequence[BenchmarkRow]") -> str:
    """What `derain restore` uses, beside the papers' code and the limit."""
    used = next((row for row in rows if row.default and row.seconds), None)
    if used is None or used.seconds is None:
        return ""
    text = f"* {used.engine} {used.precision} is what `derain restore` uses here"
    published = next((r.seconds for r in rows if r.engine == "torch-published" and r.seconds), None)
    if published:
        text += f": {published / used.seconds:.1f} times as fast as torch-published"
    if used.limit_fraction:
        text += f", {used.limit_fraction:.0%} of what this machine's matrix products reach"
    return text


def show_curve(points: "Sequence[CurvePoint]") -> None:
    """A table of growing images."""
    show(
        ("megapixels", "size", "s", "s/megapixel", "memory MB", "image and result MB in it"),
        [
            [
                f"{p.height * p.width / 1e6:.1f}",
                f"{p.height}x{p.width}",
                f"{p.seconds:.2f}",
                f"{p.seconds_per_megapixel:.3f}",
                f"{p.peak_bytes / 1e6:.0f}" if p.peak_bytes else "",
                f"{p.image_bytes / 1e6:.0f}",
            ]
            for p in points
        ],
    )


def show(columns: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    """Print a table on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        words = column in ("", "engine", "precision", "device", "size")
        table.add_column(column, justify="left" if words else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; 80 would break the rows
    console.print(table)
