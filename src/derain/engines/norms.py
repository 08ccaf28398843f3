"""OpenVINO graphs: layer norms over channels, without the passes that subtract a mean.

A residual stream is what is added up from block to block and read by norms and convolutions alone.
All that is written into it and read from it is linear, so the weights can hold it in another basis
(as SliceGPT does for transformers; Ashkboos et al., ICLR 2024): one whose first channel is the
mean over the channels, very small, and whose others are a rotation of what is left. There a layer
norm is ``x / sqrt(mean(x^2) + eps)``; its weight, its bias and the subtraction of the mean go into
the convolutions that read it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from derain.engines.untracked import openvino as ov

ops = ov.opset13

# The scale of the channel that holds the mean: less than a sum of squares in f32 can feel.
# A power of two, with which neither f32 nor bf16 loses digits.
MEAN = 2.0**-16

Matrix = NDArray[np.float64]


class LayerNorm(NamedTuple):
    """A layer norm over channels, and what reads it."""

    mean: ov.Node  # of the stream
    centre: ov.Node  # the stream without its mean
    end: ov.Node  # the norm's result
    epsilon: float
    weight: Matrix  # (C,)
    bias: Matrix  # (C,)
    readers: list[ov.Node]  # 1x1 convolutions, each read by the addition of its bias alone


class Maker(NamedTuple):
    """A convolution whose values, scaled and shifted, go into a stream."""

    convolution: ov.Node
    end: ov.Node  # scale * convolution + shift
    scale: Matrix  # per channel
    shift: Matrix


class Stream(NamedTuple):
    """A residual stream."""

    channels: int
    makers: list[Maker]
    norms: list[LayerNorm]
    readers: list[ov.Node]  # convolutions


def simplify_layer_norms(model: ov.Model) -> int:
    """Change the basis of the residual streams that layer norms read; all else stays as it is.

    Args:
        model: Changed in place; it computes the same.

    Returns:
        How many layer norms became simpler.
    """
    if not any(_kind(node) == "ReduceMean" for node in model.get_ops()):
        return 0
    folding = ov.passes.Manager()
    folding.register_pass(
        ov.passes.ConstantFolding()
    )  # of weights stored in halves, and shapes of biases
    folding.run_passes(model)
    found = [norm for node in model.get_ordered_ops() if (norm := _norm_at(node))]
    done: set[str] = set()
    for norm in found:
        if norm.end.get_name() not in done and (stream := _stream_of(norm, found)):
            _change_basis(stream)
            done |= {each.end.get_name() for each in stream.norms}
    model.validate_nodes_and_infer_types()
    return len(done)


def basis(channels: int) -> tuple[Matrix, Matrix]:
    """A matrix (C, C) that changes the basis of a stream, and its inverse.

    Its first row gives ``MEAN * sqrt(C)`` times the mean; the others are orthonormal, and
    orthogonal to it.
    """
    axis = np.full(channels, channels**-0.5)
    axis[0] -= 1
    axis /= np.linalg.norm(axis)
    reflection = np.eye(channels) - 2 * np.outer(axis, axis)
    scale = np.ones(channels)
    scale[0] = MEAN
    return scale[:, None] * reflection, reflection.T / scale


def _change_basis(stream: Stream) -> None:
    matrix, inverse = basis(stream.channels)
    for convolution in stream.readers:
        _multiply_inputs(convolution, inverse)
    for maker in stream.makers:
        weight = _weight(maker.convolution)
        scaled = (weight.reshape(len(weight), -1) * maker.scale[:, None]).reshape(len(matrix), -1)
        _set_input(maker.convolution, 1, (matrix @ scaled).reshape(weight.shape))
        targets = maker.end.output(0).get_target_inputs()
        shift = matrix @ maker.shift.reshape(len(matrix), -1)
        end = ops.add(maker.convolution, _constant(shift.reshape(1, -1, 1, 1)))
        for target in targets:
            target.replace_source_output(end.output(0))
    for norm in stream.norms:
        centred = norm.weight[:, None] * (inverse - inverse.mean(axis=0))
        centred[:, 0] = 0  # of the mean nothing is left
        for convolution in norm.readers:
            _add_to_bias(convolution, _weight(convolution)[:, :, 0, 0] @ norm.bias)
            _multiply_inputs(convolution, centred)
        _replace(norm)


def _replace(norm: LayerNorm) -> None:
    """Put the simple form in the place of a layer norm."""
    stream = norm.mean.input_value(0)
    length = ops.reduce_l2(stream, norm.mean.input_value(1), keep_dims=True)  # in one pass
    square = ops.multiply(ops.multiply(length, length), _constant(1 / len(norm.weight)))
    factor = ops.power(ops.add(square, _constant(norm.epsilon)), _constant(-0.5))
    result = ops.multiply(stream, factor)
    for target in norm.end.output(0).get_target_inputs():
        target.replace_source_output(result.output(0))


def _stream_of(first: LayerNorm, norms: list[LayerNorm]) -> Stream | None:
    """The stream that a norm reads; None if anything of it is not as it must be."""
    stream = Stream(len(first.weight), [], [], [])
    by_source = {_source(norm.mean).get_name(): norm for norm in norms}
    seen: set[str] = set()
    todo = [_source(first.mean)]
    while todo:
        node = todo.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        if _channels(node) != stream.channels:
            return None
        if _is_sum(node):
            todo += [node.input_value(i).get_node() for i in range(2)]
        elif maker := _maker_at(node):
            stream.makers.append(maker)
        else:
            return None
        norm = by_source.get(node.get_name())
        stream.norms.extend([norm] if norm else [])
        of_norm = {norm.mean.get_name(), norm.centre.get_name()} if norm else set()
        for reader, position in _readers(node):
            if _is_sum(reader):
                todo.append(reader)
            elif _is_convolution(reader) and position == 0:
                stream.readers.append(reader)
            elif reader.get_name() not in of_norm:
                return None
    makers = {maker.convolution.get_name() for maker in stream.makers}
    of_norms = {reader.get_name() for norm in stream.norms for reader in norm.readers}
    return None if makers & of_norms else stream


def _maker_at(end: ov.Node) -> Maker | None:
    """The maker whose values a node returns, or a pixel shuffle of them."""
    if _kind(end) == "DepthToSpace":
        if end.get_attributes()["mode"] != "depth_first" or len(_readers(_source(end))) != 1:
            return None
        end = _source(end)
    steps: list[tuple[str, Matrix]] = []  # the last first
    node = end
    while not _is_convolution(node):
        value, constant = _split(node) if _kind(node) in ("Add", "Multiply") else (None, None)
        if value is None or constant is None:
            return None
        steps.append((_kind(node), constant))
        node = value
        if len(_readers(node)) != 1:
            return None
    outputs = len(_weight(node))
    scale, shift = np.ones(outputs), np.zeros(outputs)
    for kind, constant in reversed(steps):
        if (values := _per_channel(constant, outputs)) is None:
            return None
        if kind == "Multiply":
            scale, shift = scale * values, shift * values
        else:
            shift = shift + values
    return Maker(node, end, scale, shift)


def _norm_at(mean: ov.Node) -> LayerNorm | None:
    """The layer norm that begins with a node; None if none does."""
    centre = _only_reader(mean, "Subtract") if _is_mean(mean) else None
    if not centre or _source(centre).get_name() != _source(mean).get_name():
        return None
    readers = [reader for reader, _ in _readers(centre)]
    square = next((node for node in readers if _is_square(node)), None)
    variance = square and _only_reader(square, "ReduceMean")
    shifted = variance and _is_mean(variance) and _only_reader(variance, "Add")
    root = shifted and _only_reader(shifted, "Sqrt")
    factor = root and _only_reader(root, "Divide")
    product = factor and _only_reader(factor, "Multiply")
    scaled = product and _only_reader(product, "Multiply")
    end = scaled and _only_reader(scaled, "Add")
    if not (square and shifted and factor and product and scaled and end):
        return None
    if {each.get_name() for each in readers} != {square.get_name(), product.get_name()}:
        return None
    one, epsilon = _value(factor.input_value(0)), _split(shifted)[1]
    channels = _channels(end)
    weight, bias = (_per_channel(_split(node)[1], channels) for node in (scaled, end))
    if one is None or epsilon is None or weight is None or bias is None or channels < 2:
        return None
    after = [reader for reader, _ in _readers(end)]
    if one.size != 1 or one.item() != 1 or epsilon.size != 1 or not all(map(_is_linear, after)):
        return None
    return LayerNorm(mean, centre, end, epsilon.item(), weight, bias, after)


def _is_mean(node: ov.Node) -> bool:
    """Whether a node is the mean over the channels."""
    if _kind(node) != "ReduceMean" or not node.get_attributes()["keep_dims"]:
        return False
    axes = _value(node.input_value(1))
    return axes is not None and axes.ravel().tolist() == [1]


def _is_square(node: ov.Node) -> bool:
    return _kind(node) == "Multiply" and node.input_value(0) == node.input_value(1)


def _is_sum(node: ov.Node) -> bool:
    """Whether a node adds two values that both depend on the image."""
    return _kind(node) == "Add" and _split(node)[1] is None


def _is_convolution(node: ov.Node) -> bool:
    """Whether a node is a convolution of all channels with constant weights."""
    return _kind(node) == "Convolution" and _value(node.input_value(1)) is not None


def _is_linear(node: ov.Node) -> bool:
    """Whether a node maps each pixel by itself, and its bias is added after it."""
    if not _is_convolution(node) or _weight(node).shape[2:] != (1, 1):
        return False
    attributes = node.get_attributes()
    if any(attributes["pads_begin"]) or any(attributes["pads_end"]):
        return False
    bias = _only_reader(node, "Add")
    return bias is not None and _per_channel(_split(bias)[1], len(_weight(node))) is not None


def _kind(node: ov.Node) -> str:
    return node.get_type_name()


def _source(node: ov.Node) -> ov.Node:
    return node.input_value(0).get_node()


def _readers(node: ov.Node) -> list[tuple[ov.Node, int]]:
    """What reads a node, and at which of its inputs."""
    return [(i.get_node(), i.get_index()) for i in node.output(0).get_target_inputs()]


def _only_reader(node: ov.Node, kind: str) -> ov.Node | None:
    """The one reader of a node, if it is of a kind; a square is one reader."""
    readers = _readers(node)
    return readers[0][0] if len(readers) == 1 and _kind(readers[0][0]) == kind else None


def _channels(node: ov.Node) -> int:
    """The channels of an image's features; 0 for anything else."""
    shape = node.output(0).get_partial_shape()
    known = shape.rank.is_static and len(shape) == 4 and shape[1].is_static
    return shape[1].get_length() if known else 0


