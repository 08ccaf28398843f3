"""Where a crop lies in its image, and smooth random fields over the whole image.

Rain is rendered on crops, but a horizon, a gust of wind or a lamp belongs to the whole image: a
crop must see its part of it, not a small copy.
"""

from dataclasses import dataclass

import numpy as np

from derain.rain.arrays import Layer, Size


@dataclass(frozen=True)
class Window:
    """A crop: its place and size, and the size of the whole image, in px."""

    top: int
    left: int
    size: Size
    full: Size

    @property
    def rows(self) -> Layer:
        """(H,) height of the pixel rows in the whole image, 0 = top edge, 1 = bottom edge."""
        return ((self.top + np.arange(self.size[0]) + 0.5) / self.full[0]).astype(np.float32)

    @property
    def columns(self) -> Layer:
        """(W,) the same for the columns, 0 = left edge, 1 = right edge."""
        return ((self.left + np.arange(self.size[1]) + 0.5) / self.full[1]).astype(np.float32)

    @property
    def scale(self) -> float:
        """Size of the whole image relative to one of 640 px: how large its rain is drawn."""
        return max(self.full) / 640

    def enlarged(self, by: float) -> "Window":
        """The same part of the image when the whole image is `by` times as large."""
        (height, width), (full_height, full_width) = self.size, self.full
        size = (round(height * by), round(width * by))
        full = (max(round(full_height * by), size[0]), max(round(full_width * by), size[1]))
        return Window(round(self.top * by), round(self.left * by), size, full)


def place(size: Size, full: Size, rng: np.random.Generator) -> Window:
    """Place a crop of `size` anywhere in an image of size `full`.

    Raises:
        ValueError: If the crop is larger than the image.
    """
    if size[0] > full[0] or size[1] > full[1]:
        raise ValueError(f"full_size {full} is smaller than the image {size}")
    top = int(rng.integers(full[0] - size[0] + 1))
    left = int(rng.integers(full[1] - size[1] + 1))
    return Window(top, left, size, full)


def smooth_field(window: Window, rng: np.random.Generator, cells: int = 5) -> Layer:
    """Smooth random field over the whole image, seen through the window.

    Args:
        window: The crop.
        rng: Source of the cells x cells values between which the field runs.
        cells: Values along the height and the width of the image.

    Returns:
        (H, W) float32 in [0, 1].
    """
    values = rng.random((cells, cells), dtype=np.float32)
    return _hats(window.rows, cells) @ values @ _hats(window.columns, cells).T


def _hats(position: Layer, cells: int) -> Layer:
    """(N, cells) weights of the cells at positions in [0, 1]; raised cosines with sum 1."""
    distance = np.abs(position[:, None] * (cells - 1) - np.arange(cells, dtype=np.float32))
    return 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1))
