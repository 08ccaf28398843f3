"""Particle engine: rain as many separate streaks (specification, section 4).

Two kinds of streak were found in the layers of Rain100H. Soft streaks have a Gaussian
cross-section and tapered ends, and their light adds up. Bars have one constant grey, are aliased
and two pixels wide, and where they overlap nothing adds up.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.rain.arrays import Layer, Size

Profile = Literal["soft", "flat", "tail"]
Floats = NDArray[Any]

FWHM = 2.355  # full width at half maximum of a Gaussian of sd 1
SPLAT_VARIANCE = 0.17  # px², of bilinear splatting averaged over sub-pixel positions
SAMPLE_STEP = 0.8  # px between the samples of a streak
CHUNK = 2_000_000  # samples
PROFILE_MEAN: dict[Profile, float] = {"soft": 0.75, "flat": 1.0, "tail": 0.5431}


@dataclass(frozen=True)
class StreakGroup:
    """Streaks of one kind and one direction."""

    density: float  # streaks per 10^4 px²
    angle: float  # degrees, counter-clockwise from +x with y up; 90 is vertical
    length: float  # px, median
    width: float  # px, full width at half maximum; a bar is 1 or 2 px wide
    peak: float  # median brightness in [0, 1] in the middle of a streak
    angle_sd: float = 0.0  # degrees
    length_sd: float = 0.0  # of the logarithm
    peak_sd: float = 0.0  # of the logarithm
    profile: Profile = "soft"
    combine: Literal["add", "max"] = "add"
    blur: float = 0.0  # px, sd of the defocus


def profile_along(u: Floats, profile: Profile) -> Floats:
    """Brightness along a streak, 0 to 1, at the positions `u` in (0, 1) from tail to head."""
    if profile == "soft":
        return np.minimum(1, 4 * np.minimum(u, 1 - u))
    if profile == "tail":
        return np.minimum(1, 6 * (1 - u)) * u**0.7
    return np.ones_like(u)


def soft_density(mean: float, group: StreakGroup) -> float:
    """Density that gives an `add` group the layer mean `mean` (the group's own is not read)."""
    light = (
        group.peak
        * math.exp(group.peak_sd**2 / 2)
        * group.length
        * math.exp(group.length_sd**2 / 2)
        * PROFILE_MEAN[group.profile]
        * math.sqrt(2 * math.pi)
        * _sigma(group.width)
    )
    return 1e4 * mean / light


def bar_density(mean: float, group: StreakGroup) -> float:
    """Density that gives a `max` group the layer mean `mean`; it must stay below its peak."""
    coverage = mean / group.peak
    steepness = math.radians(group.angle)
    pixels = (  # a one-pixel line has as many pixels as rows (or columns) that it crosses
        group.length
        * math.exp(group.length_sd**2 / 2)
        * max(abs(math.sin(steepness)), abs(math.cos(steepness)))
    )
    return -1e4 * math.log1p(-coverage) / (pixels * _bar_width(group.width))


class Streaks(NamedTuple):
    """Single streaks, one array element each; px, x to the right, y downwards."""

    x: Floats  # centre
    y: Floats
    dx: Floats  # from the centre to the head
    dy: Floats
    peak: Floats


def render(group: StreakGroup, shape: Size, rng: np.random.Generator) -> Layer:
    """Scatter and draw one group.

    Args:
        group: What to draw.
        shape: (H, W) of the layer.
        rng: Source of every position, length, direction and brightness.

    Returns:
        (H, W) float32, at least 0. May exceed 1 where soft streaks cross: clip after composing.
    """
    return draw(scatter(group, shape, rng), group, shape)


def with_mean(group: StreakGroup, mean: float) -> StreakGroup:
    """The `add` group with the density that gives its layer this mean."""
    return replace(group, density=soft_density(mean, group))


def render_reduced(group: StreakGroup, shape: Size, rng: np.random.Generator) -> Layer:
    """As `render`, but wide or blurred streaks are drawn small and enlarged, which costs less.

    Streaks stay at least 4 px wide on the small layer, so that enlarging it does not show.
    """
    step = int(max(group.width, 2 * group.blur) / 4)
    if step < 2:
        return render(group, shape, rng)
    small = replace(
        group,
        density=group.density * step**2,
        length=group.length / step,
        width=group.width / step,
        blur=group.blur / step,
    )
    layer = render(small, (-(-shape[0] // step) + 1, -(-shape[1] // step) + 1), rng)
    large = cv2.resize(layer, (layer.shape[1] * step, layer.shape[0] * step))
    return np.ascontiguousarray(large[: shape[0], : shape[1]])


def scatter(group: StreakGroup, shape: Size, rng: np.random.Generator) -> Streaks:
    """Random streaks of a group, all that can touch a layer of `shape`."""
    height, width = shape
    reach = 2 * group.length + 3 * (group.width + group.blur)  # of the longest streak
    area = (height + 2 * reach) * (width + 2 * reach)
    count = rng.poisson(group.density * area / 1e4)
    x = rng.uniform(-reach, width + reach, count)
    y = rng.uniform(-reach, height + reach, count)
    length = group.length * np.exp(group.length_sd * rng.standard_normal(count))
    length = np.clip(length, 2, max(4 * group.length, 2))
    peak = group.peak * np.exp(group.peak_sd * rng.standard_normal(count))
    angle = np.radians(group.angle + group.angle_sd * rng.standard_normal(count))
    return Streaks(x, y, length / 2 * np.cos(angle), -length / 2 * np.sin(angle), peak)


def draw(found: Streaks, group: StreakGroup, shape: Size) -> Layer:
    """Draw streaks in the manner of their group (its profile, width, combine and blur): (H, W)."""
    sigma = math.sqrt(max(_sigma(group.width) ** 2 - SPLAT_VARIANCE, 0))
    margin = math.ceil(4 * max(sigma, group.blur)) + 2  # so that blurring sees rain outside
    frame = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    inside = _visible(found._replace(x=found.x + margin, y=found.y + margin), frame)
    if group.combine == "add":
        layer = _splat(inside, group.profile, frame)
        layer = _gaussian(layer, sigma) * (math.sqrt(2 * math.pi) * _sigma(group.width))
    else:
        layer = _bars(inside, group, frame)
    layer = _gaussian(layer, group.blur)
    return np.ascontiguousarray(layer[margin : margin + shape[0], margin : margin + shape[1]])


def _sigma(width: float) -> float:
    """Sd of the cross-section that is really drawn: the splat sets a lower bound."""
    return max(width / FWHM, math.sqrt(SPLAT_VARIANCE))


def _bar_width(width: float) -> float:
    """Columns that a bar covers, its 40 % fringe included."""
    return 2.4 if width >= 1.5 else 1.0


def _visible(found: Streaks, frame: Size) -> Streaks:
    """Those that may touch the frame."""
    height, width = frame
    hit = (np.abs(found.x - width / 2) < width / 2 + np.abs(found.dx) + 2) & (
        np.abs(found.y - height / 2) < height / 2 + np.abs(found.dy) + 2
    )
    return Streaks(*(values[hit] for values in found))


def _splat(found: Streaks, profile: Profile, frame: Size) -> Layer:
    """Add the light of all streaks, sampled along their axes, to the four nearest pixels."""
    height, width = frame
    layer = np.zeros(height * width)
    for x, y, dx, dy, peak, samples in _chunks(found):
        streak = np.repeat(np.arange(len(samples)), samples)
        nth = np.arange(len(streak)) - (np.cumsum(samples) - samples)[streak]
        t = ((2 * nth + 1) / samples[streak] - 1).astype(np.float32)  # -1 at the tail, 1 ahead
        px, py = x[streak] + t * dx[streak], y[streak] + t * dy[streak]
        light = (peak * 2 * np.hypot(dx, dy) / samples).astype(np.float32)[streak]
        light *= profile_along((t + 1) / 2, profile)
        inside = (px >= 0) & (px < width - 1) & (py >= 0) & (py < height - 1)
        px, py, light = px[inside], py[inside], light[inside]
        column, row = px.astype(np.int64), py.astype(np.int64)
        fx, fy = px - column, py - row
        corner = row * width + column
        for offset, weight in (
            (0, (1 - fx) * (1 - fy)),
            (1, fx * (1 - fy)),
            (width, (1 - fx) * fy),
            (width + 1, fx * fy),
        ):
            layer += np.bincount(corner + offset, light * weight, height * width)
    return layer.reshape(frame).astype(np.float32)


def _chunks(found: Streaks) -> Iterator[tuple[Floats, ...]]:
    """Streaks (float32) with their numbers of samples, few enough at a time to bound the memory."""
    samples = np.ceil(2 * np.hypot(found.dx, found.dy) / SAMPLE_STEP).astype(np.int64)
    part = np.cumsum(samples) // CHUNK
    ends = np.flatnonzero(np.diff(part)) + 1
    columns = [*(values.astype(np.float32) for values in found), samples]
    yield from zip(*(np.split(values, ends) for values in columns), strict=True)


def _bars(found: Streaks, group: StreakGroup, frame: Size) -> Layer:
    """Draw all streaks as aliased lines of one grey; overlaps do not add up."""
    mask = np.zeros(frame, np.uint8)
    x, y, dx, dy, _ = found
    if len(x):
        # Sub-pixel end points (4 fractional bits): whole ones would quantise the directions.
        ends = np.stack([x - dx, y - dy, x + dx, y + dy], axis=1).reshape(-1, 2, 1, 2)
        lines = np.rint(ends * 16).astype(np.int32)
        cv2.polylines(mask, list(lines), False, 1, 1, cv2.LINE_8, shift=4)
    layer = mask.astype(np.float32)
    if group.width >= 1.5:
        steep = abs(math.sin(math.radians(group.angle))) > math.sqrt(0.5)
        once = _shift(layer, 1, axis=1 if steep else 0)
        fringe = _shift(layer, 2, axis=1 if steep else 0)
        layer = np.maximum(np.maximum(layer, once), 0.4 * fringe)
    return layer * np.float32(group.peak)


def _shift(layer: Layer, by: int, axis: int) -> Layer:
    """Move a layer by a few pixels to the right (axis 1) or down (axis 0)."""
    return np.roll(layer, by, axis)  # what wraps round lies in the margin, which is cut off


def _gaussian(layer: Layer, sigma: float) -> Layer:
    """Gaussian blur; none for a sd of 0."""
    return cv2.GaussianBlur(layer, (0, 0), sigma) if sigma > 0 else layer
