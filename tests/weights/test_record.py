"""A model file says what it is, and a broken one is named."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain.export import to_onnx  # noqa: E402
from derain.models import build  # noqa: E402
from derain.weights.catalog import WEIGHTS  # noqa: E402
from derain.weights.files import load_network, save_weights  # noqa: E402
from derain.weights.headers import read_record  # noqa: E402
from derain.weights.record import Record, parse_record  # noqa: E402

OPTIONS = {"fine_modules": 1, "width": 8, "lstm_widths": (8, 8, 8)}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("mspfn-lite", **OPTIONS).eval()


@pytest.fixture
def record():
    return Record("tiny", "mspfn-lite", OPTIONS, size_multiple=16, scores={"set y psnr": 27.5})


def test_weights_and_record_come_back(tmp_path, network, record):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, network.state_dict(), record)
    again, found = load_network(path)
    assert found.scores == record.scores
    x = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        assert torch.equal(again(x), network(x))


def test_half_precision_halves_the_file_and_keeps_the_image(tmp_path, network, record):
    for dtype in (None, torch.float16):
        save_weights(tmp_path / f"{dtype}.safetensors", network.state_dict(), record, dtype)
    sizes = [(tmp_path / f"{d}.safetensors").stat().st_size for d in (None, torch.float16)]
    assert sizes[1] < 0.65 * sizes[0]
    half, _ = load_network(tmp_path / "torch.float16.safetensors")
    x = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        assert (half(x) - network(x)).abs().max() < 2e-3


def test_onnx_carries_the_record_and_computes_the_same(tmp_path, network, record):
    from derain.engines.openvino import OpenVINOEngine

    path = tmp_path / "tiny.onnx"
    assert to_onnx(path, network, record) < 1e-5
    engine = OpenVINOEngine(path, "f32")
    assert engine.record.scores == record.scores
    for size in ((16, 16), (48, 80), (112, 64)):
        x = np.random.default_rng(0).random((1, 3, *size), np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(x)).numpy()
        assert np.abs(engine(x) - expected).max() < 1e-5


def test_both_forms_of_the_shipped_weights_say_the_same():
    from derain.engines.openvino import read_model

    for weights in WEIGHTS.values():
        _, onnx = read_model(weights.file(".onnx"))
        assert onnx == read_record(weights.file(".safetensors"))
        assert onnx.name == weights.name


def test_an_onnx_of_someone_else_is_refused(tmp_path):
    import onnx

    from derain.engines.openvino import read_model

    shape = [1, 3, 16, 16]
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n in "xy"]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"other.onnx: not written by derain"):
        read_model(tmp_path / "other.onnx")


def test_weights_that_do_not_fit_their_network_are_named(tmp_path, network):
    path = tmp_path / "odd.safetensors"
    save_weights(path, network.state_dict(), Record("odd", "mspfn-lite"))
    with pytest.raises(ValueError, match=r"odd.safetensors: does not fit mspfn-lite"):
        load_network(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "damaged"),
        ("{}", "damaged"),
        (json.dumps({"format": 1, "colour": "red"}), "damaged"),
        (json.dumps({"format": 2}), "newer derain"),
    ],
)
def test_a_broken_record_is_named(tmp_path, text, words):
    with pytest.raises(ValueError, match=words):
        parse_record(text, tmp_path / "x.onnx")
