"""ONNX graphs: the same function in fewer passes over the memory."""

from collections import Counter
from itertools import accumulate
from typing import NamedTuple

from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

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
    read = {name for node in nodes for name in inputs_of(node)}
    kept = [weight for name, weight in weights.items() if name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(kept)


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
