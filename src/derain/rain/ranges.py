"""Ranges of a preset, how a value is drawn from one, and how a user overrides one.

A preset holds a table of ranges by name. A name has one meaning in every preset, so that the
limits of what is possible are one table, `LIMITS`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Uniform:
    """Every value between `low` and `high` is equally likely."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        return float(rng.uniform(self.low, self.high))


@dataclass(frozen=True)
class LogUniform:
    """Every ratio is equally likely: as much between 1 and 2 as between 2 and 4."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))


@dataclass(frozen=True)
class Normal:
    """A bell curve without what lies outside [low, high]."""

    mean: float
    sd: float
    low: float = -np.inf
    high: float = np.inf

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        while True:  # clipping would pile up a direction at the limit that no other rain has
            value = float(rng.normal(self.mean, self.sd))
            if self.low <= value <= self.high:
                return value


@dataclass(frozen=True)
class LogNormal:
    """A bell curve of the logarithm (`sd`) around `median`, cut to [low, high]."""

    median: float
    sd: float
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        return float(np.clip(self.median * np.exp(rng.normal(0, self.sd)), self.low, self.high))


@dataclass(frozen=True)
class Integers:
    """Every integer from `low` to `high`, both included."""

    low: int
    high: int

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        return float(rng.integers(self.low, self.high + 1))


@dataclass(frozen=True)
class Choice:
    """One of the listed values."""

    options: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> float:
        """Return one value."""
        return float(self.options[rng.integers(len(self.options))])


Range = Uniform | LogUniform | Normal | LogNormal | Integers | Choice
Ranges = dict[str, Range]
Changes = Mapping[str, float | Sequence[float]]


def constant(value: float) -> Uniform:
    """A range of one value."""
    return Uniform(value, value)


class Draw:
    """Draws from the ranges of one preset and remembers what it drew.

    Args:
        rng: The generator of this (seed, index); recipes take their other randomness from it too.
        ranges: The ranges of the preset.
    """

    def __init__(self, rng: np.random.Generator, ranges: Ranges) -> None:
        self.rng = rng
        self.ranges = ranges
        self._drawn: dict[str, list[float]] = {}
        self._notes: dict[str, Any] = {}

    def __call__(self, key: str) -> float:
        """Draw one value of the range `key`."""
        value = self.ranges[key].draw(self.rng)
        self._drawn.setdefault(key, []).append(value)
        return value

    def chance(self, key: str) -> bool:
        """Toss a coin that shows heads with the probability `key`."""
        return bool(self.rng.random() < self(key))

    def note(self, key: str, value: Any) -> None:
        """Remember something that follows from the draws; it must be fit for JSON."""
        self._notes[key] = value

    @property
    def params(self) -> dict[str, Any]:
        """What was drawn: a number per key, a list where a key was drawn repeatedly; the notes."""
        drawn = {key: v[0] if len(v) == 1 else v for key, v in self._drawn.items()}
        return drawn | self._notes


def override(ranges: Ranges, changes: Changes) -> Ranges:
    """Replace ranges of a preset by a number or by a (low, high) pair.

    A pair keeps the manner of the range it replaces: logarithmic ranges stay logarithmic,
    integers stay integers.

    Args:
        ranges: The ranges of a preset.
        changes: Name -> number or (low, high).

    Returns:
        A changed copy of `ranges`.

    Raises:
        ValueError: If a name is unknown to the preset, or a range is not possible.
    """
    check_keys(changes, ranges)
    return {**ranges, **{key: _parse(key, new, ranges[key]) for key, new in changes.items()}}


def check_keys(changes: Iterable[str], allowed: Iterable[str]) -> None:
    """Raise ValueError for an override that no range answers to; it lists the allowed names."""
    allowed = sorted(allowed)
    for key in changes:
        if key not in allowed:
            raise ValueError(f"unknown override {key!r}; allowed keys: {', '.join(allowed)}")


def _parse(key: str, value: float | Sequence[float], old: Range) -> Range:
    """Turn the user's number or pair into a range like `old`, or say why it cannot be one."""
    pair = value if isinstance(value, Sequence) else (value, value)  # text fails in float() below
    floor, ceiling = LIMITS[key]
    try:
        low, high = (float(v) for v in pair)
        possible = floor <= low <= high <= ceiling
    except (TypeError, ValueError):
        low, high, possible = 0.0, 0.0, False
    whole = isinstance(old, Integers)
    if not possible or (whole and (low % 1 or high % 1)):
        kind = "an integer" if whole else "a number"
        raise ValueError(
            f"override {key!r}: {value!r} is not possible; "
            f"give {kind} or (low, high) within [{floor:g}, {ceiling:g}]"
        )
    if whole:
        return Integers(int(low), int(high))
    if isinstance(old, LogUniform | LogNormal) and low > 0:
        return LogUniform(low, high)
    return Uniform(low, high)


