"""OpenVINO graphs: what `.onnx` files hold in the form for onnxruntime, as one operation again.

OpenVINO runs a PReLU inside the convolution before it, but not ``max(x, a x)``; and layer norms are
told by their means (`norms.py`).
"""

import numpy as np
from numpy.typing import NDArray

from derain.engines.untracked import openvino as ov

ops = ov.opset13


def fuse_means_and_prelus(model: ov.Model) -> None:
    """Replace the convolutions and maxima of ``derain.graph`` by the means and PReLUs they are.

    Args:
        model: Changed in place; it computes the same.
    """
    for node in model.get_ops():
        match node.get_type_name():
            case "Convolution":
                fused = _mean(node)
            case "Maximum":
                fused = _prelu(node)
            case _:
                fused = None
        if fused is not None:
            fused.set_friendly_name(node.get_friendly_name())
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(fused.output(0))


def _mean(convolution: ov.Node) -> ov.Node | None:
    """The mean over the channels, if a convolution computes that."""
    outputs, channels, *window = convolution.input_value(1).get_partial_shape()
    if [outputs, *window] != [1, 1, 1] or channels.is_dynamic or channels.get_length() < 2:
        return None
    attributes = convolution.get_attributes()
    moves = [*attributes["pads_begin"], *attributes["pads_end"]]
    if any(moves) or any(stride != 1 for stride in attributes["strides"]):
        return None
    weight = _value(convolution.input_value(1))
    if weight is None or (weight != np.float32(1 / weight.size)).any():
        return None
    axis = ops.constant([1], np.int64)
    return ops.reduce_mean(convolution.input_value(0), axis, keep_dims=True)


def _prelu(maximum: ov.Node) -> ov.Node | None:
    """The PReLU, if a maximum is one: of x and a x, where no slope a is above 1."""
    for x, product in ((0, 1), (1, 0)):
        x, product = maximum.input_value(x), maximum.input_value(product).get_node()
        if product.get_type_name() != "Multiply":
            continue
        for factor, slopes in ((0, 1), (1, 0)):
            factor, slopes = product.input_value(factor), product.input_value(slopes)
            value = _value(slopes)
            if factor == x and value is not None and (value <= 1).all():
                return ops.prelu(x, slopes)
    return None


def _value(output: ov.Output) -> NDArray[np.float32] | None:
    """A constant, which may be stored in halves."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.get_data(dtype=np.float32) if isinstance(node, ov.op.Constant) else None
