"""The tables of presets and mixtures: which blend mode, which kind of rain, which ranges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from derain.rain.arrays import Layer, Size
from derain.rain.augment import AUGMENT
from derain.rain.benchmark_rain import (
    PHOTOSHOP_HEAVY,
    RAIN100H,
    RAIN100L,
    RAIN1200,
    RAIN1400,
    photoshop_heavy,
    rain100h,
    rain100l,
    rain1200,
    rain1400,
)
from derain.rain.ranges import Changes, Draw, LogUniform, Ranges, Uniform
from derain.rain.realistic import REAL, REAL_NIGHT


@dataclass(frozen=True)
class Preset:
    """A rain layer and the blend mode by which it joins the image."""

    blend: Literal["add", "screen", "over"]
    # None: `realistic` makes the whole image.
    render_layer: Callable[[Draw, Size, Size], Layer] | None
    ranges: Ranges


@dataclass(frozen=True)
class Mixture:
    """Another preset for every image."""

    probabilities: Mapping[str, float]  # preset name -> probability; the sum is 1
    changes: Changes = field(default_factory=dict)  # for every preset that has such a range


LIGHT = {"amount": Uniform(0.04, 0.10), "mean": LogUniform(0.025, 0.055)}
HEAVY = {"amount": Uniform(0.20, 0.40), "mean": LogUniform(0.10, 0.19)}

PRESETS: dict[str, Preset] = {
    "rain100l": Preset("add", rain100l, RAIN100L | AUGMENT),
    "rain100h": Preset("add", rain100h, RAIN100H | AUGMENT),
    "rain1400": Preset("screen", rain1400, RAIN1400 | AUGMENT),
    "rain1200-light": Preset("screen", rain1200, RAIN1200 | LIGHT | AUGMENT),
    "rain1200-medium": Preset("screen", rain1200, RAIN1200 | AUGMENT),
    "rain1200-heavy": Preset("screen", rain1200, RAIN1200 | HEAVY | AUGMENT),
    "photoshop-heavy": Preset("screen", photoshop_heavy, PHOTOSHOP_HEAVY | AUGMENT),
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
        {name: 0.8 * probability for name, probability in BENCHMARKS.items()} | {"real": 0.2},
        {"augment_probability": 0.7, "size_exponent": (0, 1)},
    ),
}
