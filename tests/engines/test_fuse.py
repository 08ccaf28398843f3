"""OpenVINO gets back the means and PReLUs that files hold in the form for onnxruntime."""

from collections import Counter
from typing import Any, cast

import numpy as np
import pytest

from derain.engines.fuse import fuse_means_and_prelus
from derain.engines.openvino import core, read_model
from derain.engines.untracked import openvino as ov
from derain.weights.catalog import WEIGHTS

ops = ov.opset13


def model(make):
    image = ops.parameter([1, 4, -1, -1], np.float32)
    return cast(Any, ov.Model)([make(image)], [image])  # its stubs want another class as self


def run(model):
    image = np.random.default_rng(1).normal(size=(1, 4, 8, 9)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return core().compile_model(model, "CPU", exact)(image)[0]


def kinds(model):
    used = [node.get_type_name() for node in model.get_ordered_ops()]
    return Counter(used) - Counter(
        {"Parameter": 1, "Result": 1, "Constant": used.count("Constant")}
    )


def convolution(x, weight, pads=(0, 0), strides=(1, 1)):
    return ops.convolution(x, np.float32(weight), list(strides), list(pads), list(pads), [1, 1])


def slopes(*values):
    return np.array(values, np.float32).reshape(1, -1, 1, 1)


QUARTERS = np.full((1, 4, 1, 1), 0.25)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda x: convolution(x, QUARTERS), "ReduceMean"),
        (lambda x: ops.maximum(x, ops.multiply(x, slopes(0.5, 1, 0, -2))), "PRelu"),
        (lambda x: ops.maximum(ops.multiply(slopes(0.5, 1, 0, -2), x), x), "PRelu"),
    ],
)
def test_means_and_prelus_are_one_operation_again(make, expected):
    graph = model(make)
    before = run(graph)
    fuse_means_and_prelus(graph)
    assert kinds(graph) == {expected: 1}
    assert np.abs(run(graph) - before).max() < 1e-6


@pytest.mark.parametrize("kind", [ov.Type.f16, ov.Type.bf16])
@pytest.mark.parametrize(("largest", "expected"), [(1.0, "PRelu"), (1.5, "Maximum")])
def test_slopes_that_are_stored_in_halves_are_seen(kind, largest, expected):
    stored = ov.op.Constant(kind, ov.Shape([1, 4, 1, 1]), [0.5, largest, 0.0, -2.0])
    graph = model(lambda x: ops.maximum(x, ops.multiply(x, ops.convert(stored, "f32"))))
    fuse_means_and_prelus(graph)
    assert expected in kinds(graph)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: convolution(x, QUARTERS * 1.001),
        lambda x: convolution(x, QUARTERS, strides=(2, 2)),
        lambda x: convolution(x, QUARTERS, pads=(1, 1)),
        lambda x: convolution(x, np.full((2, 4, 1, 1), 0.25)),
        lambda x: ops.maximum(x, ops.multiply(x, slopes(0.5, 1.5, 0, -2))),
        lambda x: ops.maximum(x, ops.multiply(ops.relu(x), slopes(0.5, 1, 0, -2))),
        lambda x: ops.maximum(x, ops.multiply(x, x)),
    ],
)
def test_what_only_looks_like_them_stays(make):
    graph = model(make)
    before = kinds(graph)
    fuse_means_and_prelus(graph)
    assert kinds(graph) == before


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_shipped_graphs_hold_their_means_and_prelus_again(name):
    onnx = pytest.importorskip("onnx")
    path = WEIGHTS[name].file(".onnx")
    stored = Counter(node.op_type for node in onnx.load(path).graph.node)
    found = Counter(kinds(read_model(path)[0]))
    leaky = stored["LeakyRelu"]  # which OpenVINO reads as PReLU
    assert stored["PRelu"] == 0
    assert found["Maximum"] == 0
    assert found["PRelu"] == stored["Max"] + leaky
    assert found["Convolution"] + found["GroupConvolution"] + found["ReduceMean"] == (
        stored["Conv"] + stored["ReduceMean"]
    )
    if name == "nafnet-small":  # two means in each layer norm
        assert found["ReduceMean"] == 2 * found["Sqrt"] > 0
