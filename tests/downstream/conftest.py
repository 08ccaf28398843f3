"""A made-up world: coloured squares on grey, and a detector that looks for their colours."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from derain.downstream.annotations import Boxes, boxes_of
from derain.downstream.types import Detections

COLOURS = {1: (220, 40, 40), 3: (40, 60, 220)}  # category id -> RGB; ids with a gap, as COCO's
SIZE = (128, 160)  # height, width


def make_boxes(images: int = 1, annotations: Sequence[dict] = ()) -> Boxes:
    """Annotations of images named 0, 1, ... of 100x100 pixels, with categories 1, 2 and 5."""
    dataset = {
        "images": [
            {"id": k, "file_name": f"{k}.png", "height": 100, "width": 100} for k in range(images)
        ],
        "annotations": list(annotations),
        "categories": [{"id": k, "name": f"thing {k}"} for k in (1, 2, 5)],
    }
    return boxes_of(dataset, Path("boxes.json"))


def detections(*found: tuple[Sequence[float], float, int]) -> Detections:
    """Detections of (box, score, label)."""
    return Detections(
        np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        np.array([label for _, _, label in found], np.int64),
    )


class Squares:
    """Finds squares by their colour; the score is how much of a box has it."""

    name = "squares"

    def __init__(self, order: str = "rgb", offset: int = 0) -> None:
        self.order, self.offset = order, offset

    def __call__(self, images):
        return [self.detect(image if self.order == "rgb" else image[..., ::-1]) for image in images]

    def detect(self, image):
        found = []
        ids = list(COLOURS)
        for place, colour in enumerate(COLOURS.values()):
            near = np.abs(image.astype(int) - colour).max(axis=2) < 60
            count, _, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8))
            label = ids[(place + self.offset) % len(ids)]
            for left, top, width, height, area in stats[1:count].tolist():
                if area > 40:
                    box = (left, top, left + width, top + height)
                    found.append((box, area / (width * height), label))
        return detections(*found)


class Areas:
    """The segmenter of the same world: 0 is the ground, 1 and 2 the squares."""

    name, num_classes = "areas", 3

    def __call__(self, images):
        return [self.classes(image.astype(int)) for image in images]

    def classes(self, image):
        found = np.zeros(image.shape[:2], np.int64)
        for kind, colour in enumerate(COLOURS.values(), 1):
            found[np.abs(image - colour).max(axis=2) < 60] = kind
        return found


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with clean images, boxes.json and masks."""
    root = tmp_path_factory.mktemp("world")
    (root / "clean").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(8):
        pixels = np.full((*SIZE, 3), 110, np.uint8)
        mask = np.zeros(SIZE, np.uint8)
        for column in range(3):
            category = (1, 3)[(number + column) % 2]
            side = int(rng.integers(24, 40))
            left, top = 8 + 50 * column, int(rng.integers(5, SIZE[0] - side - 5))
            pixels[top : top + side, left : left + side] = COLOURS[category]
            mask[top : top + side, left : left + side] = 1 + list(COLOURS).index(category)
            box = [left, top, side, side]
            annotations.append({"image_id": 10 + number, "category_id": category, "bbox": box})
        mask[:4] = 255
        Image.fromarray(pixels).save(root / "clean" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
        entry = {"id": 10 + number, "file_name": f"{number}.png"}
        images.append(entry | {"height": SIZE[0], "width": SIZE[1]})
    categories = [{"id": 1, "name": "red"}, {"id": 3, "name": "blue"}]
    dataset = {"images": images, "annotations": annotations, "categories": categories}
    (root / "boxes.json").write_text(json.dumps(dataset))
    return root
