"""Rain of photographs by its size: what a network gains on validation images it never saw.

    python -m benchmarks.photo_rain ../shared/data/train                 # the default network
    python -m benchmarks.photo_rain ../shared/data/train MODEL [MODEL ...]

PSNR (dB, protocol `y`, f32) of the middle 640x640 of the large photographs that
`recipes/nafnet-small.toml` keeps for validation, with synthetic rain of the photo preset by day and
without JPEG, whose artefacts no network can remove, at four zooms of the rain; of the same
photographs clean, enlarged twice, against themselves; the same with wires, blinds and
strands that are no rain; and of the Rain1400 pairs that the recipe keeps for validation, with their
own rain. Never of a test set.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from derain.data.crops import center_crop
from derain.io.pairs import Pair
from derain.metrics import psnr
from derain.rain import RainSynthesizer
from derain.restore import Restorer, load
from derain.training.recipe import read_recipe
from derain.training.sources import open_split
from derain.weights.catalog import DEFAULT

RECIPE = Path(__file__).parents[1] / "recipes" / "nafnet-small.toml"
ZOOMS = (1, 2, 4, 7)
SIZE = 640  # pixels


def validation_pairs(root: Path) -> dict[str, list[Pair]]:
    """The pairs that the recipe keeps for validation, by the folder of their source."""
    recipe = read_recipe(RECIPE)
    with tempfile.TemporaryDirectory() as cache:
        split = open_split(recipe, root, Path(cache))
    by_source: dict[str, list[Pair]] = {}
    for i in split.validation:
        by_source.setdefault(split.home[i][0], []).append(split.pairs[i])
    return by_source


def validation_sets(root: Path) -> dict[str, list[Pair]]:
    """The kinds of pairs, by the name of their column."""
    by_source = validation_pairs(root)
    large = [center_crop(pair, SIZE) for pair in by_source["backgrounds_large"]]
    sets: dict[str, list[Pair]] = {}
    for zoom in ZOOMS:
        settings = {"zoom": zoom, "night_probability": 0, "jpeg_probability": 0}
        synth = RainSynthesizer("photo-medium", settings, seed=1)
        samples = [synth(pair.clean, index=i) for i, pair in enumerate(large)]
        sets[f"zoom {zoom}"] = [
            Pair(pair.name, sample.target, sample.rainy)
            for pair, sample in zip(large, samples, strict=True)
        ]
    twice = [
        np.asarray(cv2.resize(p.clean, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
        for p in large
    ]
    strands = RainSynthesizer("look-alikes", seed=1)
    sets["clean"] = [Pair(p.name, image, image) for p, image in zip(large, twice, strict=True)]
    sets["look-alikes"] = [
        Pair(p.name, image, image)
        for p, image in ((p, strands(p.clean, index=i).rainy) for i, p in enumerate(large))
    ]
    sets["Rain1400"] = [pair for pair in by_source["rain1400"] if pair.rainy is not None]
    return sets


def score(restorer: Restorer | None, pair: Pair) -> float:
    """PSNR (dB, protocol `y`) of a restored pair, or of its input; 99 for equal images."""
    assert pair.rainy is not None
    result = restorer(pair.rainy) if restorer else pair.rainy
    return min(psnr(result, pair.clean, protocol="y"), 99.0)


def main() -> None:
    """Print the table."""
    sets = validation_sets(Path(sys.argv[1]))
    print("| Model |", " | ".join(sets), "|")
    print("|---" * (1 + len(sets)) + "|")
    for name in ["input", *(sys.argv[2:] or [DEFAULT])]:
        restorer = None if name == "input" else load(name, precision="f32")
        means = [np.mean([score(restorer, pair) for pair in pairs]) for pairs in sets.values()]
        print(f"| `{name}` |", " | ".join(f"{value:.2f}" for value in means), "|", flush=True)


if __name__ == "__main__":
    main()
