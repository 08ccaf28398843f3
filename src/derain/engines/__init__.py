"""How a network is run: an engine turns (N, 3, H, W) float32 in [0, 1] into the same, derained.

Sides divide by the record's ``size_multiple``: whoever calls an engine pads.
"""

import platform
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from derain.weights.catalog import AUTHORS
from derain.weights.record import Record

Batch = NDArray[np.float32]  # (N, 3, H, W)


class Engine(Protocol):
    """A network ready to run."""

    record: Record
    name: str  # "OpenVINO", "torch", "onnxruntime"
    device: str  # "CPU", "cuda:0 (NVIDIA ...)"
    precision: str  # "f32" or "bf16"

    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same shape, unclipped."""
        ...


class Choice(NamedTuple):
    """Which engine on which device, and why."""

    engine: str  # "openvino", "torch" or "onnxruntime"
    device: str  # as the engine names it
    reason: str


ENGINES = ("auto", "openvino", "torch", "onnxruntime")
PRECISIONS = ("auto", "f32", "bf16")


def choose(device: str = "auto", engine: str = "auto") -> Choice:
    """Resolve ``auto``: a GPU through torch where there is one, else the CPU through OpenVINO.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        engine: One of ``ENGINES``.

    Raises:
        ValueError: Unknown engine or device, or a device that is not there.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; known: {', '.join(ENGINES)}")
    kind = device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise ValueError(f"unknown device {device!r}; known: auto, cpu, cuda, cuda:N, mps")
    if engine == "onnxruntime":
        return choose_onnxruntime(device)
    if kind in ("cuda", "mps"):
        if engine == "openvino":
            raise ValueError(f"OpenVINO runs on the CPU here, not on {device}; use --engine torch")
        if missing := missing_accelerator(device):
            raise ValueError(f"no {device}: {missing}; --device auto falls back to the CPU")
        return Choice("torch", device, "as asked")
    if kind == "cpu":
        return Choice("torch" if engine == "torch" else "openvino", "cpu", "as asked")
    if engine != "openvino":
        for candidate in ("cuda", "mps"):
            if likely(candidate) and not missing_accelerator(candidate):
                return Choice("torch", candidate, "found")
    return Choice("torch" if engine == "torch" else "openvino", "cpu", no_gpu_reason())


def choose_onnxruntime(device: str) -> Choice:
    """``choose`` for the engine that is only ever taken when asked for.

    Raises:
        ValueError: It is not installed, or cannot use the device.
    """
    if not find_spec("onnxruntime"):
        raise ValueError("--engine onnxruntime needs `pip install derain[onnxruntime]`")
    from derain.engines.onnxruntime import has_cuda

    kind = device.partition(":")[0]
    if kind == "mps":
        raise ValueError("onnxruntime runs on the CPU or on CUDA here; mps needs --engine torch")
    if kind == "cuda" and not has_cuda():
        raise ValueError(
            f"no {device}: this onnxruntime has no CUDA (`pip install onnxruntime-gpu` has); "
            f"--device auto falls back to the CPU"
        )
    if kind == "auto":
        cpu = Choice("onnxruntime", "cpu", "this onnxruntime has no CUDA")
        return Choice("onnxruntime", "cuda", "found") if has_cuda() else cpu
    return Choice("onnxruntime", device, "as asked")


def likely(device: str) -> bool:
    """Whether it is worth the second that importing torch takes to look for this device."""
    if device == "mps":
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()


def no_gpu_reason() -> str:
    """Why ``auto`` ended on the CPU, in a few words."""
    if not (likely("cuda") or likely("mps")):
        return "no GPU found"
    return "a GPU needs `pip install derain[torch]`" if not has_torch() else "torch sees no GPU"


def has_torch() -> bool:
    """Whether torch is installed, without importing it."""
    return find_spec("torch") is not None


def missing_accelerator(device: str) -> str:
    """Why a CUDA or MPS device cannot be used; empty if it can."""
    if not has_torch():
        return "torch is not installed (`pip install derain[torch]`)"
    import torch

    if device == "mps":
        return "" if torch.backends.mps.is_available() else "torch finds no Apple GPU"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return "torch finds no CUDA device"
    index = int(device.partition(":")[2] or 0)
    return "" if index < count else f"there are {count} CUDA devices, numbered from 0"


def require_size(record: Record, sides: Sequence[int | None], batch: Batch) -> None:
    """Check that a file made for pictures of one size gets them.

    Args:
        record: Of the file.
        sides: Height and width that it takes; None where any will do.
        batch: (N, 3, H, W).

    Raises:
        ValueError: It gets others.
    """
    given = batch.shape[2:]
    if any(right not in (None, side) for right, side in zip(sides, given, strict=True)):
        raise ValueError(
            f"{record.name}: this file takes pictures {sides[0]} high and {sides[1]} wide alone, "
            f"not {given[0]} and {given[1]}; `derain export --size dynamic` makes one for all"
        )


def load(path: Path, choice: Choice, precision: str = "auto", threads: int | None = None) -> Engine:
    """Load a model file into an engine.

    Args:
        path: ``.onnx`` for OpenVINO and onnxruntime, ``.xml`` for OpenVINO, ``.safetensors`` and
            authors' checkpoints for torch.
        choice: From ``choose``.
        precision: One of ``PRECISIONS``; ``auto`` is bf16 where the device multiplies in it, and
            f32 for authors' checkpoints, which were measured in it.
        threads: CPU threads; None leaves it to the engine.

    Raises:
        ValueError: Unknown precision, or a file that is no model of derain's; names it.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if choice.engine == "torch":
        if not has_torch():
            raise ValueError(f"{path.name} needs torch: `pip install derain[torch]`")
        if path.suffix in AUTHORS:
            if precision == "bf16":
                raise ValueError(f"{path.name}: authors' checkpoints run in f32 alone")
            precision = "f32"
        from derain.engines.torch import TorchEngine
        from derain.weights.files import load_network

        return TorchEngine(*load_network(path), choice.device, precision, threads)
    if choice.engine == "onnxruntime":
        from derain.engines.onnxruntime import ONNXRuntimeEngine

        return ONNXRuntimeEngine(path, choice.device, precision, threads)
    from derain.engines.openvino import OpenVINOEngine

    return OpenVINOEngine(path, precision, threads)
