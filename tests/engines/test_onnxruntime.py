"""onnxruntime gives what the other engines give, and says what it cannot do."""

import sys
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import derain
from derain import engines
from derain.engines import Choice
from derain.engines.onnxruntime import ONNXRuntimeEngine, missing
from derain.weights.catalog import WEIGHTS


@pytest.mark.parametrize("name", WEIGHTS)
def test_all_engines_agree_on_the_shipped_weights_to_100_db(name):
    pytest.importorskip("torch")
    batch = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    results = []
    for engine, suffix in (
        ("openvino", ".onnx"),
        ("onnxruntime", ".onnx"),
        ("torch", ".safetensors"),
    ):
        loaded = engines.load_engine(
            WEIGHTS[name].file(suffix), Choice(engine, "cpu", ""), "f32", 1
        )
        assert loaded.record.name == name
        results.append(loaded(batch))
    for one, other in pairwise(results):
        assert -10 * np.log10(np.mean((one - other).astype(float) ** 2)) > 100


def test_a_image_of_any_size_and_kind():
    image = np.random.default_rng(0).integers(0, 256, (37, 61, 3), np.uint8)
    ours, theirs = (
        derain.load(engine=engine, device="cpu", precision="f32")(image).astype(int)
        for engine in ("onnxruntime", "openvino")
    )
    assert ours.shape == image.shape
    assert np.abs(ours - theirs).max() <= 1  # rounding to 8 bits


def test_what_it_cannot_do_is_said():
    path = next(iter(WEIGHTS.values())).file(".onnx")
    with pytest.raises(ValueError, match="onnxruntime computes in f32 here, not in bf16"):
        ONNXRuntimeEngine(path, precision="bf16")
    with pytest.raises(ValueError, match="mps needs --engine torch"):
        engines.choose("mps", "onnxruntime")
    assert engines.choose("auto", "onnxruntime").engine == "onnxruntime"


def test_without_cuda_asking_for_it_is_an_error():
    if not missing("cuda"):
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ValueError, match="no cuda: this onnxruntime has no CUDA"):
        engines.choose("cuda", "onnxruntime")


def test_other_files_are_refused_by_name(tmp_path):
    onnx = pytest.importorskip("onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"rain")
    with pytest.raises(ValueError, match=r"broken.onnx: not an ONNX file, or a damaged one"):
        ONNXRuntimeEngine(broken)
    model = onnx.load(WEIGHTS["mspfn-lite"].file(".onnx"))
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"other.onnx: not written by derain"):
        ONNXRuntimeEngine(tmp_path / "other.onnx")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"needs `pip install derain\[onnxruntime\]`"):
        engines.choose("cpu", "onnxruntime")
