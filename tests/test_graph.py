"""Convolutions that are split afterwards become several, which compute the same."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from derain.graph import split_convolutions

RNG = np.random.default_rng(0)


def weight(name, *shape):
    return numpy_helper.from_array(RNG.normal(size=shape).astype(np.float32), name)


def model(nodes, weights, outputs):
    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, None, None])

    graph = helper.make_graph(nodes, "g", [value("x")], [value(o) for o in outputs], weights)
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


def check(model, expected):
    """The values stay, and these are the nodes afterwards."""
    before = run(model)
    split_convolutions(model.graph)
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
