"""torch on CPU, CUDA or MPS."""

from pathlib import Path
from typing import Any

import torch

from derain.engines.engine import Batch
from derain.models import Network
from derain.models.blocks import channels_last
from derain.weights.catalog import AUTHORS
from derain.weights.files import load_network
from derain.weights.record import Record


class TorchEngine:
    """A folded network in torch, channels last.

    Args:
        network: As built, with its weights.
        record: What is known of it.
        device: As torch names it.
        precision: ``auto``, ``f32`` or ``bf16``.
        threads: CPU threads, for the whole process; None leaves it to torch.
    """

    name = "torch"

    def __init__(
        self,
        network: Network[Any],
        record: Record,
        device: str = "cpu",
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.record = record
        if threads:
            torch.set_num_threads(threads)
        self.network = channels_last(network.fold()).to(device).eval()
        self.torch_device = torch.device(device)
        self.device = describe(self.torch_device)
        fast = computes(device, "bf16")
        self.precision = "bf16" if precision == "bf16" or (fast and precision == "auto") else "f32"
        if self.precision == "f32" and self.torch_device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # which would keep 10 bits of 23

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same shape, unclipped."""
        x = torch.from_numpy(batch).to(self.torch_device, memory_format=torch.channels_last)
        with torch.autocast(
            self.torch_device.type, torch.bfloat16, enabled=self.precision == "bf16"
        ):
            y = self.network(x)
        return y.float().cpu().contiguous().numpy()


def describe(device: torch.device) -> str:
    """The device and, for a GPU, its name."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device).upper() if device.type == "cpu" else str(device)


def load(path: Path, device: str, precision: str, threads: int | None) -> TorchEngine:
    """Load a `.safetensors` file, or an authors' checkpoint, which runs in f32 as it was measured.

    Raises:
        ValueError: As ``load_network``, or a checkpoint is asked for in another precision.
    """
    if path.suffix in AUTHORS:
        if precision == "bf16":
            raise ValueError(f"{path.name}: authors' checkpoints run in f32 alone")
        precision = "f32"
    return TorchEngine(*load_network(path), device, precision, threads)


def missing(device: str) -> str:
    """Why a device cannot be used; empty if it can."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return ""
    if kind == "mps":
        return "" if torch.backends.mps.is_available() else "torch finds no Apple GPU"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        return "torch finds no CUDA device"
    there = index == "" or (index.isdecimal() and int(index) < count)
    return "" if there else f"there are {count} CUDA devices, numbered from 0"


def computes(device: str, precision: str) -> bool:
    """Whether the device multiplies matrices in a precision."""
    kind = device.partition(":")[0]
    if precision == "f32":
        return True
    if kind == "cuda":
        return torch.cuda.is_bf16_supported()
    return kind == "cpu" and torch.cpu._is_avx512_bf16_supported()
