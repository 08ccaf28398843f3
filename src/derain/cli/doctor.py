"""`derain doctor`: what works on this machine, and how long an image will take."""

import os
import platform
import time
from typing import Annotated

import typer

PACKAGES = ("numpy", "pillow", "opencv-python-headless")  # beside those of the engines


def doctor(
    megapixels: Annotated[
        float, typer.Option(min=0.1, help="Estimate the time for an image of this size.")
    ] = 12.0,
) -> None:
    """Check engines and devices, and time the default network."""
    import derain
    from derain.engines import ENGINES, device_kinds

    typer.echo(f"derain {derain.__version__}, Python {platform.python_version()}")
    typer.echo(f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores")
    for package in (*PACKAGES, *(spec.package for spec in ENGINES.values())):
        typer.echo(f"  {package} {installed(package)}")
    for device in device_kinds():
        if device != "cpu":
            spec = next(spec for spec in ENGINES.values() if device in spec.devices)
            typer.echo(f"{device}: {spec.missing(device) or 'works'}")
    for engine, spec in ENGINES.items():
        if spec.installed and "cpu" in spec.devices:
            try:
                time_engine(engine, megapixels)
            except (ValueError, ImportError, RuntimeError) as error:
                typer.echo(f"cpu, {engine}: {error}")
    typer.echo("`derain benchmark` measures them side by side")


def time_engine(engine: str, megapixels: float) -> None:
    """Print how long an engine takes on the CPU, in every precision that it has there."""
    import numpy as np

    from derain.benchmark.estimate import estimated_seconds, starting_seconds
    from derain.restore import load

    height, width = (round((megapixels * 1e6 * ratio) ** 0.5) for ratio in (3 / 4, 4 / 3))
    load(device="cpu", engine=engine, precision="f32")  # what it imports counts as the start
    starting = starting_seconds(engine)
    image = np.random.default_rng(0).random((384, 512, 3), np.float32)
    seen = ""
    for precision in ("f32", "auto"):
        start = time.perf_counter()
        restorer = load(device="cpu", engine=engine, precision=precision)
        if restorer.engine.precision == seen:
            continue  # auto came to the same
        seen = restorer.engine.precision
        loading = time.perf_counter() - start
        restorer(image)
        start = time.perf_counter()
        restorer(image)
        seconds = time.perf_counter() - start
        estimate = starting + loading + estimated_seconds(restorer, height, width)
        typer.echo(
            f"cpu, {restorer.engine.name} {seen}: works, 512x384 in {seconds:.2f} s, "
            f"a JPEG of {megapixels:g} megapixels in about {estimate:.1f} s"
        )


def installed(package: str) -> str:
    """A package's version, or that it is not there."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
