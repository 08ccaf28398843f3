"""A trained network as a file that other programs run: ONNX, OpenVINO's own format, torch.export.

Every file is folded, carries the record, and is kept only if it computes what torch does at f32.
"""

import dataclasses
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.func import functional_call

from derain.engines import ENGINES, Batch
from derain.graph import split_convolutions
from derain.models import Network
from derain.models.blocks import on_padded
from derain.models.network import check_contract
from derain.weights.record import KEY, Record

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "torch-export": ".pt2"}
# How weights are stored. The arithmetic is f32 until whoever runs the file asks for less.
PRECISIONS = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
AGREEMENT = {"f16": 60.0, "bf16": 45.0}  # dB, PSNR against torch at f32 that halves must reach
SMALL = 16  # tensors of fewer numbers stay f32: an epsilon or a factor weighs nothing

RunBatch = Callable[[Batch], Batch]
Size = tuple[int, int]  # height, width


class Agreement(NamedTuple):
    """How a file compares with torch at f32, at worst."""

    difference: float  # of any output value in [0, 1]
    psnr: float  # dB


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
        path.write_bytes(model.SerializeToString())
        return
    import openvino

    from derain.engines.openvino import core

    graph = core().read_model(io.BytesIO(model.SerializeToString()))
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


def save_checked(
    target: Path,
    save: Callable[[Path], None],
    reference: RunBatch,
    multiple: int,
    precision: str,
    size: Size | None,
    tolerance: float = Network.export_tolerance,
) -> Agreement:
    """Save into a folder beside the target, check there, and move what has passed into place.

    Raises:
        ValueError: The file disagrees with the reference.
    """
    if not target.parent.is_dir():
        raise ValueError(f"{target}: there is no folder {target.parent}")
    with tempfile.TemporaryDirectory(prefix=f".{target.stem}.partial.", dir=target.parent) as work:
        partial = Path(work) / target.name
        save(partial)
        agreement = compare(partial, reference, multiple, size)
        difference, psnr = agreement
        if precision == "f32" and not difference <= tolerance:
            raise ValueError(f"{target}: what was exported differs from torch by {difference:.1e}")
        if precision != "f32" and not psnr >= AGREEMENT[precision]:
            raise ValueError(
                f"{target}: with weights in {precision} it agrees with f32 to {psnr:.1f} dB alone "
                f"({AGREEMENT[precision]:g} are asked for); use --precision f32"
            )
        for path in sorted(partial.parent.iterdir(), key=lambda p: p.suffix == target.suffix):
            path.replace(target.with_name(path.name))  # the file that people name comes last
    return agreement


def compare(path: Path, reference: RunBatch, multiple: int, size: Size | None) -> Agreement:
    """Run a written file on images and compare, with every engine here that can run it."""
    unit = max(multiple, 16)  # both powers of 2
    sizes = [size] if size else [(4 * unit, 4 * unit), (7 * unit, 2 * unit)]
    images = [image(*one) for one in sizes]
    difference, psnr = 0.0, np.inf
    expected = [reference(one) for one in images]
    for run in runners(path):
        for one, right in zip(images, expected, strict=True):
            errors = run(one).astype(np.float64) - right
            largest = max(1.0, float(np.abs(right).max()))  # untrained networks may leave [0, 1]
            difference = max(difference, float(np.abs(errors).max()) / largest)
            psnr = min(psnr, float(-10 * np.log10(max(np.mean(errors**2), 1e-20))))
    return Agreement(difference, psnr)


def runners(path: Path) -> Iterator[RunBatch]:
    """What runs a written file at f32."""
    if path.suffix == ".pt2":
        program = torch.export.load(path).module()
        yield lambda batch: program(torch.from_numpy(batch)).detach().numpy()
        return
    for spec in ENGINES.values():
        if path.suffix in spec.suffixes and spec.installed:
            yield spec.load(path, "cpu", "f32", None)


def image(height: int, width: int) -> Batch:
    """(1, 3, H, W) in [0, 1]: smooth as a photograph's sky, its left third random."""
    y, x = np.mgrid[:height, :width] / 64
    scene = np.stack([np.sin(x + n) * np.cos(y - n) for n in range(3)]) / 2 + 0.5
    third = width // 3
    scene[..., :third] = np.random.default_rng(0).random((3, height, third))
    return scene[None].astype(np.float32)
