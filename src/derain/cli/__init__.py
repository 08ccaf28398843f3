"""The command line: each command parses, calls one library function and prints.

Heavy imports stay inside the commands, so that `derain --help` answers at once.
"""

import sys
from typing import Annotated

import typer

import derain
from derain.cli import data
from derain.cli.benchmark import benchmark
from derain.cli.doctor import doctor
from derain.cli.downstream import downstream
from derain.cli.evaluate import evaluate
from derain.cli.export import export
from derain.cli.facts import Command
from derain.cli.figure import figure
from derain.cli.inspect import inspect
from derain.cli.metrics import metrics
from derain.cli.models import models
from derain.cli.plot import plot
from derain.cli.published import published
from derain.cli.restore import restore
from derain.cli.serve import serve
from derain.cli.study import study
from derain.cli.synthesize import synthesize
from derain.cli.train import train

app = typer.Typer(
    name="derain",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Package -> the extra that brings it; those of engines stand in their table.
EXTRAS = {
    "safetensors": "torch",
    "onnx": "train",
    "onnxscript": "train",
    "scipy": "eval",
    "jinja2": "eval",
    "matplotlib": "eval",
    "av": "video",
    "fastapi": "serve",
    "starlette": "serve",
    "uvicorn": "serve",
    "h11": "serve",
    "python_multipart": "serve",
    "prometheus_client": "serve",
    "httpx": "client",
    "fsspec": "cloud",
    "s3fs": "cloud",
    "ray": "scale",
    "pyarrow": "scale",
    "pycocotools": "downstream",
}


def show_version(asked: bool) -> None:
    """Print the version and exit."""
    if asked:
        typer.echo(f"derain {derain.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=show_version, help="Print the version and exit."
        ),
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Remove rain from photographs."""


for command in (
    restore, models, doctor, benchmark, serve, synthesize, metrics, evaluate, downstream, train,
    study, published, figure, inspect, plot, export,
):  # fmt: skip
    app.command(cls=Command)(command)
app.add_typer(data.app, name="data")


def extra_of(package: str) -> str | None:
    """The extra that brings a package; None if none does."""
    from derain.engines import ENGINES

    engines = {spec.package: spec.extra for spec in ENGINES.values() if spec.extra}
    return (EXTRAS | engines).get(package)


def main() -> None:
    """Run the command line; a user's mistake ends in one line on stderr and exit code 1."""
    try:
        app()
    except KeyboardInterrupt:  # before a command was there to be told
        sys.exit(130)
    except ModuleNotFoundError as error:
        extra = extra_of((error.name or "").partition(".")[0])
        if extra is None or "--traceback" in sys.argv:
            raise
        sys.exit(f"error: this needs {error.name}: `pip install derain[{extra}]`")
    except (ValueError, OSError, ImportError, ArithmeticError) as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"error: {error}")
