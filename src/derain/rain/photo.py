"""Rain as people photograph it: every appearance that was seen, drawn widely.

`realistic` is one physical model with a camera. Photographs from the web hold much more: streaks
of any width, back-lit drops, bokeh, curtains of blurred rain, splashes, rain lit by lamps or a
flash, and whatever resizing, sharpening and JPEG made of them. Nobody can calibrate that, so, as
Real-ESRGAN (Wang et al., ICCVW 2021) does for blur and noise, everything is randomised instead:
sizes over a factor of ten, brightness over a factor of fifty.

The rain is drawn at the size of the capture; then come the sensor, a reduction, contrast,
sharpening and JPEG (`editing`). The ground truth goes the same way without rain and without JPEG:
it keeps haze, night and noise, because a network that takes them away takes fine texture too.
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.rain import augment, blending, streaks
from derain.rain.arrays import ImageF, Layer, Size
from derain.rain.augment import AUGMENT
from derain.rain.editing import EDITING, edited, saved
from derain.rain.noise import line_kernel
from derain.rain.ranges import Draw, Integers, LogUniform, Normal, Ranges, Uniform, constant
from derain.rain.realistic import REAL, ambient, weather
from derain.rain.streaks import Profile, StreakGroup, Streaks
from derain.rain.window import Window, smooth_field

LIGHT = (
    "horizon", "depth_power", "day_brightness", "day_airlight", "night_brightness", "night_gamma",
    "night_airlight", "night_haze", "lamps", "lamp_radius", "lamp_power",
)  # fmt: skip

MIXED = ("mirror_probability", "rotation", "size_exponent", "amplitude", "layers")

# Sizes are px of the finished image for a zoom of 1, which multiplies them.
PHOTO: Ranges = {
    # Light and haze, which the ground truth keeps
    **{key: REAL[key] for key in LIGHT},
    "night_probability": constant(0.1),
    "day_haze": Uniform(0, 0.8),
    # Streaks
    "zoom": LogUniform(0.7, 7),
    "angle": Normal(90, 28, 20, 160),
    "mean": LogUniform(0.004, 0.22),  # of the streak layer, split over its groups
    "groups": Integers(1, 3),
    "concentration": constant(1.2),  # of the Dirichlet distribution that splits the mean
    "group_zoom": LogUniform(0.4, 1.65),  # times the zoom: groups lie at different distances
    "angle_offset": Normal(0, 4),
    "spread": LogUniform(0.2, 5),
    "length": LogUniform(6, 70),
    "width": LogUniform(0.9, 2.6),
    "peak": LogUniform(0.06, 0.98),
    "dash_probability": constant(0.15),
    "dash_aspect": Uniform(1, 4),  # length / width of a short dash
    "defocus": Uniform(0, 0.7),  # in widths
    "patch_probability": constant(0.5),
    "patchiness": Uniform(0, 2),  # exponent of the field that thins a layer over the image
    # Drops: out of focus, back-lit or lit by a flash
    "drops_probability": constant(0.25),
    "drop_radius": LogUniform(0.7, 2.6),
    "drop_density": LogUniform(2, 48),  # per 10^4 px², over the radius squared
    "drop_peak": LogUniform(0.1, 0.7),
    "drop_still_probability": constant(0.4),
    "drop_travel": Uniform(1, 6),  # in radii
    # Curtains of blurred rain
    "curtain_probability": constant(0.4),
    "curtain_width": LogUniform(2, 12),
    "curtain_aspect": Uniform(4, 25),
    "curtain_strength": LogUniform(0.03, 0.3),
    "curtain_patchiness": Uniform(0.5, 3),
    # Fine dense rain
    "fine_probability": constant(0.3),
    "fine_width": LogUniform(0.8, 2),
    "fine_aspect": Uniform(4, 20),
    "fine_threshold": Uniform(0.3, 1.6),  # in sd of the noise
    "fine_strength": Uniform(0.15, 0.9),
    # Splashes below the horizon
    "splash_probability": constant(0.12),
    "splash_density": LogUniform(2, 20),  # per 10^4 px² at zoom 1
    "splash_size": LogUniform(2, 6),
    "splash_peak": LogUniform(0.1, 0.5),
    # A part of the image alone, as before a dark wall: beside an edge through what is seen
    "part_probability": constant(0.25),
    "part_blur": LogUniform(1, 60),  # px over which the rain ends
    # Given layers, mixed in where there are any
    "layers_probability": constant(0.25),
    **{key: AUGMENT[key] for key in MIXED},
    # Colour of the rain and how it joins the image
    "tint": Uniform(0, 1),  # from the light around (0) to grey (1)
    "around_gain": LogUniform(0.75, 1.8),  # below 1: rain darker than the sky behind it
    "around_lift": Uniform(0, 0.12),
    "grey": Uniform(0.55, 1.05),
    "screen_probability": constant(0.25),
    "add_probability": constant(0.15),
    # Camera and web
    "resize_probability": constant(0.25),
    "resize": LogUniform(0.3, 1),
    "sensor_noise": Uniform(0, 0.018),
    **EDITING,
}
FINE: Ranges = {**PHOTO, "zoom": LogUniform(0.7, 1.5)}
MEDIUM: Ranges = {**PHOTO, "zoom": LogUniform(1.5, 3.2)}
COARSE: Ranges = {**PHOTO, "zoom": LogUniform(3.2, 7)}
NIGHT: Ranges = {**PHOTO, "night_probability": constant(1.0), "peak": LogUniform(0.1, 0.95)}

CAPTURE = 4096  # px, the longest side that an image is enlarged to for its capture


def photographed(
    background: ImageF,
    depth: Layer | None,
    window: Window,
    draw: Draw,
    layers: Sequence[NDArray[Any]] = (),
) -> tuple[ImageF, ImageF, Layer]:
    """Rain as it arrives in a photograph from the web.

    Args:
        background: (H, W, 1 or 3) in [0, 1].
        depth: (H, W) in [0, 1], 1 = far; None invents a landscape.
        window: Where the background lies in its image.
        draw: The ranges of `PHOTO` or of a relative.
        layers: Photographs of rain on black, which are mixed in now and then.

    Returns:
        The rainy image; the same with its haze, light and noise but without rain and JPEG; the
        rain layer (H, W).
    """
    reduction = draw("resize") if draw.chance("resize_probability") else 1.0
    reduction = min(1.0, max(reduction, max(window.full) / CAPTURE))
    capture = window.enlarged(1 / reduction)
    background = _resized(background, capture.size)
    depth = None if depth is None else _resized(depth[..., None], capture.size)[..., 0]
    hazy = weather(background, depth, capture, draw).hazy
    rain = rain_layer(capture, draw("zoom") / reduction, draw, layers)
    rainy = blended(hazy, rain, draw, capture.scale)
    noise = np.float32(draw("sensor_noise")) * draw.rng.standard_normal(hazy.shape, np.float32)
    noise *= np.sqrt(np.maximum(hazy, np.float32(0.05)))
    clean, rainy = (_resized(np.clip(x + noise, 0, 1), window.size) for x in (hazy, rainy))
    rain = _resized(rain[..., None], window.size)[..., 0]
    rainy, clean = edited((rainy, clean), draw)
    return saved(rainy, draw), clean, rain


def rain_layer(
    window: Window, zoom: float, draw: Draw, layers: Sequence[NDArray[Any]] = ()
) -> Layer:
    """All the rain of one image, screened together: (H, W) in [0, 0.98]."""
    angle = draw("angle")
    dry = np.ones(window.size, np.float32)
    if layers and draw.chance("layers_probability"):
        dry -= np.minimum(augment.mix_layers(layers, window.size, draw), 1)
    mean, concentration = draw("mean"), draw("concentration")
    for part in draw.rng.dirichlet(np.full(int(draw("groups")), concentration)):
        dry *= 1 - streak_group(float(part) * mean, angle, zoom, window, draw)
    if draw.chance("fine_probability"):
        dry *= 1 - fine_rain(angle, zoom, window, draw)
    if draw.chance("curtain_probability"):
        dry *= 1 - curtain(angle, zoom, window, draw)
    if draw.chance("drops_probability"):
        dry *= 1 - drops(angle, zoom, window, draw)
    if draw.chance("splash_probability"):
        dry *= 1 - splashes(zoom, window, draw)
    rain = np.minimum(1 - dry, np.float32(0.98))
    return rain * beside_an_edge(window.size, draw) if draw.chance("part_probability") else rain


def beside_an_edge(shape: Size, draw: Draw) -> Layer:
    """1 on one side of a straight edge through the image or crop, 0 on the other: (H, W)."""
    angle = draw.rng.uniform(0, 2 * math.pi)
    y, x = draw.rng.uniform(0.1, 0.9, 2) * shape
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    beyond = math.cos(angle) * (columns - x) + math.sin(angle) * (rows - y)
    return np.clip(0.5 + beyond / draw("part_blur"), 0, 1).astype(np.float32)


def streak_group(mean: float, angle: float, zoom: float, window: Window, draw: Draw) -> Layer:
    """Streaks of one kind, in focus or not, perhaps only in places: (H, W) in [0, 1]."""
    zoom = zoom * draw("group_zoom")
    width = max(draw("width") * zoom**0.85, 0.9)
    short = draw.chance("dash_probability")
    length = width * draw("dash_aspect") if short else max(draw("length") * zoom, 2 * width)
    profile: Profile = ("soft", "flat", "tail")[int(draw.rng.integers(3))]
    group = StreakGroup(
        density=0,
        angle=angle + draw("angle_offset"),
        length=max(length, 2.0),
        width=width,
        peak=draw("peak"),
        angle_sd=draw("spread"),
        length_sd=0.45,
        peak_sd=0.5,
        blur=draw("defocus") * width,
        profile=profile,
    )
    layer = streaks.render_reduced(streaks.with_mean(group, mean), window.size, draw.rng)
    return np.minimum(layer, 1) * _patches("patchiness", window, draw)


def fine_rain(angle: float, zoom: float, window: Window, draw: Draw) -> Layer:
    """Dense thin rain, too small to be drawn streak by streak: (H, W) in [0, 1]."""
    width = max(draw("fine_width") * zoom**0.7, 0.8)
    noise = oriented_noise(width, width * draw("fine_aspect"), angle, window.size, draw.rng)
    bright = np.clip((noise - np.float32(draw("fine_threshold"))) / 2, 0, 1)
    return bright * np.float32(draw("fine_strength")) * _patches("patchiness", window, draw)


def curtain(angle: float, zoom: float, window: Window, draw: Draw) -> Layer:
    """Rain so dense and so far out of focus that only its sheets are seen: (H, W) in [0, 1]."""
    width = draw("curtain_width") * zoom**0.6
    noise = oriented_noise(width, width * draw("curtain_aspect"), angle, window.size, draw.rng)
    field = smooth_field(window, draw.rng) ** np.float32(draw("curtain_patchiness"))
    return np.clip(0.5 + 0.35 * noise, 0, 1) * np.float32(draw("curtain_strength")) * field


def oriented_noise(
    width: float, length: float, angle: float, shape: Size, rng: np.random.Generator
) -> Layer:
    """White noise blurred across (sd `width` / 2) and along `angle` (`length` px), of sd 1."""
    step = max(width / 2, 1.0)  # px of a noise cell: broad noise needs no more
    reach = math.ceil(length / step / 2) + 4
    grid = (math.ceil(shape[0] / step) + 2 * reach, math.ceil(shape[1] / step) + 2 * reach)
    white = rng.standard_normal(grid, dtype=np.float32)
    noise = cv2.filter2D(white, -1, line_kernel(length / step, angle))
    noise = cv2.GaussianBlur(noise, (0, 0), max(width / step / 2, 0.4))
    return _enlarged(noise[reach:-reach, reach:-reach] / max(float(noise.std()), 1e-6), step, shape)


def drops(angle: float, zoom: float, window: Window, draw: Draw) -> Layer:
    """Discs of drops that are out of focus, still or drawn out by their fall: (H, W) in [0, 1]."""
    radius = draw("drop_radius") * zoom**0.8
    step = max(1.0, radius / 3)  # px of a cell: large discs need no more
    r = radius / step
    still = draw.chance("drop_still_probability")
    travel = 0.0 if still else draw("drop_travel") * r
    reach = math.ceil(r + travel / 2) + 2
    grid = tuple(math.ceil(side / step) + 2 * reach for side in window.size)
    light = np.zeros(grid, np.float32)
    count = draw.rng.poisson(draw("drop_density") * light.size / 1e4 / r**2)
    rows, columns = draw.rng.integers(0, grid[0], count), draw.rng.integers(0, grid[1], count)
    light[rows, columns] = draw("drop_peak") * np.exp(0.5 * draw.rng.standard_normal(count))
    layer = cv2.filter2D(light, -1, disc_kernel(r))
    if travel > 1:
        layer = cv2.filter2D(layer, -1, line_kernel(travel, angle)) * np.float32(
            min(1 + travel / (2 * r), 3)  # the eye, and automatic exposure, see them as bright
        )
    layer = cv2.GaussianBlur(layer, (0, 0), 0.3 + 0.3 * float(draw.rng.random()))
    return np.clip(_enlarged(layer[reach:-reach, reach:-reach], step, window.size), 0, 1)


def disc_kernel(radius: float) -> Layer:
    """A disc of height 1 with an antialiased rim: (2n+1, 2n+1) float32."""
    n = math.ceil(radius) + 1
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    return np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)


def splashes(zoom: float, window: Window, draw: Draw) -> Layer:
    """Crowns of short dashes where drops meet the ground: (H, W) in [0, 1]."""
    size, horizon = draw("splash_size") * zoom, draw("horizon")
    rng, (height, width) = draw.rng, window.size
    crowns = rng.poisson(draw("splash_density") / zoom**2 * height * width / 1e4)
    dashes = 5
    x = np.repeat(rng.uniform(0, width, crowns), dashes)
    y = np.repeat(rng.uniform(0, height, crowns), dashes)
    angle = np.radians(rng.uniform(20, 160, crowns * dashes))
    length = size * np.exp(0.4 * rng.standard_normal(crowns * dashes))
    dx, dy = length / 2 * np.cos(angle), -length / 2 * np.sin(angle)
    peak = draw("splash_peak") * np.exp(0.5 * rng.standard_normal(crowns * dashes))
    found = Streaks(x + 1.5 * dx, y + 1.5 * dy, dx, dy, peak)
    group = StreakGroup(density=0, angle=90, length=size, width=1 + 0.5 * zoom**0.7, peak=1)
    ground = window.rows > horizon
    return np.minimum(streaks.draw(found, group, window.size), 1) * ground[:, None]


def blended(hazy: ImageF, rain: Layer, draw: Draw, scale: float) -> ImageF:
    """The image with the rain in front of it, in the light around it: (H, W, C) in [0, 1]."""
    kind, tint, grey = draw.rng.random(), np.float32(draw("tint")), np.float32(draw("grey"))
    lit = ambient(hazy, scale) * np.float32(draw("around_gain")) + np.float32(draw("around_lift"))
    colour = np.minimum((1 - tint) * lit + tint * grey, 1)
    screen, add = draw("screen_probability"), draw("add_probability")
    if kind < screen:
        return blending.screen(hazy, np.minimum(rain * grey, 1))
    if kind < screen + add:
        return blending.add(hazy, rain * grey)
    return blending.over(hazy, rain, colour)


def _patches(key: str, window: Window, draw: Draw) -> Layer | np.float32:
    """A smooth field that leaves rain only in places, or 1."""
    if not draw.chance("patch_probability"):
        return np.float32(1)
    return smooth_field(window, draw.rng) ** np.float32(draw(key))


def _enlarged(layer: Layer, step: float, shape: Size) -> Layer:
    """A layer that was drawn in cells of `step` px, at its full size, cut to `shape`."""
    if step == 1:
        return layer
    size = (round(layer.shape[1] * step), round(layer.shape[0] * step))
    return np.asarray(cv2.resize(layer, size), np.float32)[: shape[0], : shape[1]]


def _resized(image: ImageF, size: Size) -> ImageF:
    """The image at another size; averaged where it is reduced."""
    if image.shape[:2] == size:
        return image
    method = cv2.INTER_AREA if size[0] < image.shape[0] else cv2.INTER_CUBIC
    resized = cv2.resize(image, size[::-1], interpolation=method)
    return np.clip(resized, 0, 1).reshape(*size, image.shape[2])
