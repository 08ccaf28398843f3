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
from derain.rain.look_alikes import LOOK_ALIKES, look_alike
from derain.rain.photo import COARSE, FINE, MEDIUM, NIGHT, photographed
from derain.rain.ranges import Changes, Draw, LogUniform, Ranges, Uniform
from derain.rain.realistic import REAL, REAL_NIGHT, realistic
from derain.rain.window import Window

# (background, depth, window, draw, layers) -> rainy image, ground truth, rain layer
Scene = Callable[
    [ImageF, Layer | None, Window, Draw, Sequence[NDArray[Any]]], tuple[ImageF, ImageF, Layer]
]


@dataclass(frozen=True)
class LayerPreset:
    """A rain layer over the image as it is, as the benchmarks were made."""

    about: str  # what it looks like, for lists
    blend: Literal["add", "screen"]  # how the layer joins the image
    render: Callable[[Draw, Size, Size], Layer]  # draw, size, size of the whole image -> layer
    ranges: Ranges


@dataclass(frozen=True)
class ScenePreset:
    """Rain with its own light, haze and camera, which change the ground truth too."""

    about: str
    render: Scene
    ranges: Ranges


Preset = LayerPreset | ScenePreset


@dataclass(frozen=True)
class Mixture:
    """Another preset for every image."""

    about: str
    probabilities: Mapping[str, float]  # preset name -> probability; the sum is 1
    changes: Changes = field(default_factory=dict)  # for every preset that has such a range


LIGHT = {"amount": Uniform(0.04, 0.10), "mean": LogUniform(0.025, 0.055)}
HEAVY = {"amount": Uniform(0.20, 0.40), "mean": LogUniform(0.10, 0.19)}

PRESETS: dict[str, Preset] = {
    "rain100l": LayerPreset(
        "like Rain100L and Rain200L: light, one direction", "add", rain100l, RAIN100L | AUGMENT
    ),
    "rain100h": LayerPreset(
        "like Rain100H and Rain200H: heavy, crossing", "add", rain100h, RAIN100H | AUGMENT
    ),
    "rain1400": LayerPreset(
        "like Rain1400: seven directions, two magnitudes", "screen", rain1400, RAIN1400 | AUGMENT
    ),
    "rain1200-light": LayerPreset(
        "like Rain1200, light", "screen", rain1200, RAIN1200 | LIGHT | AUGMENT
    ),
    "rain1200-medium": LayerPreset("like Rain1200, medium", "screen", rain1200, RAIN1200 | AUGMENT),
    "rain1200-heavy": LayerPreset(
        "like Rain1200, heavy", "screen", rain1200, RAIN1200 | HEAVY | AUGMENT
    ),
    "photoshop-heavy": LayerPreset(
        "like COCO350 and BDD350: heavy and washed out",
        "screen",
        photoshop_heavy,
        PHOTOSHOP_HEAVY | AUGMENT,
    ),
    "real": ScenePreset("a physical model of rain, haze, light and camera", realistic, REAL),
    "real-night": ScenePreset("the same, always at night", realistic, REAL_NIGHT),
    "photo-fine": ScenePreset("photographs, streaks about 1 to 3 px wide", photographed, FINE),
    "photo-medium": ScenePreset("photographs, streaks 2 to 6 px wide", photographed, MEDIUM),
    "photo-coarse": ScenePreset("photographs, streaks 3 to 12 px wide", photographed, COARSE),
    "photo-night": ScenePreset("photographs at night, streaks of any width", photographed, NIGHT),
    "look-alikes": ScenePreset(
        "wires, blinds, grass and hair: no rain, nothing to take away", look_alike, LOOK_ALIKES
    ),
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
        "rain as people photograph it, at any size, by day and at night",
        {"photo-fine": 0.34, "photo-medium": 0.3, "photo-coarse": 0.26, "photo-night": 0.1},
    ),
    "mspfn-train": Mixture(  # its Table 1; Rain800's rain, too, was drawn in Photoshop
        "MSPFN's training set: 82 % as Rain14000, 13 % as Rain1800, 5 % as Rain800",
        {"rain1400": 0.82, "rain100h": 0.13, "photoshop-heavy": 0.05},
    ),
    # Benchmark rain, mostly at other angles, scales and strengths than the benchmarks', and
    # realistic rain: what a network cannot have memorised.
    "robust": Mixture(
        "wider than the benchmarks, and a fifth `real`",
        {name: 0.8 * probability for name, probability in BENCHMARKS.items()} | {"real": 0.2},
        {"augment_probability": 0.7, "size_exponent": (0, 1)},
    ),
}
