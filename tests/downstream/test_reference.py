"""The reference numbers of frozen models on clean images, to the last digit, where the data are."""

from pathlib import Path

import pytest

from derain.downstream import OnnxDetector, evaluate_downstream, read_coco, read_masks
from derain.downstream.evaluate import measure
from derain.downstream.inputs import Folder
from derain.downstream.models import load_model
from derain.downstream.tasks import SegmentationTask

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "downstream"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no reference data in {DATA}"),
]


@pytest.mark.parametrize(
    ("file", "kind", "expected"),
    [
        ("yolox_nano.onnx", "yolox", {"ap": 34.23, "ap50": 51.43, "precision": 84.05,
                                      "recall": 29.72, "iou": 85.73}),
        ("FastestDet.onnx", "fastestdet", {"ap": 22.57, "ap50": 39.74, "precision": 60.79,
                                           "recall": 29.93, "iou": 76.61}),
    ],
)  # fmt: skip
def test_the_reference_numbers_of_detectors(file, kind, expected):
    boxes = DATA / "coco" / "instances.json"
    detector = OnnxDetector(DATA / "models" / file, kind, list(read_coco(boxes).categories))
    images = DATA / "coco" / "images"
    report = evaluate_downstream("detect", detector, {"rain": images}, boxes, bootstrap=2)
    values = report.row("rain").metrics
    assert {name: round(values[name].value, 2) for name in expected} == expected


def test_the_reference_numbers_of_espnet():
    weights = DATA / "models" / "espnet_p_2_q_8_camvid.pth"
    model = load_model(f"python:{ROOT / 'examples' / 'espnet.py'}:espnet:{weights}", None)
    masks = read_masks(DATA / "camvid" / "masks", 11)
    report = measure(
        SegmentationTask(model, masks), {"rain": Folder(DATA / "camvid" / "images")}, 2
    )
    values = report.row("rain").metrics
    found = {name: round(values[name].value, 2) for name in ("miou", "mpa", "pa")}
    assert found == {"miou": 59.64, "mpa": 70.87, "pa": 86.51}
