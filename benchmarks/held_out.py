"""Which weights are best where nothing was trained and nothing is tested: the held-out part.

    python -m benchmarks.held_out ../shared/data/train                        # all that ship
    python -m benchmarks.held_out ../shared/data/train RUN/nafnet-small.onnx

PSNR over RGB, f32, of the middle 256x256 of the pictures that the recipes hold out, by the kind of
rain they have. This, and never a test set, decides what `derain restore` takes by default.
"""

import itertools
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from derain.metrics import psnr
from derain.restore import load
from derain.training.feed import read_sources
from derain.training.recipe import read_recipe
from derain.weights.catalog import list_models

RECIPE = Path(__file__).parents[1] / "recipes" / "mspfn-lite.toml"


def main() -> None:
    """Print the table."""
    recipe = read_recipe(RECIPE)
    with tempfile.TemporaryDirectory() as cache:
        _, pairs = read_sources(recipe, Path(sys.argv[1]), Path(cache))
    presets = sorted({preset for source in recipe.data.sources for preset in source.rain})
    made = {path.name for path in (Path(sys.argv[1]) / "clean").iterdir()}
    turn = itertools.cycle(presets)  # as `read_sources` gives them out
    kinds = [next(turn) if pair.name in made else "Rain800's own" for pair in pairs]
    print("| Model | all |", " | ".join(sorted(set(kinds))), "|")
    print("|---" * (2 + len(set(kinds))) + "|")
    for name in ["input", *(sys.argv[2:] or list_models())]:
        restore = (lambda picture: picture) if name == "input" else load(name, precision="f32")
        by_kind: defaultdict[str, list[float]] = defaultdict(list)
        for pair, kind in zip(pairs, kinds, strict=True):
            by_kind[kind].append(psnr(restore(pair.rainy), pair.clean, protocol="rgb"))
        every = [value for values in by_kind.values() for value in values]
        means = [f"{np.mean(by_kind[kind]):.2f}" for kind in sorted(by_kind)]
        print(f"| `{name}` | {np.mean(every):.2f} |", " | ".join(means), "|", flush=True)


if __name__ == "__main__":
    main()
