"""The tables of presets and mixtures: which blend mode, which kind of rain, which ranges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from derain.rain.arrays import ImageF, Layer, Size
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
from derain.rain.photo import COARSE, FINE, LOOK_ALIKES, MEDIUM, NIGHT, look_alike, photographed
from derain.rain.ranges import Changes, Draw, LogUniform, Ranges, Uniform
from derain.rain.realistic import REAL, REAL_NIGHT, realistic
from derain.rain.window import Window

# (background, depth, window, draw, layers) -> rainy image, ground truth, rain layer
Scene = Callable[
    [ImageF, Layer | None, Window, Draw, Sequence[NDArray[Any]]], tuple[ImageF, ImageF, Layer]
]


@dataclass(frozen=True)
class Preset:
    """A rain layer and the blend mode by which it joins the image, or a function for it all."""

    blend: Literal["add", "screen", "over"]
    render_layer: Callable[[Draw, Size, Size], Layer] | None  # None: `scene` makes the whole image
    ranges: Ranges
    scene: Scene | None = None


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
    "real": Preset("over", None, REAL, realistic),
    "real-night": Preset("over", None, REAL_NIGHT, realistic),
    "photo-fine": Preset("over", None, FINE, photographed),
    "photo-medium": Preset("over", None, MEDIUM, photographed),
    "photo-coarse": Preset("over", None, COARSE, photographed),
    "photo-night": Preset("over", None, NIGHT, photographed),
    "look-alikes": Preset("over", None, LOOK_ALIKES, look_alike),
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
    "photo": Mixture(
        {"photo-fine": 0.34, "photo-medium": 0.3, "photo-coarse": 0.26, "photo-night": 0.1}
    ),
    "mspfn-train": Mixture(BENCHMARKS),
    # Benchmark rain, mostly at other angles, scales and strengths than the benchmarks', and
    # realistic rain: what a network cannot have memorised.
    "robust": Mixture(
        {name: 0.8 * probability for name, probability in BENCHMARKS.items()} | {"real": 0.2},
        {"augment_probability": 0.7, "size_exponent": (0, 1)},
    ),
}
