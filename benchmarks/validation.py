"""Which weights are best where nothing was trained and nothing is tested: the validation set.

    python -m benchmarks.validation ../shared/data/train                        # all that ship
    python -m benchmarks.validation ../shared/data/train RUN/nafnet-small.onnx
    python -m benchmarks.validation ../shared/data/train recipes/mspfn-lite-heavy.toml

PSNR over RGB, f32, of the middle 256x256 of the images of the validation set of a recipe (else
`recipes/mspfn-lite.toml`), by the kind of rain they have. This, and never a test set, decides what
`derain restore` takes by default.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from derain.metrics import psnr
from derain.restore import load
from derain.training.recipe import Recipe, read_recipe
from derain.training.sources import VALIDATION_SIZE, ValidationPair, read_sources
from derain.training.validation import mean_by_kind
from derain.weights.catalog import list_models

RECIPE = Path(__file__).parents[1] / "recipes" / "mspfn-lite.toml"


def validation(recipe: Recipe, root: Path, size: int = VALIDATION_SIZE) -> list[ValidationPair]:
    """Validation pairs of a recipe, each with its kind of rain."""
    with tempfile.TemporaryDirectory() as cache:
        return read_sources(recipe, root, Path(cache), size)[1]


def header(first: str, pairs: list[ValidationPair]) -> str:
    """The head of a table whose rows ``row`` makes."""
    kinds = sorted({pair.kind for pair in pairs})
    return f"| {first} | all | {' | '.join(kinds)} |\n" + "|---" * (2 + len(kinds)) + "|"


def row(name: str, restore: Callable[[Any], Any], pairs: list[ValidationPair]) -> str:
    """Mean PSNR (dB) of all restored pairs, then of each kind, in alphabetical order."""
    values = [psnr(restore(pair.rainy), pair.clean, protocol="rgb") for pair, _ in pairs]
    by_kind = mean_by_kind(values, (kind for _, kind in pairs))
    means = [float(np.mean(values)), *by_kind.values()]
    return f"| {name} | {' | '.join(f'{value:.2f}' for value in means)} |"


def main() -> None:
    """Print the table."""
    recipes = [argument for argument in sys.argv[2:] if argument.endswith(".toml")]
    models = [argument for argument in sys.argv[2:] if argument not in recipes]
    pairs = validation(read_recipe(Path(*recipes or [RECIPE])), Path(sys.argv[1]))
    print(header("Model", pairs))
    print(row("`input`", lambda image: image, pairs))
    for name in models or list_models():
        print(row(f"`{name}`", load(name, precision="f32"), pairs), flush=True)


if __name__ == "__main__":
    main()
