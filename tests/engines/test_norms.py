"""Layer norms in OpenVINO graphs lose their passes over the mean, and nothing of their values."""

from typing import Any, cast

import numpy as np
import pytest

from derain.engines.norms import MEAN, basis, simplify_layer_norms
from derain.engines.openvino import core, read_model
from derain.engines.untracked import openvino as ov
from derain.weights.catalog import WEIGHTS

ops = ov.opset13

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def conv(x, inputs, outputs, size=1, bias=None):
    pads = [size // 2] * 2
    weight = random(outputs, inputs, size, size) / np.float32(inputs**0.5)
    y = ops.convolution(x, weight, [1, 1], pads, pads, [1, 1])
    return ops.add(y, random(1, outputs, 1, 1) if bias is None else np.float32(bias))


def layer_norm(x, channels):
    axis = ops.constant([1], np.int64)
    centred = ops.subtract(x, ops.reduce_mean(x, axis, keep_dims=True))
    variance = ops.reduce_mean(ops.multiply(centred, centred), axis, keep_dims=True)
    root = ops.sqrt(ops.add(variance, np.float32(1e-6)))
    y = ops.multiply(centred, ops.divide(np.float32(1), root))
    return ops.add(ops.multiply(y, random(channels, 1, 1)), random(1, channels, 1, 1))


def residual_network(mean=0.0, after=None, channels=8):
    """A stream of two blocks; ``after`` may read it too."""
    image = ops.parameter([1, 3, -1, -1], np.float32)
    x = conv(image, 3, channels, 3, bias=np.full((1, channels, 1, 1), mean))
    for _ in range(2):
        y = ops.relu(conv(layer_norm(x, channels), channels, 12))
        x = ops.add(x, ops.multiply(conv(y, 12, channels), random(1, channels, 1, 1)))
    shuffled = ops.depth_to_space(conv(x, channels, 4 * channels), "depth_first", 2)
    up = conv(layer_norm(shuffled, channels), channels, 3)
    make = cast(Any, ov.Model)  # its stubs want another class of the same name as self
    return make([after(up, x) if after else up], [image])


def run(model, size=(16, 24)):
    image = np.random.default_rng(1).random((1, 3, *size), np.float32)
    return core().compile_model(model, "CPU", EXACT)(image)[0]


def kinds(model):
    return [node.get_type_name() for node in model.get_ops()]


@pytest.mark.parametrize("channels", [2, 3, 32])
def test_the_basis_holds_the_mean_in_its_first_channel_and_the_deviation_in_the_others(channels):
    matrix, inverse = basis(channels)
    assert np.abs(inverse @ matrix - np.eye(channels)).max() < 1e-9
    x = np.random.default_rng(0).normal(3, size=channels)
    changed = matrix @ x
    assert changed[0] == pytest.approx(MEAN * channels**0.5 * x.mean())
    assert (changed[1:] ** 2).mean() * (channels - 1) / channels == pytest.approx(x.var())


@pytest.mark.parametrize("mean", [0, 30])
def test_a_residual_network_computes_the_same_without_means(mean):
    model = residual_network(mean)
    before = run(model)
    assert simplify_layer_norms(model) == 3
    assert kinds(model).count("ReduceMean") == 0
    assert np.abs(run(model) - before).max() < 1e-4 * np.abs(before).max()


def test_a_stream_that_something_else_reads_stays_and_others_do_not():
    model = residual_network(after=lambda up, x: ops.add(up, ops.reduce_max(x, [1, 2, 3], True)))
    before = run(model)
    assert simplify_layer_norms(model) == 1
    assert kinds(model).count("ReduceMean") == 4
    assert np.abs(run(model) - before).max() < 1e-4 * np.abs(before).max()


def test_the_default_network_loses_all_means_over_channels_and_agrees_to_100_db():
    model, _ = read_model(WEIGHTS["nafnet-small"].file(".onnx"))
    before = run(model, (48, 64))
    norms = kinds(model).count("Sqrt")
    assert simplify_layer_norms(model) == norms > 0
    assert kinds(model).count("Subtract") == 0
    assert -10 * np.log10(np.mean((run(model, (48, 64)) - before).astype(float) ** 2)) > 100


def test_graphs_without_layer_norms_stay():
    model, _ = read_model(WEIGHTS["mspfn-lite"].file(".onnx"))
    before = sorted(kinds(model))
    assert simplify_layer_norms(model) == 0
    assert set(kinds(model)) <= set(before)
