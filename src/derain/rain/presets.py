"""The tables of presets and mixtures: which law, which recipe, which ranges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from derain.rain import recipes
from derain.rain.arrays import Layer, Size
from derain.rain.augment import AUGMENT
from derain.rain.ranges import Changes, Draw, LogUniform, Ranges, Uniform
from derain.rain.realistic import REAL, REAL_NIGHT


@dataclass(frozen=True)
class Preset:
    """A rain layer and the law by which it joins the picture."""

    law: Literal["add", "screen", "over"]
    recipe: Callable[[Draw, Size, Size], Layer] | None  # None: `realistic` is the whole picture
    ranges: Ranges


@dataclass(frozen=True)
class Mixture:
    """Another preset for every picture."""

    shares: Mapping[str, float]  # preset name -> share; the sum is 1
    changes: Changes = field(default_factory=dict)  # for every preset that has such a range


LIGHT = {"amount": Uniform(0.04, 0.10), "mean": LogUniform(0.025, 0.055)}
HEAVY = {"amount": Uniform(0.20, 0.40), "mean": LogUniform(0.10, 0.19)}

PRESETS: dict[str, Preset] = {
    "rain100l": Preset("add", recipes.rain100l, recipes.RAIN100L | AUGMENT),
    "rain100h": Preset("add", recipes.rain100h, recipes.RAIN100H | AUGMENT),
    "rain1400": Preset("screen", recipes.rain1400, recipes.RAIN1400 | AUGMENT),
    "rain1200-light": Preset("screen", recipes.rain1200, recipes.RAIN1200 | LIGHT | AUGMENT),
    "rain1200-medium": Preset("screen", recipes.rain1200, recipes.RAIN1200 | AUGMENT),
    "rain1200-heavy": Preset("screen", recipes.rain1200, recipes.RAIN1200 | HEAVY | AUGMENT),
    "photoshop-heavy": Preset("screen", recipes.photoshop_heavy, recipes.PHOTOSHOP_HEAVY | AUGMENT),
    "real": Preset("over", None, REAL),
    "real-night": Preset("over", None, REAL_NIGHT),
}

BENCHMARKS = {
    "rain1400": 0.45,
    "rain1200-light": 0.25 / 3,
    "rain1200-medium": 0.25 / 3,
    "rain1200-heavy": 0.25 / 3,
    "rain100h": 0.15,
    "rain100l": 0.10,
    "photoshop-heavy": 0.05,
}

MIXTURES: dict[str, Mixture] = {
    "mspfn-train": Mixture(BENCHMARKS),
    # Benchmark rain, mostly at other angles, scales and strengths than the benchmarks', and
    # realistic rain: what a network cannot have memorised.
    "robust": Mixture(
        {name: 0.8 * share for name, share in BENCHMARKS.items()} | {"real": 0.2},
        {"augment_share": 0.7, "size_share": (0, 1)},
    ),
}
