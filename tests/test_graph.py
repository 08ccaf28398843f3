"""Graphs are written otherwise and compute the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from derain.graph import means_as_convolutions, simplify_prelus, split_convolutions

RNG = np.random.default_rng(0)


def weight(name, *shape):
    return numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)


def model(nodes, weights, outputs):
    def value(name, channels=None):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, None, None])

    graph = helper.make_graph(nodes, "g", [value("x", 4)], [value(o) for o in outputs], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(made)
    return made


def run(model):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    image = np.random.default_rng(1).normal(size=(1, 4, 8, 9)).astype(np.float32)
    return session.run(None, {"x": image})


def kinds(model):
    return sorted(node.op_type for node in model.graph.node)


def check(model, expected, change=lambda model: split_convolutions(model.graph)):
    """The values stay, and these are the nodes afterwards."""
    before = run(model)
    change(model)
    for one, other in zip(before, run(model), strict=True):
        assert np.abs(np.asarray(one) - np.asarray(other)).max() < 1e-5
    assert kinds(model) == expected


def conv(x, w, y, **attributes):
    return helper.make_node("Conv", [x, *w.split()], [y], **attributes)


def test_parts_of_unequal_size_and_a_weight_used_twice():
    nodes = [
        conv("x", "w b", "y", pads=[1, 1, 1, 1]),
        helper.make_node("Split", ["y", "sizes"], ["i", "j", "o"], axis=1),
        helper.make_node("Sigmoid", ["i"], ["a"]),
        conv("x", "w b", "z", pads=[1, 1, 1, 1]),
    ]
    weights = [weight("w", 10, 4, 3, 3), weight("b", 10)]
    weights.append(numpy_helper.from_array(np.array([3, 5, 2]), "sizes"))
    graph = model(nodes, weights, ["a", "j", "o", "z"])
    check(graph, ["Conv"] * 4 + ["Sigmoid"])


def test_a_split_goes_through_a_depthwise_convolution():
    nodes = [
        conv("x", "w", "y"),
        conv("y", "d b", "z", group=6, pads=[1, 1, 1, 1]),
        helper.make_node("Split", ["z"], ["l", "r"], axis=1, num_outputs=2),
        helper.make_node("Mul", ["l", "r"], ["out"]),
    ]
    weights = [weight("w", 6, 4, 1, 1), weight("d", 6, 1, 3, 3), weight("b", 6)]
    graph = model(nodes, weights, ["out"])
    check(graph, ["Conv"] * 4 + ["Mul"])
    assert sum(w.dims[0] for w in graph.graph.initializer) == 6 + 6 + 6  # halves, not copies


def test_what_others_read_or_is_split_along_rows_stays():
    nodes = [
        conv("x", "w", "y"),
        helper.make_node("Split", ["y"], ["l", "r"], axis=1, num_outputs=2),
        helper.make_node("Relu", ["y"], ["also"]),
        conv("x", "w", "z"),
        helper.make_node("Split", ["z"], ["top", "bottom"], axis=2, num_outputs=2),
    ]
    graph = model(nodes, [weight("w", 6, 4, 1, 1)], ["l", "r", "also", "top", "bottom"])
    check(graph, kinds(graph))


def test_what_the_body_of_a_loop_reads_from_outside_stays():
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 9])

    steps = [helper.make_node("Mul", ["v", "w"], ["weighted"]),
             helper.make_node("Add", ["weighted", "row"], ["next"]),
             helper.make_node("Identity", ["next"], ["out"])]  # fmt: skip
    body = helper.make_graph(
        steps, "body", [value("v"), value("row")], [value("next"), value("out")]
    )
    nodes = [
        helper.make_node("ReduceMin", ["x", "axes"], ["start"], keepdims=0),
        helper.make_node(
            "Scan", ["start", "x"], ["last", "y"], body=body, num_scan_inputs=1,
            scan_input_axes=[2], scan_output_axes=[2],
        ),
    ]  # fmt: skip
    weights = [weight("w", 1, 4, 1), numpy_helper.from_array(np.array([2]), "axes")]
    check(model(nodes, weights, ["y"]), ["ReduceMin", "Scan"])


def mean(x, y, axes, **attributes):
    return helper.make_node("ReduceMean", [x, axes], [y], **attributes)


def test_means_over_channels_become_convolutions_and_other_means_stay():
    nodes = [
        mean("x", "m", "channels"),
        helper.make_node("Sub", ["x", "m"], ["centred"]),
        mean("centred", "n", "channels", keepdims=1),
        mean("x", "pixels", "plane"),
        mean("x", "flat", "channels", keepdims=0),
        helper.make_node("Unsqueeze", ["flat", "channels"], ["back"]),
    ]
    axes = {"channels": [1], "plane": [2, 3]}
    weights = [numpy_helper.from_array(np.array(axis), name) for name, axis in axes.items()]
    graph = model(nodes, weights, ["n", "pixels", "back"])
    kept = ["ReduceMean", "ReduceMean", "Sub", "Unsqueeze"]
    check(graph, ["Conv", "Conv", *kept], means_as_convolutions)
    assert len([w for w in graph.graph.initializer if w.name.startswith("mean")]) == 1


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [
        ([0.25], ["LeakyRelu"]),
        ([-0.5], ["LeakyRelu"]),
        ([0.1, 1, 0, -3], ["Max", "Mul"]),
        ([0.1, 1.5, 0, -3], ["PRelu"]),
        ([2], ["PRelu"]),
    ],
)
def test_prelus_become_leaky_or_maxima_where_that_is_exact(slopes, expected):
    stored = numpy_helper.from_array(np.array(slopes, np.float32).reshape(-1, 1, 1), "a")
    prelu = helper.make_node("PRelu", ["x", "a"], ["y"])
    check(model([prelu], [stored], ["y"]), expected, lambda model: simplify_prelus(model.graph))


def test_slopes_that_are_stored_in_halves_are_seen():
    stored = numpy_helper.from_array(
        np.array([0.1, 1, 0, -3], np.float16).reshape(-1, 1, 1), "a.16"
    )
    nodes = [
        helper.make_node("Cast", ["a.16"], ["a"], to=TensorProto.FLOAT),
        helper.make_node("PRelu", ["x", "a"], ["y"]),
    ]
    graph = model(nodes, [stored], ["y"])
    check(graph, ["Cast", "Max", "Mul"], lambda model: simplify_prelus(model.graph))


def test_prelus_without_constant_slopes_stay():
    graph = model([helper.make_node("PRelu", ["x", "x"], ["y"])], [], ["y"])
    check(graph, ["PRelu"], lambda model: simplify_prelus(model.graph))
