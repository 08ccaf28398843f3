"""OpenVINO on the CPU, from an `.onnx` file or one of its own, `.xml`."""

import contextlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import derain
from derain.engines.engine import Batch, check_result, image_size, require_one_each, require_size
from derain.engines.fuse import fuse_means_and_prelus
from derain.engines.kept import Kept
from derain.engines.norms import simplify_layer_norms
from derain.engines.untracked import openvino as ov
from derain.weights.headers import read_record
from derain.weights.record import Record

PROCESSOR = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")  # OpenVINO's names of properties
# The code that changes a graph before it is compiled.
PASSES = [Path(__file__).with_name(name) for name in ("fuse.py", "norms.py")]
FRONTENDS = {".onnx": "onnx", ".xml": "ir"}  # suffix -> OpenVINO's name of its parser


@cache
def core() -> ov.Core:
    """The one OpenVINO runtime of this process.

    Never released: on a CPU with AMX its plugin gives the thread that loads it a signal stack of
    its own and unmaps that when the last reference goes, in whatever thread that happens; the next
    signal then writes into memory that is no stack any more.
    """
    return ov.Core()


@cache
def frontend(suffix: str) -> ov.frontend.FrontEnd:
    """OpenVINO's parser of a kind of file; never released either, as its models use its code.

    One parser alone: ``Core.read_model`` hands what one cannot read to all others.
    """
    core()
    return frontends().load_by_framework(FRONTENDS[suffix])


@cache
def frontends() -> ov.frontend.FrontEndManager:
    """OpenVINO's parsers."""
    return ov.frontend.FrontEndManager()


def read_model(path: Path) -> tuple[Any, Record]:
    """The graph of a file, its means and PReLUs fused, and its record.

    Raises:
        ValueError: Not a model, or not one that derain wrote; names the file.
    """
    record = read_record(path)  # before OpenVINO sees the file
    parser = frontend(path.suffix)
    try:
        model = parser.convert(parser.load(str(path)))
    except Exception as error:  # its errors share no other base
        raise ValueError(f"{path}: not a model that OpenVINO reads: {reason(error)}") from None
    fuse_means_and_prelus(model)
    return model, record


def compile_file(path: Path, precision: str, config: dict[str, str]) -> ov.CompiledModel:
    """The network of a file, compiled now or, for one that ships with derain, earlier.

    Args:
        path: An `.onnx` or `.xml` file whose record has been read.
        precision: ``f32`` or ``bf16``.
        config: OpenVINO's properties, the precision among them.

    Raises:
        ValueError: Not a model, or not one that OpenVINO compiles; names the file.
    """
    processor = [core().get_property("CPU", name) for name in PROCESSOR]
    passes = [file.read_text() for file in PASSES if file.is_file()]
    kept = Kept(path, precision, f"{derain.__version__} {ov.get_version()} {processor} {passes}")
    if compiled := kept.read():
        with contextlib.suppress(RuntimeError, ValueError):  # else it is compiled again
            return core().import_model(compiled, "CPU", config)
    model, _ = read_model(path)
    require_one_each(len(model.inputs), len(model.outputs), path)
    simplify_layer_norms(model)
    try:
        network = core().compile_model(model, "CPU", config)
    except (RuntimeError, UnicodeDecodeError) as error:  # it may quote a damaged file
        raise ValueError(f"{path}: OpenVINO cannot compile it: {reason(error)}") from None
    if kept.file:
        kept.write(network.export_model().getvalue())
    return network


def reason(error: Exception) -> str:
    """What OpenVINO says, without where in its code it says so, on one line."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check "))]
    return (told[-1] if told else "it does not say why")[:200]


def missing(device: str) -> str:
    """Why a device cannot be used; the CPU always can."""
    return ""


def computes(device: str, precision: str) -> bool:
    """Whether the CPU multiplies in a precision."""
    return precision == "f32" or "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOEngine:
    """A network compiled by OpenVINO for the CPU.

    Args:
        path: An `.onnx` or `.xml` file that derain wrote.
        precision: ``auto``, ``f32`` or ``bf16``.
        threads: CPU threads; None leaves it to OpenVINO.

    Raises:
        ValueError: The file is no model of derain's, or the CPU has no bf16.
    """

    name = "OpenVINO"
    device = "CPU"

    def __init__(self, path: Path, precision: str = "auto", threads: int | None = None) -> None:
        self.record = read_record(path)  # before OpenVINO sees the file
        has_bf16 = computes("cpu", "bf16")
        if precision == "bf16" and not has_bf16:
            raise ValueError("this CPU has no bf16; use --precision f32 or auto")
        self.precision = "bf16" if has_bf16 and precision != "f32" else "f32"
        # Said explicitly: OpenVINO's own default is bf16 wherever the CPU has it.
        config = {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = str(threads)
            # Else the threads of every process sit on the same first cores.
            config["ENABLE_CPU_PINNING"] = "NO"
        self.compiled = compile_file(path, self.precision, config)
        shape = self.compiled.input().partial_shape
        lengths = [None if each.is_dynamic else each.get_length() for each in shape]
        self.input_size = image_size(lengths, path)

    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same shape, unclipped.

        Raises:
            ValueError: The file takes images of one other size alone, or holds no network.
            RuntimeError: OpenVINO returned another shape, as it does without a word when memory
                runs out or it cannot handle a size.
        """
        require_size(self.record, self.input_size, batch)
        result = np.asarray(self.compiled(batch)[0])
        if result.shape != batch.shape:
            self.compiled.release_memory()  # what it got before there was no more
        check_result(result, batch, self.name, self.record)
        return result


def load(path: Path, device: str, precision: str, threads: int | None) -> OpenVINOEngine:
    """Load an `.onnx` or `.xml` file."""
    return OpenVINOEngine(path, precision, threads)
