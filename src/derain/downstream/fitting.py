"""Images into a detector's input and boxes back: letterbox, stretch, suppression of doubles."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.decode import Image8

Fit = Literal["top-left", "centre", "stretch"]
FILL = 114  # grey level around a letterboxed image


@dataclass(frozen=True)
class Placement:
    """Where an image lies in a detector's input: input = image * scale + offset, x before y."""

    height: int
    width: int
    scale: tuple[float, float]
    offset: tuple[int, int] = (0, 0)

    def back(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) of the input -> of the image, clipped to it."""
        shift, scale = np.array(self.offset * 2), np.array(self.scale * 2)
        limits = np.array([self.width, self.height] * 2)
        return np.clip((boxes - shift) / scale, 0, limits).astype(np.float32)


def fit(image: Image8, height: int, width: int, how: Fit) -> tuple[Image8, Placement]:
    """Bring an image (H, W, 3) to a detector's size by bilinear interpolation.

    Args:
        image: The image.
        height: Height of the detector's input in pixels.
        width: Width of the detector's input in pixels.
        how: Keep the ratio of the sides and fill right and bottom, or all around; or stretch.
    """
    rows, columns = image.shape[:2]
    if how == "stretch":
        placement = Placement(rows, columns, (width / columns, height / rows))
        return _resized(image, height, width), placement
    ratio = min(height / rows, width / columns)
    inner = max(1, int(rows * ratio)), max(1, int(columns * ratio))
    left, top = 0, 0
    if how == "centre":
        left, top = (width - inner[1]) // 2, (height - inner[0]) // 2
    canvas = np.full((height, width, 3), FILL, np.uint8)
    canvas[top : top + inner[0], left : left + inner[1]] = _resized(image, *inner)
    return canvas, Placement(rows, columns, (ratio, ratio), (left, top))


def _resized(image: Image8, height: int, width: int) -> Image8:
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
    threshold: float,
) -> NDArray[np.intp]:
    """Non-maximum suppression within each class.

    Args:
        boxes: (n, 4).
        scores: (n,).
        labels: (n,).
        threshold: A box goes if its IoU with a better one of its class is above this.

    Returns:
        What stays, by falling score.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        opposite = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = np.prod(np.maximum(opposite - corner, 0), axis=1)
        union = area[best] + area[rest] - common
        order = rest[(labels[rest] != labels[best]) | (common <= threshold * union)]
    return np.array(kept, np.intp)
