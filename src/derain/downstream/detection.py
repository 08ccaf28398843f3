"""How well objects are found: COCOeval's matching, and what is counted from it.

All of it is kept by image, so that a bootstrap draw is a weighting of images: AP over the draws
is computed at once, and equals COCOeval's for the images as they are.
"""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from derain.downstream.annotations import Boxes
from derain.downstream.bootstrap import Weights
from derain.downstream.types import AnnotatedImage, Detections

IOUS = np.linspace(0.5, 0.95, 10)  # COCO's thresholds
RECALLS = np.linspace(0, 1, 101)  # and where it reads the precision
BEST_IOU = 0.6  # above this a box counts as found in the class-agnostic block
MOST = 100  # detections per image and category that COCOeval looks at
CHUNK = 20_000_000  # values of a bootstrap that are held at once

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DetectionSettings:
    """What is counted.

    Attributes:
        score_threshold: Detections of at least this score count for precision, recall and IoU.
        iou_threshold: They are right from this IoU with a box of their category on.
        floor: Detections of at least this score count in the class-agnostic block.
    """

    score_threshold: float = 0.6
    iou_threshold: float = 0.5
    floor: float = 0.05

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold", "floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in 0..1: {getattr(self, name)}")


@dataclass(frozen=True)
class Counted:
    """What was counted in one image at the thresholds; the report draws exactly this.

    Attributes:
        found: Detections, by falling score.
        right: Whether each is right.
        missed: Annotated boxes (n, 4) that none of them found: left, top, right, bottom.
    """

    found: Detections
    right: NDArray[np.bool_]
    missed: Array


@dataclass(frozen=True)
class _Curve:
    """The detections of one category in all images, by falling score."""

    image: NDArray[np.intp]  # (D,): of each detection
    right: NDArray[np.bool_]  # (T, D) at each of IOUS
    wrong: NDArray[np.bool_]  # (T, D); crowd regions make a detection neither
    truths: Array  # (images,): how many boxes there are to find


def check_detections(found: Any, image: AnnotatedImage, boxes: Boxes, detector: str) -> None:
    """Refuse what is no detection in an image.

    Raises:
        ValueError: Wrong shapes or values, boxes whose right is left of their left, or labels that
            the annotations do not have; names detector and image.
    """
    where = f"{detector}: {image.name}"
    if not isinstance(found, Detections):
        raise ValueError(f"{where}: returned {type(found).__name__}, not Detections")
    count = len(found.boxes)
    if found.boxes.shape != (count, 4) or not len(found.scores) == len(found.labels) == count:
        shapes = f"{found.boxes.shape}, {found.scores.shape} and {found.labels.shape}"
        raise ValueError(f"{where}: boxes, scores and labels have shapes {shapes}")
    if not (np.isfinite(found.boxes).all() and np.isfinite(found.scores).all()):
        raise ValueError(f"{where}: boxes or scores are not finite")
    inverted = (found.boxes[:, 2:] < found.boxes[:, :2]).any(1)
    if inverted.any():
        box = [round(float(v), 1) for v in found.boxes[inverted][0]]
        raise ValueError(
            f"{where}: the box {box} ends before it begins; boxes are left, top, right, bottom"
        )
    unknown = sorted(set(found.labels.tolist()) - boxes.categories.keys())
    if unknown:
        ids = list(boxes.categories)
        raise ValueError(
            f"{where}: label {unknown[0]} is no category of {boxes.source}, whose {len(ids)} ids "
            f"run from {ids[0]} to {ids[-1]}; map the detector's classes to them"
        )


