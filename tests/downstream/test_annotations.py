"""Ground truth: what is read, and what is refused by name."""

import json

import numpy as np
import pytest
from PIL import Image

from derain.downstream.annotations import read_coco, read_masks, read_yolo


def test_coco_and_yolo_text_say_the_same(world, tmp_path):
    coco = read_coco(world / "boxes.json")
    (tmp_path / "classes.txt").write_text("red\nblue\n")
    for number, image in zip(coco.ids, coco.images, strict=True):
        lines = []
        for one in coco.by_image[number]:
            left, top, w, h = one["bbox"]
            x, y = (left + w / 2) / image.width, (top + h / 2) / image.height
            kind = [1, 3].index(one["category_id"])
            lines.append(f"{kind} {x:.8f} {y:.8f} {w / image.width:.8f} {h / image.height:.8f}")
        (tmp_path / f"{image.name}.txt").write_text("\n".join(lines))
    yolo = read_yolo(tmp_path, world / "clean", ["red", "blue"])
    assert yolo.images == coco.images
    assert yolo.categories == {1: "red", 2: "blue"}
    for ours, theirs in zip(yolo.dataset["annotations"], coco.dataset["annotations"], strict=True):
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=0.01)
        assert yolo.categories[ours["category_id"]] == coco.categories[theirs["category_id"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bbox": [10, 10, -5, 8]}, r"0: \[10.0, 10.0, -5.0, 8.0\] is no box"),
        ({"category_id": 2}, "0: category 2 is not listed"),
        ({"image_id": 99}, "a box belongs to image 99"),
        ({"bbox": "left"}, "not COCO boxes"),
    ],
)
def test_an_impossible_box_is_named(world, tmp_path, change, words):
    dataset = json.loads((world / "boxes.json").read_text())
    dataset["annotations"][0] |= change
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(dataset))
    with pytest.raises(ValueError, match=f"boxes.json: {words}"):
        read_coco(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2", "not a class and four fractions"),
        ("7 0.5 0.5 0.2 0.2", "class 7 has no name"),
        ("0 80 60 20 20", "fractions of 0 to 1"),
    ],
)
def test_a_line_that_is_no_box_is_named(world, tmp_path, line, words):
    (tmp_path / "0.txt").write_text(f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(ValueError, match=f"0.txt: line 2: .*{words}"):
        read_yolo(tmp_path, world / "clean", ["red", "blue"])


def test_labels_without_their_image_are_named(world, tmp_path):
    (tmp_path / "other.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(ValueError, match=r"other.txt: no such image in"):
        read_yolo(tmp_path, world / "clean", ["red"])


def test_a_palette_of_any_colours_gives_the_indices(tmp_path):
    classes = np.arange(48, dtype=np.uint8).reshape(6, 8) % 5
    mask = Image.fromarray(classes, "P")
    mask.putpalette([7, 7, 7] * 256)
    mask.save(tmp_path / "a.png")
    masks = read_masks(tmp_path)
    assert (masks.read(masks.images[0]) == classes).all()


def test_a_coloured_mask_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a.png: a mask holds one class number .* is RGB"):
        read_masks(tmp_path)


def test_masks_that_are_no_folder_are_named(world):
    with pytest.raises(ValueError, match=r"boxes.json: no such folder; .* index masks"):
        read_masks(world / "boxes.json")


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a.json: not a JSON file"):
        read_coco(tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"b.json: No such file"):
        read_coco(tmp_path / "b.json")