_UNIT = (0.0, 1.0)
_ANGLE = (0.0, 180.0)
_TURN = (-90.0, 90.0)
_SPREAD = (0.0, 45.0)
_LENGTH = (2.0, 2000.0)
_WIDTH = (0.9, 50.0)
_PEAK = (0.01, 1.0)

LIMITS: dict[str, tuple[float, float]] = {
    "add_probability": _UNIT,
    "amount": (0.001, 1.0),
    "amplitude": (0.0, 10.0),
    "angle": _ANGLE,
    "angle_offset": _TURN,
    "angle_spread": _SPREAD,
    "around_gain": (0.1, 5.0),
    "around_lift": _UNIT,
    "augment_probability": _UNIT,
    "bar_length": _LENGTH,
    "bar_peak": _PEAK,
    "bar_probability": _UNIT,
    "bar_spread": _SPREAD,
    "bar_wide_probability": _UNIT,
    "black": (0.0, 0.9),
    "brightness": (0.0, 1.0),
    "camera_blur": (1.0, 25.0),
    "camera_blur_probability": _UNIT,
    "concentration": (0.1, 100.0),
    "crossing_offset": _TURN,
    "crossing_probability": _UNIT,
    "curtain_aspect": (1.0, 100.0),
    "curtain_patchiness": (0.0, 10.0),
    "curtain_probability": _UNIT,
    "curtain_strength": _UNIT,
    "curtain_width": (0.8, 100.0),
    "dash_aspect": (0.5, 50.0),
    "dash_probability": _UNIT,
    "contrast": (0.1, 5.0),
    "contrast_probability": _UNIT,
    "day_airlight": _UNIT,
    "day_brightness": _UNIT,
    "day_haze": (0.0, 10.0),
    "defocus": (0.0, 5.0),
    "depth_power": (0.1, 10.0),
    "direction": _ANGLE,
    "drop_density": (0.0, 200.0),
    "drop_peak": _PEAK,
    "drop_radius": (0.5, 50.0),
    "drop_still_probability": _UNIT,
    "drop_travel": (0.0, 50.0),
    "drops_probability": _UNIT,
    "duty": _UNIT,
    "exposure": (0.1, 10.0),
    "fine_aspect": (1.0, 100.0),
    "fine_probability": _UNIT,
    "fine_strength": _UNIT,
    "fine_threshold": (-2.0, 4.0),
    "fine_width": (0.5, 20.0),
    "gamma": (0.1, 10.0),
    "grain": (1.0, 100.0),
    "grey": (0.0, 1.5),
    "group_zoom": (0.05, 5.0),
    "groups": (1.0, 12.0),
    "heavy_mean": _UNIT,
    "heavy_probability": _UNIT,
    "horizon": (0.0, 0.95),
    "intensity": (0.0, 20.0),
    "jpeg_quality": (1.0, 100.0),
    "jpeg_probability": _UNIT,
    "jpeg_twice_probability": _UNIT,
    "lamp_power": _UNIT,
    "lamp_radius": (0.001, 1.0),
    "lamps": (0.0, 50.0),
    "layers": (1.0, 10.0),
    "layers_probability": _UNIT,
    "length": _LENGTH,
    "length_scale": (0.1, 10.0),
    "light_mean": _UNIT,
    "mean": _UNIT,
    "mirror_probability": _UNIT,
    "night_airlight": _UNIT,
    "night_brightness": _UNIT,
    "night_gamma": (0.1, 10.0),
    "night_probability": _UNIT,
    "night_haze": (0.0, 10.0),
    "nothing_probability": _UNIT,
    "offset": (0.0, 0.9),
    "opacity": _UNIT,
    "particle_probability": _UNIT,
    "part_blur": (1.0, 1000.0),
    "part_probability": _UNIT,
    "patch_probability": _UNIT,
    "patchiness": (0.0, 10.0),
    "peak": _PEAK,
    "period": (2.0, 1000.0),
    "plane_angle": _TURN,
    "resize": (0.1, 1.0),
    "resize_probability": _UNIT,
    "rotation": _TURN,
    "screen_probability": _UNIT,
    "second_angle": _TURN,
    "sensor_noise": (0.0, 0.5),
    "sharpen": (0.0, 5.0),
    "sharpen_probability": _UNIT,
    "sharpen_radius": (0.3, 20.0),
    "shutter": (0.05, 1.0),
    "size_exponent": _UNIT,
    "soft": (0.0, 20.0),
    "soft_length": _LENGTH,
    "soft_peak": _PEAK,
    "soft_spread": _SPREAD,
    "soft_width": _WIDTH,
    "splash_density": (0.0, 200.0),
    "splash_peak": _PEAK,
    "splash_probability": _UNIT,
    "splash_size": (1.0, 100.0),
    "spread": _SPREAD,
    "strand_probability": _UNIT,
    "tint": _UNIT,
    "very_near_probability": _UNIT,
    "very_near_width": _WIDTH,
    "white": (0.9, 1.0),
    "width": _WIDTH,
    "zoom": (0.1, 10.0),
}
