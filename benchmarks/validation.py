"""Which weights are best where nothing was trained and nothing is tested: the validation set.

    python -m benchmarks.validation ../shared/data/train                        # all that ship
    python -m benchmarks.validation ../shared/data/train RUN/nafnet-small.onnx
    python -m benchmarks.validation ../shared/data/train recipes/mspfn-lite-heavy.toml

PSNR over RGB, f32, of the middle 256x256 of the images of the validation set of a recipe (else
`recipes/mspfn-lite.toml`), by the kind of rain they have. This, and never a test set, decides what
`derain restore` takes by default.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from derain.io.pairs import Pair
from derain.metrics import psnr
from derain.restore import load
from derain.training.feed import LISTS, VALIDATION_SIZE, read_sources
from derain.training.recipe import Recipe, read_recipe
from derain.weights.catalog import list_models

RECIPE = Path(__file__).parents[1] / "recipes" / "mspfn-lite.toml"


def validation(
    recipe: Recipe, root: Path, size: int = VALIDATION_SIZE
) -> tuple[list[Pair], list[str]]:
    """Validation pairs of a recipe, and the kind of rain of each: a preset, or the set's own."""
    with tempfile.TemporaryDirectory() as cache:
        _, pairs = read_sources(recipe, root, Path(cache), size)
    presets = sorted({preset for source in recipe.data.sources for preset in source.rain})
    trained_on_its_own = [s for s in recipe.data.sources if not s.rain and s.layout != "clean"]
    own = {file.name for s in trained_on_its_own for file in LISTS[s.layout](root / s.path)}
    preset = itertools.cycle(presets)  # as `read_sources` gives them out
    return pairs, ["the set's own" if pair.name in own else next(preset) for pair in pairs]


def mean_by_kind(restore: Callable[[Any], Any], pairs: list[Pair], kinds: list[str]) -> list[float]:
    """Mean PSNR (dB) of all restored pairs, then of each kind, in alphabetical order."""
    values = [psnr(restore(pair.rainy), pair.clean, protocol="rgb") for pair in pairs]
    groups = [
        [v for v, k in zip(values, kinds, strict=True) if k == kind] for kind in sorted(set(kinds))
    ]
    return [float(np.mean(group)) for group in (values, *groups)]


def main() -> None:
    """Print the table."""
    recipes = [argument for argument in sys.argv[2:] if argument.endswith(".toml")]
    models = [argument for argument in sys.argv[2:] if argument not in recipes]
    pairs, kinds = validation(read_recipe(Path(*recipes or [RECIPE])), Path(sys.argv[1]))
    columns = sorted(set(kinds))
    print("| Model | all |", " | ".join(columns), "|")
    print("|---" * (2 + len(columns)) + "|")
    for name in ["input", *(models or list_models())]:
        restore = (lambda image: image) if name == "input" else load(name, precision="f32")
        means = mean_by_kind(restore, pairs, kinds)
        print(f"| `{name}` |", " | ".join(f"{value:.2f}" for value in means), "|", flush=True)


if __name__ == "__main__":
    main()
