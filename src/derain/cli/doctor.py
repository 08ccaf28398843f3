"""`derain doctor`: what works on this machine, and how long an image will take."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated

import typer

PACKAGES = ("numpy", "pillow", "opencv-python-headless", "openvino", "torch", "onnxruntime")


def doctor(
    megapixels: Annotated[
        float, typer.Option(min=0.1, help="Estimate the time for an image of this size.")
    ] = 12.0,
) -> None:
    """Check engines and devices, and time the default network."""
    import numpy as np

    import derain
    from derain import engines
    from derain.restore import load

    typer.echo(f"derain {derain.__version__}, Python {platform.python_version()}")
    typer.echo(f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores")
    for package in PACKAGES:
        typer.echo(f"  {package} {installed(package)}")
    for device in ("cuda", "mps"):
        typer.echo(f"{device}: {engines.missing_accelerator(device) or 'works'}")
    image = np.random.default_rng(0).random((384, 512, 3), np.float32)
    for engine in ("openvino", "torch", "onnxruntime"):
        if engine != "openvino" and not find_spec(engine):
            continue
        seen = ""
        for precision in ("f32", "auto"):
            restorer = load(device="cpu", engine=engine, precision=precision)
            if restorer.engine.precision == seen:
                continue  # auto came to the same
            seen = restorer.engine.precision
            restorer(image)
            start = time.perf_counter()
            restorer(image)
            seconds = time.perf_counter() - start
            estimate = seconds * megapixels * 1e6 / image[..., 0].size
            typer.echo(
                f"cpu, {restorer.engine.name} {seen}: works, 512x384 in {seconds:.2f} s, "
                f"{megapixels:g} megapixels in about {estimate:.1f} s"
            )
    typer.echo("`derain benchmark` measures them side by side")


def installed(package: str) -> str:
    """A package's version, or that it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
