"""The whole of it on coloured squares: what rain costs, what comes back, what is told."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.downstream.conftest import Areas, Squares, detections

from derain.downstream import evaluate_downstream
from derain.downstream.annotations import read_coco
from derain.downstream.evaluate import CLEAN, RAIN, measure
from derain.downstream.inputs import Derained, Folder, PresetRain
from derain.downstream.page import marked, ranked
from derain.downstream.tables import as_json, as_latex, cells, markdown
from derain.downstream.tasks import DetectionTask
from derain.evaluation.cache import Cache
from derain.rain.folder import synthesize_folder


def evaluated(world, model=None, rain: Any = "preset:rain100h", **inputs):
    versions = {"rain": rain, **inputs, "clean": world / "clean"}
    return evaluate_downstream(
        "detect", model or Squares(), versions, world / "boxes.json", bootstrap=50
    )


@pytest.fixture(scope="module")
def report(world):
    rain = PresetRain("rain100h", Folder(world / "clean"))
    clean = Folder(world / "clean")
    images = {image.name: clean.read(image) for image in read_coco(world / "boxes.json").images}

    def oracle(rainy):  # knows the clean images and takes half of the rain away
        nearest = min(images.values(), key=lambda c: np.abs(c.astype(int) - rainy).sum())
        return ((nearest.astype(int) + rainy) // 2).astype(np.uint8)

    return evaluated(world, rain=rain, oracle=oracle, same=lambda image: image)


def test_recovered_is_0_for_the_rain_and_100_for_the_clean_images(report):
    assert report.row("rain").recovered.value == 0
    assert report.row("clean").recovered.value == 100
    assert report.row("clean").metrics["ap"].value == pytest.approx(100)
    assert 0 < report.row("oracle").recovered.value <= 100


def test_what_changes_nothing_gains_nothing(report):
    same = report.row("same")
    assert same.recovered.value == 0
    assert not same.changes["ap"].is_significant
    assert report.row("oracle").changes["ap"].is_significant


def test_versions_keep_their_order(report):
    assert [row.name for row in report.rows] == ["rain", "oracle", "same", "clean"]
    assert [row[0] for row in cells(report)[1:]] == [
        "rain", "oracle", "same", "clean (upper bound)",
    ]  # fmt: skip


def test_recall_falls_as_the_rain_gets_heavier(world):
    task = DetectionTask(Squares(), read_coco(world / "boxes.json"))
    folder = Folder(world / "clean")
    recalls = []
    for kind in ("rain100l", "rain1200-heavy", "rain100h"):
        found = measure(task, {RAIN: PresetRain(kind, folder), CLEAN: folder}, 20)
        recalls.append(found.row(RAIN).metrics["recall"].value)
    assert recalls[0] > recalls[1] > recalls[2]


def test_the_rain_of_a_preset_is_what_synthesize_writes(world, tmp_path):
    synthesize_folder(world / "clean", tmp_path, "rain1400", seed=3)
    drawn, written = PresetRain("rain1400", Folder(world / "clean"), 3), Folder(tmp_path / "rainy")
    images = read_coco(world / "boxes.json").images
    assert all((drawn.read(image) == written.read(image)).all() for image in images)


def test_a_missing_image_and_another_size_are_named(world, tmp_path):
    for path in (world / "clean").iterdir():
        Image.open(path).save(tmp_path / path.name)
    Image.new("RGB", (20, 10)).save(tmp_path / "3.png")
    with pytest.raises(ValueError, match=r"1 of 8 images differ .*: 3 is 20x10, not 160x128"):
        evaluated(world, rain=tmp_path)
    for name in "01356":
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(ValueError, match=r"5 of 8 annotated images are missing: 0, 1, 3 and 2"):
        evaluated(world, rain=tmp_path)


def test_red_for_blue_is_told(world):
    report = evaluated(world, Squares(order="bgr"))
    assert any("with red and blue exchanged 100.0" in text for text in report.warnings)


def test_labels_off_by_one_are_told(world):
    report = evaluated(world, Squares(offset=1))
    words = "with every class moved by -1 100.0: probably its labels are off by one"
    assert any(text.endswith(words) for text in report.warnings)


def test_a_model_that_finds_nothing_is_told(world):
    class Blind(Squares):
        def detect(self, image):
            return detections()

    report = evaluated(world, Blind())
    assert any("normalisation" in text for text in report.warnings)
    assert report.row("rain").recovered is None  # rain costs nothing
    assert cells(report)[1][3] == "-"  # and the precision is undefined


def test_a_good_model_raises_no_doubt(report):
    assert report.warnings == ()


def test_an_inverted_box_is_told_at_the_first_image(world):
    class Inverted(Squares):
        seen = 0

        def detect(self, image):
            self.seen += 1
            found = super().detect(image)
            return replace(found, boxes=found.boxes[:, [2, 1, 0, 3]])

    model = Inverted()
    with pytest.raises(ValueError, match=r"squares: 0: the box .* ends before it begins"):
        evaluated(world, model, rain=world / "clean")
    assert model.seen == 1


def test_without_clean_images_nothing_is_said_to_come_back(world):
    versions = {"rain": world / "clean", "same": lambda image: image}
    report = evaluate_downstream("detect", Squares(), versions, world / "boxes.json", bootstrap=20)
    assert report.cost is None
    assert report.row("same").recovered is None
    assert "without clean images" in report.warnings[0]


def test_segmentation_is_measured_the_same_way(world):
    versions = {"rain": "preset:rain100h", "clean": world / "clean"}
    report = evaluate_downstream("segment", Areas(), versions, world / "masks", bootstrap=20)
    assert report.row("clean").metrics["miou"].value == 100
    assert report.row("rain").metrics["miou"].value < 80
    assert report.warnings == ()
    found = evaluate_downstream(
        "segment", Areas(), {"rain": world / "clean", "clean": world / "clean"}, world / "masks",
        bootstrap=20,
    )  # fmt: skip
    assert found.row("rain").recovered is None  # nothing was lost


def test_a_segmenter_of_the_other_colour_order_is_told(world):
    class Other(Areas):
        def classes(self, image):
            return super().classes(image[..., ::-1])

    versions = {"rain": "preset:rain100l", "clean": world / "clean"}
    report = evaluate_downstream("segment", Other(), versions, world / "masks", bootstrap=20)
    assert any("with red and blue exchanged 100.0" in text for text in report.warnings)


def test_derained_images_are_made_once_and_again_when_they_are_damaged(world, tmp_path):
    calls = []

    def run(image):
        calls.append(1)
        return image // 2

    def derained():
        cache = Cache(tmp_path, "a" * 64, "derained", calls.append)
        return Derained(run, Folder(world / "clean"), cache=cache, where="here")

    image = read_coco(world / "boxes.json").images[0]
    first = derained().read(image)
    assert len(calls) == 2  # the first call is not timed
    again = derained()
    assert (again.read(image) == first).all()
    assert again.seconds == {image.name: pytest.approx(again.seconds[image.name])}
    assert len(calls) == 2
    (kept,) = tmp_path.rglob("*.png")
    kept.write_bytes(b"cut")
    assert (derained().read(image) == first).all()
    assert len(calls) == 4


def test_the_report_draws_what_was_counted(report):
    row = report.row("oracle")
    better, _ = ranked(report, row)
    counted = row.result.counted[better[0]]
    drawn = marked(report, row, better[0])
    plain = row.source.read(report.task.images[better[0]])
    left, top, *_ = (round(float(v)) for v in counted.found.boxes[0])
    assert counted.right[0]
    assert drawn[top, left].tolist() == [64, 220, 96]  # green
    assert (drawn != plain).any()


def test_json_markdown_and_latex_hold_the_numbers(report):
    about = {"command": "derain downstream"}
    found = json.loads(as_json(report, about))
    rows = {row["name"]: row for row in found["inputs"]}
    assert rows["rain"]["recovered"]["value"] == 0
    assert rows["clean"]["psnr"] == "inf"
    assert sum(rows["clean"]["by_image"]["right"]) == 24
    assert found["thresholds"] == {"score_threshold": 0.6, "iou_threshold": 0.5, "floor": 0.05}
    assert set(found["libraries"]) >= {"pycocotools", "onnxruntime"}
    text = markdown(report, about)
    assert "rain of the preset rain100h on the clean images, seed 0" in text
    assert "Table 6, detection by YOLOv3" in text
    assert "compare with each other, not with ours" in text
    assert r"\begin{tabular}" in as_latex(report)