class DetectionResult:
    """Detections in all images against the annotations.

    Args:
        boxes: The annotations.
        found: The detections in each image, in the order of ``boxes.images``.
        settings: What is counted.
    """

    metrics = (
        "ap", "ap50", "ap75", "precision", "recall", "f1", "iou",
        "best_iou", "best_recall", "best_precision",
    )  # fmt: skip

    def __init__(
        self, boxes: Boxes, found: Sequence[Detections], settings: DetectionSettings
    ) -> None:
        self._curves = _curves(boxes, found)
        threshold = np.float32(settings.score_threshold)  # scores are float32 too
        kept = [_select(one, one.scores >= threshold) for one in found]
        self.counted, sums = _count(boxes, kept, settings.iou_threshold)
        self._sums = sums | _best(boxes, found, settings.floor)

    @property
    def counts(self) -> dict[str, list[float]]:
        """What was counted, by image: right, wrong and annotated boxes, and sums of IoU."""
        return {name: values.tolist() for name, values in self._sums.items()}

    def measure(self, weights: Weights) -> dict[str, Array]:
        """Every metric in percent: (draws, images) weights -> (draws,) values, NaN if undefined."""
        s = {name: weights @ values for name, values in self._sums.items()}
        precision, recall = _ratio(s["right"], s["detected"]), _ratio(s["right"], s["truths"])
        ap = self._average_precision(weights)
        return {
            "ap": 100 * ap.mean(axis=1),
            "ap50": 100 * ap[:, 0],
            "ap75": 100 * ap[:, 5],
            "precision": 100 * precision,
            "recall": 100 * recall,
            "f1": 100 * _ratio(2 * s["right"], s["detected"] + s["truths"]),
            "iou": 100 * _ratio(s["iou"], s["right"]),
            "best_iou": 100 * _ratio(s["best_iou"], s["best_truths"]),
            "best_recall": 100 * _ratio(s["best_found"], s["best_truths"]),
            "best_precision": 100 * _ratio(s["best_found"], s["best_detected"]),
        }

    def gains(self, before: "DetectionResult") -> Array:
        """How many more boxes are right than before, less how many more are wrong, by image."""

        def net(result: DetectionResult) -> Array:
            return 2 * result._sums["right"] - result._sums["detected"]

        return net(self) - net(before)

    def _average_precision(self, weights: Weights) -> Array:
        """(draws, thresholds): mean over the categories that a draw has boxes of."""
        totals = np.zeros((len(weights), len(IOUS)))
        categories = np.zeros((len(weights), 1))
        for curve in self._curves:
            step = max(1, CHUNK // (len(IOUS) * max(1, len(curve.image))))
            for first in range(0, len(weights), step):
                rows = slice(first, first + step)
                truths = (weights[rows] @ curve.truths)[:, None]
                there = truths > 0
                categories[rows] += there
                if len(curve.image):
                    totals[rows] += np.where(there, _area(curve, weights[rows], truths), 0)
        return _ratio(totals, np.broadcast_to(categories, totals.shape))


def _area(curve: _Curve, weights: Weights, truths: Array) -> Array:
    """(draws, thresholds): COCO's 101-point average of the precision, detections weighted."""
    weight = weights[:, curve.image][:, None, :]
    right = np.cumsum(weight * curve.right, axis=2)
    wrong = np.cumsum(weight * curve.wrong, axis=2)
    precision = right / (right + wrong + np.spacing(1))
    envelope = np.maximum.accumulate(precision[..., ::-1], axis=2)[..., ::-1]
    recall = right / np.maximum(truths, 1)[:, None]
    reached = np.searchsorted(RECALLS, recall, side="right")
    steps = np.diff(reached, axis=2, prepend=0)
    return (envelope * steps).sum(axis=2) / len(RECALLS)


def _evaluated(
    boxes: Boxes, found: Sequence[Detections], thresholds: Sequence[float] | Array
) -> Any:
    """COCOeval after its matching, over objects of any size; its types tell less than it has."""
    annotations: list[dict[str, Any]] = []
    for number, one in zip(boxes.ids, found, strict=True):
        for box, score, label in zip(one.boxes, one.scores, one.labels, strict=True):
            left, top, right, bottom = map(float, box)
            size = [right - left, bottom - top]
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number, "category_id": int(label),
                    "bbox": [left, top, *size], "area": size[0] * size[1], "iscrowd": 0,
                    "score": float(score),
                }
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        truth: Any = COCO()
        detected: Any = COCO()
        truth.dataset = boxes.dataset
        detected.dataset = boxes.dataset | {"annotations": annotations}
        truth.createIndex()
        detected.createIndex()
        evaluation = COCOeval(truth, detected, "bbox")
        evaluation.params.imgIds = sorted(boxes.ids)
        evaluation.params.iouThrs = np.asarray(thresholds)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
    return evaluation


