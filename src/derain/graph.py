"""ONNX graphs: the same function in fewer passes over the memory."""

from collections import Counter
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    numpy_helper,
    shape_inference,
)

CHANNELS = 1  # the axis


class Part(NamedTuple):
    """Some channels of a tensor, as a tensor of their own."""

    name: str
    first: int
    end: int


def split_convolutions(graph: GraphProto) -> None:
    """Replace a convolution whose channels are split after it by one convolution per part.

    A runtime copies what it splits, and cannot fuse what follows a split, such as the gates of a
    ConvLSTM, into the convolution. Each part has its own rows of the weight, so the values stay
    the same. Through a depthwise convolution the split goes on to the convolution before it, as
    in NAFNet.

    Args:
        graph: Changed in place.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    splittable = splittable_convolutions(graph, weights)
    wanted: dict[str, list[Part]] = {}  # tensors that are to be made in parts
    nodes: list[NodeProto] = []  # from the last to the first, so that readers come before makers
    for node in reversed(graph.node):
        if parts := parts_of(node, weights, splittable):
            wanted[node.input[0]] = parts
        elif parts := wanted.get(node.output[0]):
            nodes += [convolution(node, part, weights) for part in parts]
            if is_depthwise(node, weights):
                source = node.input[0]
                wanted[source] = [part._replace(name=part_name(source, part)) for part in parts]
        else:
            nodes.append(copy(node))
    put_nodes(graph, nodes[::-1], weights)


def means_as_convolutions(model: ModelProto) -> None:
    """Replace means over the channels by 1x1 convolutions to one channel.

    onnxruntime runs these several times faster. Their weights are stored in f32, whatever the
    others are: one over the number of channels.

    Args:
        model: Changed in place.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inferred = shape_inference.infer_shapes(model).graph
    values = [*inferred.input, *inferred.value_info]
    shapes = {value.name: value.type.tensor_type.shape.dim for value in values}
    nodes: list[NodeProto] = []
    for node in graph.node:
        shape = shapes.get(node.input[0], []) if is_channel_mean(node, weights) else []
        if len(shape) == 4 and (channels := shape[CHANNELS].dim_value):
            name = f"mean.{channels}"
            mean = np.full((1, channels, 1, 1), 1 / channels, np.float32)
            weights[name] = numpy_helper.from_array(mean, name)
            inputs = [node.input[0], name]
            nodes.append(helper.make_node("Conv", inputs, node.output, node.name))
        else:
            nodes.append(copy(node))
    put_nodes(graph, nodes, weights)


def simplify_prelus(graph: GraphProto) -> None:
    """Replace PReLUs by what onnxruntime runs faster, where it is exact.

    One with a single slope is a leaky ReLU, which goes into the convolution before it; one whose
    slopes ``a`` are all 1 at most is ``max(x, a x)``.

    Args:
        graph: Changed in place.
    """
    weights = {tensor.name: tensor for tensor in graph.initializer}
    casts = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Cast"}
    nodes: list[NodeProto] = []
    for node in graph.node:
        stored = weights.get(casts.get(node.input[-1], node.input[-1])) if node.input else None
        slopes: NDArray[np.float32] | None = None
        if node.op_type == "PRelu" and stored is not None:
            slopes = numpy_helper.to_array(stored).astype(np.float32)
        if slopes is None or slopes.max() > 1:
            nodes.append(copy(node))
        elif slopes.size == 1:
            x, slope = node.input[0], slopes.item()
            nodes.append(helper.make_node("LeakyRelu", [x], node.output, node.name, alpha=slope))
        else:
            (x, slope), scaled = node.input, f"{node.output[0]}.scaled"
            nodes.append(helper.make_node("Mul", [x, slope], [scaled]))
            nodes.append(helper.make_node("Max", [x, scaled], node.output, node.name))
    put_nodes(graph, nodes, weights)


def splittable_convolutions(graph: GraphProto, weights: dict[str, TensorProto]) -> dict[str, int]:
    """What convolutions write that one node alone reads, and its channels."""
    readers = Counter(name for node in graph.node for name in inputs_of(node))
    readers.update(value.name for value in graph.output)
    found: dict[str, int] = {}
    for node in graph.node:
        constant = node.op_type == "Conv" and all(name in weights for name in node.input[1:])
        if not constant or readers[node.output[0]] != 1:
            continue
        if group(node) == 1 or (is_depthwise(node, weights) and node.input[0] in found):
            found[node.output[0]] = weights[node.input[1]].dims[0]
    return found


def parts_of(
    node: NodeProto, weights: dict[str, TensorProto], splittable: dict[str, int]
) -> list[Part]:
    """What a node splits a splittable convolution into; nothing if it does not."""
    if node.op_type != "Split" or node.input[0] not in splittable:
        return []
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
    if axis != CHANNELS or any(name not in weights for name in node.input[1:]):
        return []
    channels, count = splittable[node.input[0]], len(node.output)
    if len(node.input) > 1:
        sizes = numpy_helper.to_array(weights[node.input[1]]).tolist()
        ends = list(accumulate(sizes))
    else:  # equal parts, the last one smaller where that does not go
        ends = [min(i * -(-channels // count), channels) for i in range(1, count + 1)]
    return [Part(*part) for part in zip(node.output, [0, *ends[:-1]], ends, strict=True)]


def convolution(node: NodeProto, part: Part, weights: dict[str, TensorProto]) -> NodeProto:
    """The part of a convolution that computes a part of its channels; adds its weights."""
    result = copy(node)
    result.name = result.output[0] = part.name
    for position, name in enumerate(node.input[1:], start=1):
        rows = numpy_helper.to_array(weights[name])[part.first : part.end]
        result.input[position] = part_name(name, part)
        weights[result.input[position]] = numpy_helper.from_array(rows, result.input[position])
    if is_depthwise(node, weights):
        result.input[0] = part_name(node.input[0], part)
        next(a for a in result.attribute if a.name == "group").i = part.end - part.first
    return result


def is_channel_mean(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    """Whether a node is the mean over the channels, which stay as an axis of length 1."""
    axes = weights.get(node.input[1]) if len(node.input) > 1 else None
    if node.op_type != "ReduceMean" or axes is None:
        return False
    kept = all(attribute.i for attribute in node.attribute if attribute.name == "keepdims")
    return kept and numpy_helper.to_array(axes).tolist() == [CHANNELS]


def put_nodes(graph: GraphProto, nodes: list[NodeProto], weights: dict[str, TensorProto]) -> None:
    """Give a graph other nodes, and those of the weights that they read."""
    read = {name for node in nodes for name in inputs_of(node)}
    kept = [weight for name, weight in weights.items() if name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def part_name(name: str, part: Part) -> str:
    """The name of some channels of a tensor."""
    return f"{name}.{part.first}-{part.end}"


def inputs_of(node: NodeProto) -> list[str]:
    """What a node reads, the nodes of a loop's body included."""
    inside = [inner for a in node.attribute if a.HasField("g") for inner in a.g.node]
    return [*node.input, *(name for inner in inside for name in inputs_of(inner))]


def copy(node: NodeProto) -> NodeProto:
    """The same node; a graph frees its own when it gets new ones."""
    return NodeProto.FromString(node.SerializeToString())


def group(node: NodeProto) -> int:
    """The groups of a convolution."""
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def is_depthwise(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    """Whether a convolution looks at each channel by itself, and returns as many."""
    outputs, inputs = weights[node.input[1]].dims[:2]
    return inputs == 1 and group(node) == outputs > 1
