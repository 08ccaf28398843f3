"""What looks like rain and is none: wires, blinds, grass, hair, which have to stay."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.rain import blending, streaks
from derain.rain.arrays import ImageF, Layer
from derain.rain.editing import EDITING, edited, saved
from derain.rain.ranges import Draw, LogUniform, Ranges, Uniform, constant
from derain.rain.streaks import StreakGroup
from derain.rain.window import Window

LOOK_ALIKES: Ranges = {
    "nothing_probability": constant(0.25),
    "strand_probability": constant(0.6),
    "angle": Uniform(0, 180),
    "mean": LogUniform(0.01, 0.3),
    "zoom": LogUniform(0.7, 7),
    "length": LogUniform(50, 400),  # short bright ones would be rain
    "width": LogUniform(0.9, 2.6),
    "spread": LogUniform(0.2, 25),
    "period": LogUniform(4, 40),
    "duty": Uniform(0.2, 0.7),
    "opacity": Uniform(0.4, 1),
    **EDITING,
}


def look_alike(
    background: ImageF,
    depth: Layer | None,
    window: Window,
    draw: Draw,
    layers: Sequence[NDArray[Any]] = (),
) -> tuple[ImageF, ImageF, Layer]:
    """Strands or blinds of one colour over the image, or nothing, and no rain falls.

    Rain is brighter than what is behind it, and thin; so are a lit wire, a blade of grass, a
    fence. A network that never saw those kept takes them away. The image is edited and saved as
    the `photo` presets do it, so that this alone says nothing about rain.

    Args and returns as for `photo.photographed`; the rain layer is zero.
    """
    image = background
    if not draw.chance("nothing_probability"):
        strands = draw.chance("strand_probability")
        layer = _strands(window, draw) if strands else _blinds(window, draw)
        colour = draw.rng.random(background.shape[2], dtype=np.float32) ** np.float32(1.5)
        image = blending.over(background, layer * np.float32(draw("opacity")), colour)
    image = saved(edited((image,), draw)[0], draw)
    return image, image, np.zeros(window.size, np.float32)


def _strands(window: Window, draw: Draw) -> Layer:
    """Wires, hair or blades of grass: (H, W) in [0, 1]."""
    zoom = draw("zoom")
    group = StreakGroup(
        density=0,
        angle=draw("angle"),
        length=draw("length") * zoom,
        width=draw("width") * zoom**0.85,
        peak=1.0,
        angle_sd=draw("spread"),
        length_sd=0.5,
        profile="flat",
    )
    group = streaks.with_mean(group, draw("mean"))
    return np.minimum(streaks.render_reduced(group, window.size, draw.rng), 1)


def _blinds(window: Window, draw: Draw) -> Layer:
    """Parallel stripes at even distances: (H, W) in [0, 1]."""
    angle = math.radians(draw("angle"))
    y, x = np.mgrid[: window.size[0], : window.size[1]].astype(np.float32)
    across = x * math.sin(angle) + y * math.cos(angle)
    phase = np.abs((across / draw("period") + float(draw.rng.random())) % 1 - 0.5) * 2
    return np.clip((np.float32(draw("duty")) - phase) * 4 + 0.5, 0, 1)
