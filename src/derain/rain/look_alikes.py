"""What looks like rain and is none: wires, blinds, grass, hair, which have to stay."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.rain import blending, streaks
from derain.rain.arrays import ImageF, Layer
from derain.rain.ranges import Draw, LogUniform, Ranges, Uniform, constant
from derain.rain.streaks import StreakGroup
from derain.rain.window import Window

LOOK_ALIKES: Ranges = {
    "strand_probability": constant(0.6),
    "angle": Uniform(0, 180),
    "mean": LogUniform(0.01, 0.3),
    "zoom": LogUniform(0.7, 7),
    "length": LogUniform(10, 300),
    "width": LogUniform(0.9, 2.6),
    "spread": LogUniform(0.2, 25),
    "period": LogUniform(4, 40),
    "duty": Uniform(0.2, 0.7),
    "opacity": Uniform(0.4, 1),
}


def look_alike(
    background: ImageF,
    depth: Layer | None,
    window: Window,
    draw: Draw,
    layers: Sequence[NDArray[Any]] = (),
) -> tuple[ImageF, ImageF, Layer]:
    """Strands or blinds of one colour over the image, in the ground truth too; no rain falls.

    Rain is brighter than what is behind it, and thin; so are a lit wire, a blade of grass, a
    fence. A network that never saw those kept takes them away.

    Args and returns as for `photo.photographed`; the rain layer is zero.
    """
    angle, zoom = draw("angle"), draw("zoom")
    if draw.chance("strand_probability"):
        group = StreakGroup(
            density=0,
            angle=angle,
            length=draw("length") * zoom,
            width=draw("width") * zoom**0.85,
            peak=1.0,
            angle_sd=draw("spread"),
            length_sd=0.5,
            profile="flat",
        )
        group = streaks.with_mean(group, draw("mean"))
        layer = np.minimum(streaks.render_reduced(group, window.size, draw.rng), 1)
    else:
        y, x = np.mgrid[: window.size[0], : window.size[1]].astype(np.float32)
        across = x * math.sin(math.radians(angle)) + y * math.cos(math.radians(angle))
        phase = np.abs((across / draw("period") + float(draw.rng.random())) % 1 - 0.5) * 2
        layer = np.clip((np.float32(draw("duty")) - phase) * 4 + 0.5, 0, 1)
    colour = draw.rng.random(background.shape[2], dtype=np.float32) ** np.float32(1.5)
    image = blending.over(background, layer * np.float32(draw("opacity")), colour)
    return image, image, np.zeros(window.size, np.float32)
