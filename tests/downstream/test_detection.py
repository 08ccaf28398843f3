"""Counting: hand-made cases, and agreement with COCOeval's own summary."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from tests.downstream.conftest import detections, make_boxes

from derain.downstream.bootstrap import draw_weights
from derain.downstream.detection import DetectionResult, DetectionSettings, check_detections
from derain.downstream.types import AnnotatedImage

HERE = {"image_id": 0, "category_id": 1, "bbox": [10, 10, 20, 20]}
BOX = (10, 10, 30, 30)  # the same as corners


def measured(boxes, found, **settings):
    result = DetectionResult(boxes, found, DetectionSettings(**settings))
    values = result.measure(np.ones((1, len(boxes.images))))
    return {name: float(value[0]) for name, value in values.items()}


def test_perfect_detections_are_right_in_everything():
    boxes = make_boxes(2, [HERE, {"image_id": 1, "category_id": 5, "bbox": [0, 0, 50, 40]}])
    found = [detections((BOX, 0.9, 1)), detections(((0, 0, 50, 40), 0.8, 5))]
    assert measured(boxes, found) == pytest.approx(dict.fromkeys(DetectionResult.metrics, 100))


def test_without_detections_the_precision_is_undefined_and_the_recall_zero():
    values = measured(make_boxes(1, [HERE]), [detections()])
    assert np.isnan(values["precision"])
    assert np.isnan(values["iou"])
    assert np.isnan(values["best_precision"])
    assert values["recall"] == values["ap"] == values["best_recall"] == 0


def test_without_boxes_in_a_draw_recall_and_ap_are_undefined():
    result = DetectionResult(
        make_boxes(2, [HERE]), [detections((BOX, 0.9, 1)), detections()], DetectionSettings()
    )
    values = result.measure(np.array([[0.0, 2.0]]))
    assert np.isnan([values["recall"][0], values["ap"][0]]).all()


def test_a_second_detection_of_one_object_is_wrong():
    values = measured(
        make_boxes(1, [HERE]), [detections((BOX, 0.9, 1), ((11, 10, 31, 30), 0.8, 1))]
    )
    assert (values["precision"], values["recall"]) == (50, 100)


def test_another_class_is_wrong_and_leaves_the_object_missed():
    result = DetectionResult(
        make_boxes(1, [HERE]), [detections((BOX, 0.9, 2))], DetectionSettings()
    )
    (counted,) = result.counted
    assert counted.right.tolist() == [False]
    assert counted.missed.tolist() == [list(BOX)]
    values = result.measure(np.ones((1, 1)))
    assert (values["precision"][0], values["recall"][0]) == (0, 0)
    assert values["best_recall"][0] == 100  # where classes are ignored it is found


@pytest.mark.parametrize(("right", "expected"), [(20.01, 100), (19.99, 0)])
def test_the_iou_threshold_divides_right_from_wrong(right, expected):
    found = [detections(((10, 10, 10 + right, 30), 0.9, 1))]
    boxes = make_boxes(1, [{"image_id": 0, "category_id": 1, "bbox": [10, 10, 25, 20]}])
    assert measured(boxes, found, iou_threshold=0.8)["recall"] == expected


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.3])
def test_a_score_exactly_at_the_threshold_counts(threshold):
    boxes = make_boxes(1, [HERE])
    below = float(np.nextafter(np.float32(threshold), np.float32(0)))
    for score, recall in ((threshold, 100), (below, 0)):
        found = [detections((BOX, score, 1))]
        assert measured(boxes, found, score_threshold=threshold)["recall"] == recall


def test_a_crowd_is_neither_missed_nor_found():
    crowd = {"image_id": 0, "category_id": 1, "bbox": [50, 50, 40, 40], "iscrowd": 1}
    found = [detections((BOX, 0.9, 1), ((55, 55, 70, 70), 0.9, 1))]
    values = measured(make_boxes(1, [HERE, crowd]), found)
    assert (values["precision"], values["recall"]) == (100, 100)


def random_case(images=50):
    rng = np.random.default_rng(3)
    annotations, found = [], []
    for image in range(images):
        mine = []
        for _ in range(rng.integers(0, 7)):
            left, top, width, height = rng.integers(5, 45, 4)
            category = int(rng.choice([1, 2, 5]))
            box = [int(v) for v in (left, top, width, height)]
            crowd = int(rng.random() < 0.1)
            annotations.append(
                {"image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd}
            )
            if rng.random() < 0.8:
                corners = np.array([left, top, left + width, top + height]) + rng.normal(0, 2, 4)
                label = category if rng.random() < 0.9 else 2
                mine.append((corners, round(float(rng.random()), 2), label))
        for _ in range(rng.integers(0, 4)):
            left, top = rng.integers(0, 60, 2)
            mine.append(((left, top, left + 20, top + 15), round(float(rng.random()), 2), 5))
        found.append(detections(*mine))
    return make_boxes(images, annotations), found


def cocoeval(boxes, found, numbers):
    """COCOeval's twelve figures for images in any number, each copy an image of its own."""
    images, annotations, results = [], [], []
    for copy, k in enumerate(numbers):
        images.append({"id": copy})
        for one in boxes.by_image[boxes.ids[k]]:
            annotations.append(one | {"id": len(annotations) + 1, "image_id": copy})
        mine = found[k]
        for box, score, label in zip(mine.boxes, mine.scores, mine.labels, strict=True):
            left, top, right, bottom = map(float, box)
            size = [left, top, right - left, bottom - top]
            one = {"image_id": copy, "category_id": int(label), "bbox": size}
            results.append(one | {"score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth: Any = COCO()
        truth.dataset = boxes.dataset | {"images": images, "annotations": annotations}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_ap_equals_cocoeval_on_random_boxes_and_on_any_draw_of_them():
    boxes, found = random_case()
    result = DetectionResult(boxes, found, DetectionSettings())
    weights = np.vstack([np.ones((1, 50)), draw_weights(50, 3, seed=1)])
    values = result.measure(weights)
    for row, counts in enumerate(weights.astype(int)):
        stats = cocoeval(boxes, found, np.repeat(np.arange(50), counts))
        ours = [values[name][row] for name in ("ap", "ap50", "ap75")]
        assert ours == pytest.approx(100 * stats[:3], abs=1e-9)


def test_the_boxes_to_draw_are_those_that_were_counted():
    boxes, found = random_case()
    result = DetectionResult(boxes, found, DetectionSettings(score_threshold=0.5))
    for k, counted in enumerate(result.counted):
        assert counted.right.sum() == result.counts["right"][k]
        assert len(counted.right) == len(counted.found.boxes) == result.counts["detected"][k]
        assert counted.right.sum() + len(counted.missed) == result.counts["truths"][k]
        assert (counted.found.scores >= 0.5).all()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (detections(((30, 10, 10, 30), 0.9, 1)), "ends before it begins"),
        (detections((BOX, 0.9, 3)), "label 3 is no category of boxes.json"),
        (detections((BOX, float("nan"), 1)), "not finite"),
        ([BOX], "returned list, not Detections"),
    ],
)
def test_what_is_no_detection_is_refused_with_the_image(found, words):
    with pytest.raises(ValueError, match=f"mine: street: .*{words}"):
        check_detections(found, AnnotatedImage("street", 100, 100), make_boxes(1, [HERE]), "mine")


def test_a_threshold_outside_0_to_1_is_refused():
    with pytest.raises(ValueError, match="score_threshold must be in"):
        DetectionSettings(score_threshold=60)
