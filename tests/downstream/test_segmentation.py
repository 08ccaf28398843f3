"""Confusion matrices: hand-made masks with ignored pixels and an absent class."""

from pathlib import Path

import numpy as np
import pytest

from derain.downstream.annotations import Masks
from derain.downstream.segmentation import SegmentationResult, check_classes, confusion
from derain.downstream.types import AnnotatedImage

IMAGE = AnnotatedImage("street", 4, 4)
TRUTH = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [9, 9, 9, 9]], np.uint8)


def measured(found, truth=TRUTH, classes=3):
    matrix = confusion(truth, np.asarray(found, np.int64), 9, classes)
    result = SegmentationResult(Masks(Path(), (IMAGE,), {}, 9), [matrix])
    return {name: float(v[0]) for name, v in result.measure(np.ones((1, 1))).items()}, result


def test_a_hand_made_case_is_counted_by_hand():
    # Class 0: all 6 right, and one of class 1 besides. Class 1: 4 of 6, one taken for class 2.
    found = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 2], [2, 2, 0, 1]]
    values, result = measured(found)
    assert values["pa"] == pytest.approx(100 * 10 / 12)
    assert values["mpa"] == pytest.approx(100 * (1 + 4 / 6) / 2)
    assert values["miou"] == pytest.approx(100 * (6 / 7 + 4 / 6) / 2)
    assert result.by_class == pytest.approx({0: 600 / 7, 1: 400 / 6})  # class 2 is absent


def test_a_predicted_void_is_an_error():
    found = np.where(TRUTH == 9, 0, TRUTH)
    found[0, 0] = 2  # the void class of a segmenter with three
    assert measured(found)[0]["pa"] == pytest.approx(100 * 11 / 12)


def test_the_image_in_two_halves_gives_what_the_whole_gives():
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 3, (2, 8, 8))
    truth = truth.astype(np.uint8)
    halves = [confusion(truth[rows], found[rows], 9, 3) for rows in (slice(4), slice(4, 8))]
    two = SegmentationResult(Masks(Path(), (IMAGE, IMAGE), {}, 9), halves).measure(np.ones((1, 2)))
    whole, _ = measured(found, truth)
    assert {name: float(v[0]) for name, v in two.items()} == pytest.approx(whole)


def test_a_smaller_answer_is_enlarged_to_the_mask():
    answer = check_classes(np.array([[0, 1], [0, 2]]), IMAGE, TRUTH, 9, 3, "mine")
    assert answer.tolist() == [[0, 0, 1, 1]] * 2 + [[0, 0, 2, 2]] * 2


@pytest.mark.parametrize(
    ("found", "ignore", "words"),
    [
        (np.full((4, 4), 3), 9, "class 3 is not one of its 3"),
        (np.full((4, 4), -1), 9, "class -1 is not one of its 3"),
        (np.zeros((3, 4, 4)), 9, "not an array"),
        (np.zeros((4, 4), int), 255, "its mask has class 9, mine has 3"),
    ],
)
def test_what_is_no_classification_is_refused_with_the_image(found, ignore, words):
    with pytest.raises(ValueError, match=f"mine: street: .*{words}"):
        check_classes(found, IMAGE, TRUTH, ignore, 3, "mine")
