"""Images into detectors and boxes back: generated models with one known box."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from derain.downstream.decoders import FORMATS
from derain.downstream.fitting import fit, suppress
from derain.downstream.onnx import OnnxDetector

SIZE = 64
IDS = [1, 2, 5]


def save(path, outputs, size=SIZE):
    """A model that returns the same arrays for any image."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])
    nodes, infos = [], []
    for k, array in enumerate(outputs):
        tensor = numpy_helper.from_array(array)
        nodes.append(helper.make_node("Constant", [], [f"out{k}"], value=tensor))
        infos.append(helper.make_tensor_value_info(f"out{k}", tensor.data_type, array.shape))
    graph = helper.make_graph(nodes, "known", [image], infos)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def yolox():
    rows = np.zeros((1, 64 + 16 + 4, 5 + 3), np.float32)
    cell = 3 * 8 + 2  # row 3, column 2 of stride 8: centre at (0.5 + 2, 0.25 + 3) * 8
    rows[0, cell] = [0.5, 0.25, np.log(2), np.log(3), 0.9, 0, 1, 0]
    return [rows]


def fastestdet():
    planes = np.zeros((1, 5 + 3, 4, 4), np.float32)
    planes[0, :, 1, 1] = [
        0.9, np.arctanh(0.25), np.arctanh(0.625), np.log(1 / 3), np.log(0.6), 0, 1, 0
    ]  # fmt: skip
    return [planes]


def nanodet():
    outputs = []
    for stride in (8, 16, 32):
        cells = (SIZE // stride) ** 2
        outputs.append(np.zeros((1, cells, 3), np.float32))
        outputs.append(np.zeros((1, cells, 32), np.float32))
    outputs[0][0, 3 * 8 + 2, 1] = 0.9  # centre at (2, 3) * 8 + 3.5
    distances = np.full((4, 8), -50, np.float32)
    distances[range(4), [1, 1, 1, 1]] = 0  # one stride to each side
    outputs[1][0, 3 * 8 + 2] = distances.ravel()
    return outputs


def xyxy():
    boxes = np.array([[12, 14, 28, 38], [0, 0, 9, 9]], np.float32)
    return [boxes, np.array([0.9, 0.001], np.float32), np.array([1, 0], np.int64)]


KNOWN = {  # kind -> outputs, box in the input of 64x64
    "yolox": (yolox, (12, 14, 28, 38)),
    "fastestdet": (fastestdet, (12, 14, 28, 38)),
    "nanodet": (nanodet, (11.5, 19.5, 27.5, 35.5)),
    "xyxy": (xyxy, (12, 14, 28, 38)),
}


def test_every_kind_has_a_known_box():
    assert set(KNOWN) == set(FORMATS)


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("shape", [(64, 64), (128, 128)])
def test_a_known_box_comes_back_in_pixels_of_the_image(tmp_path, kind, shape):
    outputs, box = KNOWN[kind]
    if kind == "fastestdet":
        w, h = 1 / 4 * SIZE, 0.375 * SIZE  # sigmoid(log(1/3)) and sigmoid(log(0.6))
        x, y = 1.25 / 4 * SIZE, 1.625 / 4 * SIZE
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    detector = OnnxDetector(save(tmp_path / "known.onnx", outputs()), kind, IDS)
    (found,) = detector([np.zeros((*shape, 3), np.uint8)])
    assert found.labels.tolist() == [2]  # class 1 is the second category
    assert found.scores[0] == pytest.approx(0.9 if kind != "fastestdet" else 0.9**0.6)
    assert found.boxes[0] == pytest.approx(np.array(box) * shape[0] / SIZE, abs=1e-3)


@pytest.mark.parametrize("how", ["top-left", "centre", "stretch"])
@pytest.mark.parametrize("size", [(480, 640), (640, 427), (7, 5), (100, 1000)])
def test_a_box_goes_into_the_input_and_back_within_a_pixel(how, size):
    height, width = size
    image = np.zeros((height, width, 3), np.uint8)
    box = np.array([[0.2 * width, 0.3 * height, 0.9 * width, 0.8 * height]], np.float32)
    placed, where = fit(image, 416, 416, how)
    assert placed.shape == (416, 416, 3)
    inside = box * (where.scale * 2) + np.array(where.offset * 2)
    assert inside.min() >= 0
    assert inside.max() <= 416
    assert where.back(inside.astype(np.float32)) == pytest.approx(box, abs=1)


def test_what_a_letterbox_shows_is_where_it_says():
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:60, 50:150] = 255
    for how in ("top-left", "centre"):
        placed, where = fit(image, 128, 128, how)
        rows, columns = np.nonzero(placed[..., 0] > 200)
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
        assert where.back(box.astype(np.float32))[0] == pytest.approx([50, 20, 150, 60], abs=1.6)


def test_suppression_keeps_the_better_of_two_and_other_classes():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    scores = np.array([0.8, 0.9, 0.5, 0.7], np.float32)
    kept = suppress(boxes, scores, np.array([0, 0, 1, 0]), 0.5)
    assert kept.tolist() == [1, 3, 2]


def test_labels_that_do_not_fit_are_told_at_the_first_image(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    detector = OnnxDetector(save(tmp_path / "known.onnx", yolox()), "yolox", [1, 2])
    with pytest.raises(ValueError, match="has 3 classes, the annotations have 2 categories"):
        detector([image])
    detector = OnnxDetector(save(tmp_path / "nms.onnx", xyxy()), "xyxy", [1])
    with pytest.raises(ValueError, match="gave class 1, the annotations have 1 categories"):
        detector([image])


def test_classes_that_the_annotations_lack_are_left_out(tmp_path):
    detector = OnnxDetector(save(tmp_path / "known.onnx", yolox()), "yolox", [1, -1, 5])
    (found,) = detector([np.zeros((64, 64, 3), np.uint8)])
    assert len(found.boxes) == 0


def test_another_kind_of_model_is_named(tmp_path):
    path = save(tmp_path / "known.onnx", yolox())
    with pytest.raises(ValueError, match="known: yolox, nanodet, fastestdet, xyxy"):
        OnnxDetector(path, "yolo9", IDS)
    words = r"known.onnx: its outputs .* are not those of {}; known kinds: yolox, nanodet,"
    for kind, name in (("fastestdet", "FastestDet"), ("nanodet", "NanoDet")):
        with pytest.raises(ValueError, match=words.format(name)):
            OnnxDetector(path, kind, IDS)([np.zeros((64, 64, 3), np.uint8)])
    with pytest.raises(ValueError, match=r"absent.onnx: no such file"):
        OnnxDetector(tmp_path / "absent.onnx", "yolox", IDS)
