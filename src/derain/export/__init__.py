"""A trained network as a file that other programs run: ONNX, OpenVINO's own format, torch.export.

Every file is folded, carries the record, and is kept only if it computes what torch does at f32.
"""

import dataclasses
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from derain.engines import Batch
from derain.export.check import Agreement, Size, save_checked
from derain.export.files import PRECISIONS, onnx_graph, save_graph, save_program
from derain.models import Network
from derain.models.blocks import on_padded
from derain.models.network import check_contract
from derain.weights.record import Record

__all__ = ["FORMATS", "PRECISIONS", "Agreement", "export", "to_onnx", "write"]

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}


def export(
    source: Path, target: Path, precision: str = "f32", size: Size | None = None
) -> Agreement:
    """Write a model file in another format.

    Args:
        source: A `.safetensors` file, an authors' checkpoint, or an `.onnx` file of derain's
            (then the measure is what OpenVINO computes from it at f32).
        target: Ends in `.onnx`, `.xml` (its weights go into a `.bin` beside it) or `.pt2`.
        precision: A key of ``PRECISIONS``.
        size: Height and width of the only images that the file will take. What the network cannot
            take is padded inside, as ``Restorer`` pads. None takes any height and width that
            divide by the record's ``size_multiple``.

    Raises:
        ValueError: Something of this is impossible, or the file disagrees with torch; nothing is
            written then.
    """
    if target.suffix not in FORMATS.values():
        raise ValueError(f"{target}: must end in {', '.join(FORMATS.values())}")
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if source.suffix == ".onnx":
        return convert_onnx(source, target, precision, size)
    from derain.weights.files import load_network

    network, record = load_network(source)
    return write(target, network, record, precision, size)


def to_onnx(path: Path, network: Network[Any], record: Record) -> float:
    """Write a network as `.onnx` for images of any size, weights in f32.

    Args:
        path: Ends in ``.onnx``.
        network: In evaluation mode, float32.
        record: What the file says about itself.

    Returns:
        The largest difference from torch.

    Raises:
        ValueError: It is above the network's ``export_tolerance``, or torch cannot export it;
            nothing is written.
    """
    return write(path, network, record, "f32", None).difference


def write(
    target: Path, network: Network[Any], record: Record, precision: str, size: Size | None
) -> Agreement:
    """Write a network in the format of the target's suffix.

    The file takes ``rainy`` (1, 3, H, W), float32 in [0, 1], and returns ``derained``, the same
    shape, unclipped.

    Raises:
        ValueError: It disagrees with torch, or the size is below what the network takes.
    """
    check_contract(network)
    tolerance = network.export_tolerance
    folded: nn.Module = network.fold().eval()
    if size:
        if min(size) < record.minimum_size:
            raise ValueError(f"{record.name} takes images from {record.minimum_size} pixels up")
        folded = PaddedNetwork(folded, record.size_multiple).eval()
        record = dataclasses.replace(record, size_multiple=1, minimum_size=1)

    def save(path: Path) -> None:
        if path.suffix == ".pt2":
            save_program(path, folded, record, precision, size)
        else:
            save_graph(path, onnx_graph(folded, record, size), record, precision)

    def reference(batch: Batch) -> Batch:
        with torch.inference_mode():
            return folded(torch.from_numpy(batch)).numpy()

    return save_checked(target, save, reference, record.size_multiple, precision, size, tolerance)


def convert_onnx(source: Path, target: Path, precision: str, size: Size | None) -> Agreement:
    """``export`` of an `.onnx` file.

    Raises:
        ValueError: As ``export``.
    """
    from derain.engines.openvino import OpenVINOEngine

    if target.suffix == ".pt2":
        raise ValueError(f"{source}: torch-export is made from the .safetensors file alone")
    original = OpenVINOEngine(source, "f32")
    record, model = original.record, onnx.load(source)
    if size:
        multiple = record.size_multiple
        if size[0] % multiple or size[1] % multiple:
            raise ValueError(
                f"{source}: height and width must divide by {multiple} here; the .safetensors file "
                f"of the same network exports any size"
            )
        record = dataclasses.replace(record, size_multiple=1, minimum_size=1)
        for value in (model.graph.input[0], model.graph.output[0]):
            for dim, length in zip(value.type.tensor_type.shape.dim[2:], size, strict=True):
                dim.dim_value = length
        del model.graph.value_info[:]  # shapes inside, by the names of the old dimensions
    return save_checked(
        target, lambda path: save_graph(path, model, record, precision), original,
        record.size_multiple, precision, size,
    )  # fmt: skip


class PaddedNetwork(nn.Module):
    """A network for a size that it could not take: it pads right and bottom, and crops."""

    def __init__(self, network: nn.Module, multiple: int) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple

    def forward(self, rainy: Tensor) -> Tensor:
        """(1, 3, H, W) -> the same shape."""
        return on_padded(self.network, rainy, self.multiple)
