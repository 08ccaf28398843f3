"""The two tasks, detection and segmentation, as an evaluation sees them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from derain.downstream.annotations import Boxes, Masks
from derain.downstream.bootstrap import Weights
from derain.downstream.detection import (
    DetectionResult,
    DetectionSettings,
    check_detections,
)
from derain.downstream.segmentation import SegmentationResult, check_classes, confusion
from derain.downstream.types import AnnotatedImage, Detections, Detector, Segmenter
from derain.io.decode import Image8
from derain.io.formats import one_line

NAMES = {  # metric -> what tables call it
    "ap": "AP", "ap50": "AP50", "ap75": "AP75", "precision": "P", "recall": "R", "f1": "F1",
    "iou": "IoU", "best_iou": "best IoU", "best_recall": "R", "best_precision": "P",
    "miou": "mIoU", "mpa": "mPA", "pa": "PA",
}  # fmt: skip


class Result(Protocol):
    """What was found in one version of all images."""

    metrics: tuple[str, ...]

    @property
    def counts(self) -> dict[str, list[float]]:
        """What was counted, by image."""
        ...

    def measure(self, weights: Weights) -> dict[str, NDArray[np.float64]]:
        """Every metric in percent: (draws, images) weights -> (draws,) values."""
        ...


class Task(Protocol):
    """A model beside the annotations that it is judged by."""

    name: str
    primary: str  # the metric to rank by, which no threshold moves
    shown: tuple[str, ...]  # metrics of the main table
    model: Any
    settings: str  # thresholds in words

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """What is annotated."""
        ...

    def run(self, image: AnnotatedImage, pixels: Image8) -> Any:
        """What the model finds in an image (H, W, 3), checked.

        Raises:
            ValueError: What it returns cannot be used; names model and image.
        """
        ...

    def score(self, found: Sequence[Any]) -> Any:
        """Judge what ``run`` returned for every image, in their order: a ``Result``."""
        ...

    def shift(self, found: Any, by: int) -> Any:
        """The same with every class exchanged for the one ``by`` places on."""
        ...


class DetectionTask:
    """Boxes around objects."""

    name: str = "detect"
    primary: str = "ap"
    shown: tuple[str, ...] = ("precision", "recall", "iou", "ap", "ap50", "ap75")

    def __init__(
        self, model: Detector, boxes: Boxes, thresholds: DetectionSettings | None = None
    ) -> None:
        self.model, self.boxes = model, boxes
        self.thresholds = thresholds or DetectionSettings()
        self.settings = (
            f"precision, recall and IoU at score >= {self.thresholds.score_threshold:g} and "
            f"IoU >= {self.thresholds.iou_threshold:g}; AP by COCOeval"
        )

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """See ``Task``."""
        return self.boxes.images

    def run(self, image: AnnotatedImage, pixels: Image8) -> Detections:
        """See ``Task``."""
        found = _one(self.model, pixels, image)
        check_detections(found, image, self.boxes, self.model.name)
        return found

    def score(self, found: Sequence[Detections]) -> DetectionResult:
        """See ``Task``."""
        return DetectionResult(self.boxes, found, self.thresholds)

    def shift(self, found: Detections, by: int) -> Detections:
        """See ``Task``."""
        ids = np.array(list(self.boxes.categories))
        places = np.searchsorted(ids, found.labels)
        return replace(found, labels=ids[(places + by) % len(ids)])


class SegmentationTask:
    """A class for every pixel."""

    name: str = "segment"
    primary: str = "miou"
    shown: tuple[str, ...] = ("pa", "mpa", "miou")

    def __init__(self, model: Segmenter, masks: Masks) -> None:
        self.model, self.masks = model, masks
        self.settings = (
            f"one confusion matrix over all images; pixels marked {masks.ignore} do not count"
        )

    @property
    def images(self) -> tuple[AnnotatedImage, ...]:
        """See ``Task``."""
        return self.masks.images

    def classes(self, image: AnnotatedImage, pixels: Image8) -> NDArray[np.int64]:
        """The class (H, W) of every pixel of an image.

        Raises:
            ValueError: As ``run``.
        """
        found = _one(self.model, pixels, image)
        truth, ignore = self.masks.read(image), self.masks.ignore
        return check_classes(found, image, truth, ignore, self.model.num_classes, self.model.name)

    def run(self, image: AnnotatedImage, pixels: Image8) -> NDArray[np.int64]:
        """See ``Task``; the confusion matrix of the image."""
        found = self.classes(image, pixels)
        return confusion(self.masks.read(image), found, self.masks.ignore, self.model.num_classes)

    def score(self, found: Sequence[NDArray[np.int64]]) -> SegmentationResult:
        """See ``Task``."""
        return SegmentationResult(self.masks, found)

    def shift(self, found: NDArray[np.int64], by: int) -> NDArray[np.int64]:
        """See ``Task``."""
        return np.roll(found, by, axis=1)


def _one(model: Detector | Segmenter, pixels: Image8, image: AnnotatedImage) -> Any:
    """What a model returns for one image."""
    where = f"{model.name}: {image.name}"
    try:
        returned: Any = model([pixels])
    except Exception as error:  # of any kind: the model may be the user's
        raise ValueError(f"{where}: {one_line(error)}") from error
    if not isinstance(returned, Sequence) or len(returned) != 1:
        raise ValueError(f"{where}: the model must return a list with one entry per image")
    return returned[0]
