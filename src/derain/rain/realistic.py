"""Realistic rain: depth, haze, light, planes of drops, sensor (specification, section 8).

The benchmarks lay streaks over a dry image. A photograph of rain is also hazier with distance
(rain accumulation) and darker, its streaks take the colour of the light around, the nearest are
out of focus, wind moves them in sheets, and a camera adds noise and JPEG. No reference
images exist for these numbers.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.levels import quantise
from derain.rain import blending, streaks
from derain.rain.arrays import ImageF, Layer
from derain.rain.noise import line_kernel
from derain.rain.ranges import Draw, Integers, LogUniform, Normal, Ranges, Uniform, constant
from derain.rain.streaks import Profile, StreakGroup
from derain.rain.window import Window, smooth_field

REAL: Ranges = {
    "night_probability": constant(0.2),
    "day_brightness": Uniform(0.8, 1),
    "night_brightness": Uniform(0.25, 0.6),
    "night_gamma": Uniform(1.1, 1.8),
    "horizon": Uniform(0.25, 0.6),  # of the height, from the top
    "depth_power": Uniform(0.8, 2),
    "day_haze": LogUniform(0.12, 1.1),  # optical depth of the farthest point
    "night_haze": Uniform(0, 0.5),
    "day_airlight": Uniform(0.72, 0.95),
    "night_airlight": Uniform(0.12, 0.3),
    "lamps": Integers(0, 3),  # at night
    "lamp_radius": LogUniform(0.06, 0.2),  # in units of the larger of height and width
    "lamp_power": Uniform(0.2, 0.6),
    "angle": Normal(90, 18, 45, 135),
    "plane_angle": Normal(0, 2),
    "intensity": LogUniform(0.2, 4),  # of the density; drizzle to downpour
    "exposure": LogUniform(0.6, 1.8),  # a longer one draws longer and fainter streaks
    "very_near_probability": constant(0.5),
    "very_near_width": LogUniform(4, 12),
    "camera_blur_probability": constant(0.15),
    "camera_blur": LogUniform(1.5, 5),  # px along x, times the scale of the image
    "sensor_noise": Uniform(0, 0.018),
    "jpeg_probability": constant(0.7),
    "jpeg_quality": Integers(70, 97),
}
REAL_NIGHT: Ranges = {**REAL, "night_probability": constant(1.0)}

DARKEST = np.float32(0.08)  # mean of an image; one that was taken at night is not darkened again


@dataclass(frozen=True)
class Plane:
    """Drops at one distance, for an image of 640 px."""

    density: float  # streaks per 10^4 px²
    length: float  # px
    width: float  # px
    peak: float
    blur: float  # px
    far: bool = False  # far planes are denser where the image is deep
    profile: Profile = "soft"


PLANES = (
    Plane(140, 7, 1.0, 0.10, 0.5, far=True),
    Plane(50, 15, 1.4, 0.16, 0.25, far=True),
    Plane(14, 30, 2.2, 0.20, 0.5, profile="tail"),
)
VERY_NEAR = Plane(1.2, 80, 6, 0.14, 2.2, profile="tail")  # in half of the images; out of focus


def realistic(
    background: ImageF,
    depth: Layer | None,
    window: Window,
    draw: Draw,
    layers: Sequence[NDArray[Any]] = (),
) -> tuple[ImageF, ImageF, Layer]:
    """Rain as a camera sees it.

    Args:
        background: (H, W, 1 or 3) in [0, 1].
        depth: (H, W) in [0, 1], 1 = far; None invents a landscape.
        window: Where the background lies in its image.
        draw: The ranges of `REAL` or of a relative.
        layers: Not used: planes of drops have their own depth, which photographs of rain lack.

    Returns:
        The rainy image; the same with its haze and light but without streaks, noise and JPEG;
        the rain layer (H, W).
    """
    scene = weather(background, depth, window, draw)
    hazy, airlight = scene.hazy, scene.airlight
    if draw.chance("camera_blur_probability"):
        hazy = shaken(hazy, draw("camera_blur") * window.scale)
    around = ambient(hazy, window.scale)
    colour = 1.2 * around + 0.2 * airlight if scene.night else 0.45 * around + 0.55 * airlight
    rain = rain_layer(scene.depth, window, draw)
    rainy = blending.over(hazy, rain, np.minimum(colour, 1))
    return sensor(rainy, draw), hazy, rain


class Weather(NamedTuple):
    """An image in the light and the haze of a rainy day or night, before any rain is drawn."""

    hazy: ImageF  # (H, W, 1 or 3) in [0, 1]
    airlight: ImageF  # the light of the haze, of a shape that broadcasts to the image's
    depth: Layer  # (H, W) in [0, 1], 1 = far
    night: bool


def weather(background: ImageF, depth: Layer | None, window: Window, draw: Draw) -> Weather:
    """Darken an image as the time of day says, and let its distance fade into haze.

    Args:
        background: (H, W, 1 or 3) in [0, 1].
        depth: (H, W) in [0, 1], 1 = far; None invents a landscape.
        window: Where the background lies in its image.
        draw: The light and haze ranges of `REAL` or of a relative.
    """
    night = draw.chance("night_probability")
    time = "night" if night else "day"
    draw.note("time", time)
    if depth is None:
        depth = landscape(window, draw)
    airlight = _tinted(draw(f"{time}_airlight"), background.shape[2])
    light = np.float32(draw(f"{time}_brightness"))
    if night:
        lamps = lamplight(window, background.shape[2], draw)
        background = background ** np.float32(draw("night_gamma"))
        light = np.maximum(light, DARKEST / np.maximum(background.mean(), DARKEST))
        light, airlight = light + lamps, airlight + lamps
    clear = np.exp(np.float32(-draw(f"{time}_haze")) * depth)[..., None]
    hazy = np.minimum(background * np.minimum(light, 1) * clear + airlight * (1 - clear), 1)
    return Weather(hazy, airlight, depth, night)


def landscape(window: Window, draw: Draw) -> Layer:
    """Depth (H, W) in [0, 1]: far above a horizon, nearer towards the bottom, not quite smooth."""
    horizon, power = draw("horizon"), draw("depth_power")
    below = np.clip((1 - window.rows) / (1 - horizon), 0, 1) ** power
    return np.clip(below[:, None] + 0.24 * (smooth_field(window, draw.rng) - 0.5), 0, 1)


def lamplight(window: Window, channels: int, draw: Draw) -> ImageF:
    """Light of a few lamps, warm or cold, around places in the image (H, W, channels)."""
    light = np.zeros((*window.size, channels), np.float32)
    larger = max(window.full)
    for _ in range(int(draw("lamps"))):
        x, y, warmth = draw.rng.uniform((0, 0, 0.2), (1, 0.7, 1))
        radius = draw("lamp_radius") * larger
        dx = (window.columns - x) * (window.full[1] / radius)
        dy = (window.rows - y) * (window.full[0] / radius)
        pool = (1 + dx[None, :] ** 2 + dy[:, None] ** 2) ** -1.5
        hue = np.array([1.0, 1.0 - 0.25 * warmth, 1.0 - 0.6 * warmth], np.float32)
        light += np.float32(draw("lamp_power")) * pool[..., None] * _channels(hue, channels)
    return light


def ambient(image: ImageF, scale: float) -> ImageF:
    """Light around each pixel: the image, blurred on a small copy (H, W, C)."""
    height, width, channels = image.shape
    step = 8 * max(scale, 0.5)
    small = (max(1, round(width / step)), max(1, round(height / step)))
    blurred = cv2.GaussianBlur(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (0, 0), 2)
    return cv2.resize(blurred, (width, height)).reshape(height, width, channels)


def rain_layer(depth: Layer, window: Window, draw: Draw) -> Layer:
    """Planes of drops under one wind, screened together, its strength varied by gusts: (H, W)."""
    angle, intensity, exposure = draw("angle"), draw("intensity"), draw("exposure")
    scale = max(window.scale, 0.5)  # below it streaks would be shorter than wide
    planes = list(PLANES)
    if draw.chance("very_near_probability"):
        spread = draw("very_near_width") / VERY_NEAR.width  # farther out of focus: wider, fainter
        planes.append(
            replace(
                VERY_NEAR,
                width=VERY_NEAR.width * spread,
                blur=VERY_NEAR.blur * spread,
                peak=VERY_NEAR.peak / math.sqrt(spread),
            )
        )
    groups = [
        StreakGroup(
            density=plane.density * intensity / scale**2,
            angle=angle + draw("plane_angle"),
            length=max(plane.length * exposure * scale, 2.0),
            width=plane.width * scale**0.7,
            peak=plane.peak / math.sqrt(exposure),
            angle_sd=1.0,
            length_sd=0.3,
            peak_sd=0.4,
            blur=plane.blur * scale**0.7,
            profile=plane.profile,
        )
        for plane in planes
    ]
    draw.note("streaks", [asdict(group) for group in groups])
    dry = np.ones(window.size, np.float32)
    for plane, group in zip(planes, groups, strict=True):
        layer = np.minimum(streaks.render(group, window.size, draw.rng), 1)
        dry *= 1 - (layer * (0.35 + 0.65 * depth) if plane.far else layer)
    gusts = 0.55 + 0.65 * smooth_field(window, draw.rng)
    return np.minimum((1 - dry) * gusts, np.float32(0.95))


def shaken(image: ImageF, length: float) -> ImageF:
    """Motion blur along x by a camera that moves, `length` px."""
    return cv2.filter2D(image, -1, line_kernel(length, 0)).reshape(image.shape)


def sensor(image: ImageF, draw: Draw) -> ImageF:
    """Noise that grows with the light, then perhaps JPEG."""
    sd = np.float32(draw("sensor_noise")) * np.sqrt(np.maximum(image, np.float32(0.05)))
    image = image + sd * draw.rng.standard_normal(image.shape, dtype=np.float32)
    if draw.chance("jpeg_probability"):
        image = jpeg(image, int(draw("jpeg_quality")))
    return np.clip(image, 0, 1)


def jpeg(image: ImageF, quality: int) -> ImageF:
    """What is left of an image (H, W, 1 or 3) after 8-bit JPEG of this quality."""
    _, code = cv2.imencode(".jpg", quantise(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(code, cv2.IMREAD_UNCHANGED)).reshape(image.shape)
    return decoded[..., ::-1].astype(np.float32) / 255


def _tinted(grey: float, channels: int) -> ImageF:
    """The slightly blue light of a wet sky."""
    return _channels(np.array([0.98, 1.0, 1.03], np.float32), channels) * np.float32(grey)


def _channels(colour: ImageF, channels: int) -> ImageF:
    """A colour for an image of three channels, its brightness for one of one channel."""
    return colour if channels == 3 else colour.mean(keepdims=True)