def _curves(boxes: Boxes, found: Sequence[Detections]) -> list[_Curve]:
    index = {number: k for k, number in enumerate(boxes.ids)}
    by_category: dict[int, list[dict[str, Any]]] = {}
    for one in _evaluated(boxes, found, IOUS).evalImgs:
        if one:
            by_category.setdefault(one["category_id"], []).append(one)
    curves: list[_Curve] = []
    for images in by_category.values():
        truths = np.zeros(len(boxes.ids))
        for one in images:
            truths[index[one["image_id"]]] = np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)
        scores = np.concatenate([one["dtScores"] for one in images])
        order = np.argsort(-scores, kind="mergesort")
        matched = np.concatenate([one["dtMatches"] > 0 for one in images], axis=1)[:, order]
        counts = ~np.concatenate([one["dtIgnore"] > 0 for one in images], axis=1)[:, order]
        owner = np.concatenate(
            [np.full(len(one["dtScores"]), index[one["image_id"]]) for one in images]
        )
        right, wrong = matched & counts, ~matched & counts
        # What comes after the last right detection changes no precision that counts
        last = int(np.flatnonzero(right.any(axis=0)).max(initial=-1)) + 1
        curves.append(_Curve(owner[order][:last], right[:, :last], wrong[:, :last], truths))
    return curves


def _count(
    boxes: Boxes, kept: Sequence[Detections], threshold: float
) -> tuple[list[Counted], dict[str, Array]]:
    """Match at one threshold; per image, what is drawn and what is summed."""
    evaluation = _evaluated(boxes, kept, [threshold])
    index = {number: k for k, number in enumerate(boxes.ids)}
    names = ("right", "detected", "truths", "iou")
    sums = {name: np.zeros(len(boxes.ids)) for name in names}
    drawn: list[list[tuple[float, NDArray[Any], int, bool]]] = [[] for _ in boxes.ids]
    missed: list[list[NDArray[Any]]] = [[] for _ in boxes.ids]
    for one in evaluation.evalImgs:
        if not one:
            continue
        k, category = index[one["image_id"]], one["category_id"]
        ious = evaluation.ious[one["image_id"], category]
        column = {t["id"]: c for c, t in enumerate(evaluation._gts[one["image_id"], category])}
        for row, match in enumerate(one["dtMatches"][0]):
            if one["dtIgnore"][0][row]:
                continue
            detection = evaluation.cocoDt.anns[one["dtIds"][row]]
            sums["detected"][k] += 1
            if match:
                sums["right"][k] += 1
                sums["iou"][k] += ious[row, column[int(match)]]
            box = _corners(detection["bbox"])
            drawn[k].append((detection["score"], box, category, bool(match)))
        for truth, ignored, match in zip(
            one["gtIds"], one["gtIgnore"], one["gtMatches"][0], strict=True
        ):
            if not ignored:
                sums["truths"][k] += 1
                if not match:
                    missed[k].append(_corners(evaluation.cocoGt.anns[truth]["bbox"]))
    counted: list[Counted] = []
    for found, lost in zip(drawn, missed, strict=True):
        ranked = sorted(found, key=lambda one: -one[0])
        detections = Detections(
            np.array([box for _, box, _, _ in ranked], np.float32).reshape(-1, 4),
            np.array([score for score, *_ in ranked], np.float32),
            np.array([category for _, _, category, _ in ranked], np.int64),
        )
        right = np.array([right for *_, right in ranked], bool)
        counted.append(Counted(detections, right, np.array(lost, float).reshape(-1, 4)))
    return counted, sums


def _best(boxes: Boxes, found: Sequence[Detections], floor: float) -> dict[str, Array]:
    """The class-agnostic block: for each annotated box the best IoU with any detection."""
    names = ("best_iou", "best_found", "best_truths", "best_detected")
    sums = {name: np.zeros(len(boxes.ids)) for name in names}
    for k, (number, one) in enumerate(zip(boxes.ids, found, strict=True)):
        kept = one.boxes[one.scores >= np.float32(floor)].astype(float)
        kept = np.hstack([kept[:, :2], kept[:, 2:] - kept[:, :2]])
        truths = [a["bbox"] for a in boxes.by_image[number] if not a["iscrowd"]]
        sums["best_truths"][k], sums["best_detected"][k] = len(truths), len(kept)
        if truths and len(kept):
            best = np.asarray(mask.iou(kept, np.array(truths), [0] * len(truths))).max(axis=0)
            sums["best_iou"][k], sums["best_found"][k] = best.sum(), (best > BEST_IOU).sum()
    return sums


def _select(found: Detections, kept: NDArray[np.bool_]) -> Detections:
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept])


def _corners(box: Sequence[float]) -> Array:
    left, top, width, height = box
    return np.array([left, top, left + width, top + height])


def _ratio(above: Array, below: Array) -> Array:
    """NaN where nothing is below."""
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
