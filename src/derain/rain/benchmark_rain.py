"""Recipes of the benchmark presets (specification, section 7).

Each recipe is a table of ranges and, beside it, the function that draws from them and makes the
rain layer: (H, W) float32, at least 0. The numbers are fits to the published scores of the rainy
inputs (and, for Rain100H, to the layers themselves), not the makers' own settings.
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from derain.rain import noise, streaks
from derain.rain.arrays import Layer, Size
from derain.rain.blending import screen_layers
from derain.rain.noise import NoiseLayer
from derain.rain.ranges import (
    Choice,
    Draw,
    Integers,
    LogNormal,
    LogUniform,
    Normal,
    Ranges,
    Uniform,
    constant,
)
from derain.rain.streaks import StreakGroup

MAX_COVERAGE = 0.42  # above it bars merge to plates


# Light rain of one direction.
RAIN100L: Ranges = {
    "mean": LogUniform(0.0065, 0.033),
    "angle": Normal(90, 12, 55, 125),
    "angle_spread": constant(1.0),
    "length": LogUniform(18, 60),
    "width": LogUniform(1.2, 2),
    "peak": LogUniform(0.08, 0.30),
    "bar_probability": constant(0.4),
}


def rain100l(draw: Draw, shape: Size, full_size: Size) -> Layer:
    """One group of soft streaks or bars."""
    mean = draw("mean")
    make = _bars if draw.chance("bar_probability") else _soft
    group = make(
        mean,
        angle=draw("angle"),
        angle_sd=draw("angle_spread"),
        length=draw("length"),
        width=draw("width"),
        peak=draw("peak"),
    )
    return _sum_of([group], draw, shape)


# Heavy rain: soft streaks and bars of several directions, added up.
RAIN100H: Ranges = {
    "mean": LogNormal(0.232, 0.36, 0.06, 0.45),
    "groups": Integers(3, 6),
    "concentration": constant(1.6),  # of the Dirichlet distribution that splits the mean
    "angle": Normal(89.8, 5, 65, 115),
    "angle_offset": Normal(0, 6),
    "crossing_probability": constant(0.2),
    "crossing_offset": Normal(0, 16),
    "length_scale": LogUniform(0.65, 2),
    "bar_probability": constant(0.45),
    "soft_length": LogUniform(36, 105),
    "soft_width": LogUniform(1.5, 2.5),
    "soft_peak": LogUniform(0.08, 0.18),
    "soft_spread": Uniform(0.2, 1.8),
    "bar_length": LogUniform(42, 130),
    "bar_wide_probability": constant(0.75),
    "bar_peak": Uniform(0.12, 0.34),
    "bar_spread": Uniform(0.1, 1),
}


def rain100h(draw: Draw, shape: Size, full_size: Size) -> Layer:
    """Three to six groups; the first is always soft (specification, section 7.1)."""
    mean, scale, angle = draw("mean"), draw("length_scale"), draw("angle")
    count = int(draw("groups"))
    parts = draw.rng.dirichlet(np.full(count, draw("concentration")))
    groups = []
    for k, part in enumerate(parts * mean):
        direction = angle
        if k > 0:
            crossing = draw.chance("crossing_probability")
            direction += draw("crossing_offset" if crossing else "angle_offset")
        if k == 0 or not draw.chance("bar_probability"):
            group = _soft(
                part,
                angle=direction,
                angle_sd=draw("soft_spread"),
                length=scale * draw("soft_length"),
                width=draw("soft_width"),
                peak=draw("soft_peak"),
            )
        else:
            group = _bars(
                part,
                angle=direction,
                angle_sd=draw("bar_spread"),
                length=scale * draw("bar_length"),
                width=2.0 if draw.chance("bar_wide_probability") else 1.0,
                peak=draw("bar_peak"),
            )
        groups.append(group)
    return _sum_of(groups, draw, shape)


# Fourteen kinds: seven directions times two magnitudes.
RAIN1400: Ranges = {
    "direction": Choice((60, 70, 80, 90, 100, 110, 120)),
    "angle_offset": Normal(0, 2),
    "heavy_probability": constant(0.5),
    "light_mean": LogUniform(0.017, 0.038),
    "heavy_mean": LogUniform(0.048, 0.115),
    "particle_probability": constant(0.75),
    "length": Uniform(14, 26),
    "width": LogUniform(1.5, 2.6),
    "peak": LogUniform(0.12, 0.30),
    "spread": Uniform(0.3, 2),
    "amount": Uniform(0.1, 0.3),
    "grain": Uniform(1, 1.6),
    "black": constant(0.35),
    "white": constant(0.97),
}


def rain1400(draw: Draw, shape: Size, full_size: Size) -> Layer:
    """Particles or noise, one direction."""
    angle = draw("direction") + draw("angle_offset")
    mean = draw("heavy_mean" if draw.chance("heavy_probability") else "light_mean")
    length = draw("length")
    if draw.chance("particle_probability"):
        group = _soft(
            mean,
            angle=angle,
            angle_sd=draw("spread"),
            length=length,
            width=draw("width"),
            peak=draw("peak"),
        )
        return _sum_of([group], draw, shape)
    layer = NoiseLayer(
        amount=draw("amount"),
        grain=draw("grain"),
        angle=angle,
        length=length,
        black=draw("black"),
        white=draw("white"),
    )
    return noise.with_mean(noise.render(layer, shape, draw.rng), mean)


# Noise rain of one of three densities (the defaults are the medium one).
RAIN1200: Ranges = {
    "amount": Uniform(0.10, 0.22),
    "mean": LogUniform(0.055, 0.11),
    "grain": LogUniform(1.4, 4),
    "angle": Uniform(60, 120),
    "length": Uniform(14, 40),  # times the square root of the grain
    "black": Uniform(0.2, 0.5),
    "white": Uniform(0.96, 0.995),
    "gamma": Uniform(0.9, 1.5),
    "soft": Uniform(0.4, 1.3),
}


def rain1200(draw: Draw, shape: Size, full_size: Size) -> Layer:
    """One layer of noise."""
    mean, grain = draw("mean"), draw("grain")
    layer = NoiseLayer(
        amount=draw("amount"),
        grain=grain,
        angle=draw("angle"),
        length=draw("length") * grain**0.5,
        black=draw("black"),
        white=draw("white"),
        gamma=draw("gamma"),
        soft=draw("soft"),
    )
    return noise.with_mean(noise.render(layer, shape, draw.rng), mean)


# Two layers of noise and a washed-out contrast: COCO350, BDD350.
PHOTOSHOP_HEAVY: Ranges = {
    "amount": Uniform(0.12, 0.35),
    "grain": LogUniform(1.3, 4),  # times the scale of the image
    "angle": Uniform(60, 120),
    "second_angle": Normal(0, 5),
    "length": Uniform(18, 50),  # times the scale of the image
    "black": Uniform(0.2, 0.5),
    "white": Uniform(0.96, 0.995),
    "gamma": Uniform(0.9, 1.5),
    "soft": Uniform(0.4, 1.3),
    "brightness": LogUniform(0.12, 0.38),  # the 90 % quantile of each layer
    "offset": Uniform(0.05, 0.26),
}


def photoshop_heavy(draw: Draw, shape: Size, full_size: Size) -> Layer:
    """Two noise layers of nearly one direction, screened together."""
    scale = max(0.7, max(full_size) / 640)
    angle = draw("angle")
    both = np.zeros(shape, np.float32)
    for direction in (angle, angle + draw("second_angle")):
        layer = NoiseLayer(
            amount=draw("amount"),
            grain=max(draw("grain") * scale, 1.0),
            angle=direction,
            length=draw("length") * scale,
            black=draw("black"),
            white=draw("white"),
            gamma=draw("gamma"),
            soft=draw("soft"),
        )
        rain = noise.with_quantile(noise.render(layer, shape, draw.rng), 0.9, draw("brightness"))
        both = screen_layers(both, np.minimum(rain, 1))
    return both


def _soft(mean: float, **settings: Any) -> StreakGroup:
    """Soft streaks whose layer has the mean `mean`."""
    group = StreakGroup(density=0, length_sd=0.4, peak_sd=0.42, **settings)
    return replace(group, density=streaks.soft_density(mean, group))


def _bars(mean: float, **settings: Any) -> StreakGroup:
    """Bars whose layer has the mean `mean`, made brighter where they would merge to plates."""
    settings["peak"] = max(settings["peak"], mean / MAX_COVERAGE)
    group = StreakGroup(density=0, length_sd=0.45, combine="max", **settings)
    return replace(group, density=streaks.bar_density(mean, group))


def _sum_of(groups: list[StreakGroup], draw: Draw, shape: Size) -> Layer:
    """Render the groups, add their light, note them among the parameters."""
    draw.note("streaks", [asdict(group) for group in groups])
    total = np.zeros(shape, np.float32)
    for group in groups:
        total += streaks.render(group, shape, draw.rng)
    return total
