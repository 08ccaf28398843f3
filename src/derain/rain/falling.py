"""Rain that falls on from frame to frame: the same drops, further down.

A streak is the way that a drop falls while the shutter is open. Between two frames it falls that
way again, and the way during which the shutter is closed. Kinds of streaks and how they join the
image are those of `photo`; frame k follows from (seed, k) alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.rain import streaks
from derain.rain.arrays import ImageF, Layer, Size
from derain.rain.photo import PHOTO, blended
from derain.rain.ranges import Changes, Draw, LogUniform, Ranges, check_keys, override
from derain.rain.streaks import Profile, StreakGroup, Streaks

KEYS = (
    "zoom", "angle", "mean", "groups", "concentration", "group_zoom", "angle_offset", "spread",
    "length", "width", "peak", "defocus", "tint", "around_gain", "around_lift", "grey",
    "screen_probability", "add_probability",
)  # fmt: skip
FALLING: Ranges = {
    **{key: PHOTO[key] for key in KEYS},
    "shutter": LogUniform(0.15, 0.8),  # part of the time between frames for which it is open
}


class FallingRain:
    """The rain of one clip.

    Args:
        size: (H, W) of the frames.
        seed: Another seed is other rain.
        changes: Ranges of `FALLING` to replace, by a number or a (low, high) pair.
    """

    def __init__(self, size: Size, seed: int = 0, changes: Changes | None = None) -> None:
        check_keys(changes or {}, set(FALLING))
        self.size, self.seed = size, seed
        self.ranges = override(FALLING, changes or {})
        draw = Draw(np.random.default_rng([seed, 0]), self.ranges)
        angle, zoom, mean, shutter = (draw(k) for k in ("angle", "zoom", "mean", "shutter"))
        shares = draw.rng.dirichlet(np.full(int(draw("groups")), draw("concentration")))
        self._groups = [
            _Group(streak_group(share * mean, angle, zoom, draw), size, shutter, draw.rng)
            for share in shares
        ]

    def layer(self, frame: int) -> Layer:
        """The rain of a frame: (H, W) in [0, 0.98]."""
        dry = np.ones(self.size, np.float32)
        for group in self._groups:
            dry *= 1 - np.minimum(group.layer(frame), 1)
        return np.minimum(1 - dry, np.float32(0.98))

    def __call__(self, image: NDArray[Any], frame: int) -> ImageF:
        """A clean frame, (H, W, 3) float32 in [0, 1] -> the same with its rain."""
        # The same draws for every frame: rain does not change its colour within a clip.
        draw = Draw(np.random.default_rng([self.seed, 1]), self.ranges)
        return np.clip(blended(image, self.layer(frame), draw, max(self.size) / 640), 0, 1)


def streak_group(mean: float, angle: float, zoom: float, draw: Draw) -> StreakGroup:
    """Streaks of one kind, which cover `mean` of the image."""
    zoom = zoom * draw("group_zoom")
    width = max(draw("width") * zoom**0.85, 0.9)
    profile: Profile = ("soft", "flat", "tail")[int(draw.rng.integers(3))]
    group = StreakGroup(
        density=0,
        angle=angle + draw("angle_offset"),
        length=max(draw("length") * zoom, 2 * width),
        width=width,
        peak=draw("peak"),
        angle_sd=draw("spread"),
        length_sd=0.3,
        peak_sd=0.5,
        blur=draw("defocus") * width,
        profile=profile,
    )
    return streaks.with_mean(group, mean)


class _Group:
    """The drops of one group, which come in again at the top when they have left the frame."""

    def __init__(
        self, group: StreakGroup, size: Size, shutter: float, rng: np.random.Generator
    ) -> None:
        self.group, self.size, self.shutter = group, size, shutter
        self.drops = streaks.scatter(group, size, rng)
        self.reach = 2 * group.length + 3 * (group.width + group.blur)  # as `scatter`

    def layer(self, frame: int) -> Layer:
        """(H, W), at least 0."""
        (height, width), reach, drops = self.size, self.reach, self.drops
        # A streak points upwards or downwards by its direction; its drop falls downwards.
        down = np.where(drops.dy < 0, -1, 1) * 2 * frame / self.shutter
        x = (drops.x + down * drops.dx + reach) % (width + 2 * reach) - reach
        y = (drops.y + down * drops.dy + reach) % (height + 2 * reach) - reach
        moved = Streaks(x, y, drops.dx, drops.dy, drops.peak)
        return streaks.draw(moved, self.group, self.size)