def _value(output: ov.Output) -> NDArray[np.generic] | None:
    node = output.get_node()
    return node.data if isinstance(node, ov.op.Constant) else None


def _split(node: ov.Node) -> tuple[ov.Node | None, Matrix | None]:
    """The variable and the constant input of a node; None for one that is not there."""
    for constant, variable in ((1, 0), (0, 1)):
        value = _value(node.input_value(constant))
        if value is not None:
            return node.input_value(variable).get_node(), value.astype(np.float64)
    return None, None


def _per_channel(constant: Matrix | None, channels: int) -> Matrix | None:
    """A constant as one number per channel; None if it is something else."""
    if constant is None or constant.shape not in ((channels, 1, 1), (1, channels, 1, 1)):
        return None
    return constant.ravel()


def _weight(convolution: ov.Node) -> Matrix:
    """(O, C, h, w)."""
    value = _value(convolution.input_value(1))
    assert value is not None
    return value.astype(np.float64)


def _multiply_inputs(convolution: ov.Node, matrix: Matrix) -> None:
    """Let a convolution's channels be ``matrix`` times what it reads."""
    weight = np.einsum("ochw,cd->odhw", _weight(convolution), matrix, optimize=True)
    _set_input(convolution, 1, weight)


def _add_to_bias(convolution: ov.Node, more: Matrix) -> None:
    bias = _only_reader(convolution, "Add")
    assert bias is not None
    position = next(i for i in range(2) if _value(bias.input_value(i)) is not None)
    value = _split(bias)[1]
    assert value is not None
    _set_input(bias, position, value + more.reshape(value.shape[-3:]))


def _set_input(node: ov.Node, position: int, value: Matrix) -> None:
    node.input(position).replace_source_output(_constant(value).output(0))


def _constant(value: Matrix | float) -> ov.Node:
    return ops.constant(np.asarray(value, np.float32))
