"""A network as a file: traced by torch, with its record, its weights in f32 or in halves."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.func import functional_call

from derain.export.check import Size
from derain.graph import means_as_convolutions, simplify_prelus, split_convolutions
from derain.weights.record import KEY, Record

# How weights are stored. The arithmetic is f32 until whoever runs the file asks for less.
PRECISIONS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
SMALL = 16  # tensors of fewer numbers stay f32: an epsilon or a factor weighs nothing


class HalfPrecisionWeights(nn.Module):
    """A network whose weights are stored in 16 bits and computed with in f32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        halves = {name: weight.to(dtype) for name, weight in network.named_parameters()}
        self.names = list(halves)
        self.halves = nn.ParameterList(halves.values())
        self.network = [network]  # in a list, so that its own weights are not saved too

    def forward(self, rainy: Tensor) -> Tensor:
        """(1, 3, H, W) -> the same shape."""
        weights = {n: half.float() for n, half in zip(self.names, self.halves, strict=True)}
        return functional_call(self.network[0], weights, (rainy,))


@contextmanager
def exporting(record: Record) -> Iterator[None]:
    """Silence what torch says about its exporters, and tell in one line why one failed.

    Raises:
        ValueError: One did; names the network and torch's reason.
    """
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError:
        raise
    except Exception as error:  # exporters' errors share no other base; the cause says more
        lines = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{record.network}: torch cannot export it: {lines[0]}") from error
    finally:
        log.setLevel(level)


def example(
    record: Record, size: Size | None, least: int = 1
) -> tuple[Tensor, dict[int, Any] | None]:
    """An image to trace with, and which of its dimensions are dynamic.

    Args:
        record: The record of the network.
        size: Height and width, where only one size will do.
        least: Else, how many times the record's ``size_multiple`` a height or width is at least.
    """
    if size:
        return torch.rand(1, 3, *size), None
    multiple = record.size_multiple
    height, width = (torch.export.Dim(name, min=least, max=8192) for name in ("h", "w"))
    dynamic = {2: multiple * height, 3: multiple * width} if multiple > 1 else {2: height, 3: width}
    # Small numbers of different height and width, so that none is taken for a constant.
    return torch.rand(1, 3, 5 * multiple, 6 * multiple), dynamic


def onnx_graph(network: nn.Module, record: Record, size: Size | None) -> onnx.ModelProto:
    """The network as an ONNX graph."""
    image, dynamic = example(record, size)
    with exporting(record):
        program = torch.onnx.export(
            network, (image,), dynamo=True, dynamic_shapes=(dynamic,) if dynamic else None,
            verbose=False, input_names=["rainy"], output_names=["derained"],
        )  # fmt: skip
    assert program is not None
    return program.model_proto


def save_graph(path: Path, model: onnx.ModelProto, record: Record, precision: str) -> None:
    """Write an ONNX graph as `.onnx` or, by OpenVINO, as `.xml` and `.bin`."""
    without_traces(model.graph)
    split_convolutions(model.graph)
    onnx.helper.set_model_props(model, {KEY: record.to_json()})
    if precision != "f32":
        store_in_half_precision(model.graph, PRECISIONS[precision])
    if path.suffix == ".onnx":
        means_as_convolutions(model)
        simplify_prelus(model.graph)
        path.write_bytes(model.SerializeToString())
        return
    from derain.engines.fuse import fuse_means_and_prelus
    from derain.engines.openvino import core
    from derain.engines.untracked import openvino

    graph = core().read_model(io.BytesIO(model.SerializeToString()))
    fuse_means_and_prelus(graph)
    openvino.save_model(graph, path, compress_to_fp16=False)  # it would be f16 unasked


def without_traces(graph: onnx.GraphProto) -> None:
    """Delete the traces of the export, larger than the graph itself, in the bodies of loops too."""
    for node in graph.node:
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                without_traces(attribute.g)


def store_in_half_precision(graph: onnx.GraphProto, dtype: torch.dtype) -> None:
    """Store the weights in 16 bits; a cast before their use makes them f32 again."""
    kind = {torch.float16: onnx.TensorProto.FLOAT16, torch.bfloat16: onnx.TensorProto.BFLOAT16}
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.data_type != onnx.TensorProto.FLOAT or values.size < SMALL:
            continue
        half = torch.from_numpy(values.copy()).to(dtype).view(torch.int16).numpy().tobytes()
        name = tensor.name
        stored = onnx.helper.make_tensor(f"{name}.16", kind[dtype], values.shape, half, raw=True)
        tensor.CopyFrom(stored)
        to = onnx.TensorProto.FLOAT
        casts.append(onnx.helper.make_node("Cast", [stored.name], [name], to=to))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def save_program(
    path: Path, network: nn.Module, record: Record, precision: str, size: Size | None
) -> None:
    """Write a network as `.pt2`, for ``torch.export.load``; the record is among the extra files."""
    if precision != "f32":
        network = HalfPrecisionWeights(network, PRECISIONS[precision]).eval()
    image, dynamic = example(record, size, least=2)  # torch takes a length of 1 for a constant
    with exporting(record), torch.no_grad():
        program = torch.export.export(
            network, (image,), dynamic_shapes=(dynamic,) if dynamic else None, strict=False
        )
        torch.export.save(program, path, extra_files={KEY: record.to_json()})
