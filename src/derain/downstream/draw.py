"""What a model finds, drawn on the image: the boxes that were counted, or the classes."""

import colorsys
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.downstream.detection import Counted
from derain.io.decode import Image8

RIGHT, WRONG, MISSED = (64, 220, 96), (255, 72, 64), (255, 208, 64)  # RGB


def draw_boxes(image: Image8, counted: Counted, categories: Mapping[int, str]) -> Image8:
    """Right detections green, wrong ones red, missed boxes yellow and thin: (H, W, 3)."""
    drawn = image.copy()
    thick = max(1, round(max(image.shape[:2]) / 320))
    for box in counted.missed:
        _rectangle(drawn, box, MISSED, 1)
    found = counted.found
    for box, score, label, right in zip(
        found.boxes, found.scores, found.labels, counted.right, strict=True
    ):
        colour = RIGHT if right else WRONG
        _rectangle(drawn, box, colour, thick)
        text = f"{categories[int(label)]} {score:.2f}"
        place = (int(box[0]) + 2, max(12, int(box[1]) - 4))
        for shade, width in (((0, 0, 0), 3), (colour, 1)):
            cv2.putText(
                drawn, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, width, cv2.LINE_AA
            )
    return drawn


def draw_classes(image: Image8, classes: NDArray[np.int64], count: int) -> Image8:
    """Each class (H, W) of ``count`` in a colour of its own, half transparent: (H, W, 3)."""
    hues = [
        colorsys.hsv_to_rgb(k * 0.618 % 1, 0.75, 0.95 - 0.3 * (k % 3) / 2) for k in range(count)
    ]
    palette = (np.array(hues) * 255).astype(np.float32)
    return (0.45 * image + 0.55 * palette[classes]).astype(np.uint8)


def _rectangle(
    image: Image8, box: NDArray[np.floating], colour: tuple[int, int, int], thick: int
) -> None:
    left, top, right, bottom = (round(float(v)) for v in box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, thick)
