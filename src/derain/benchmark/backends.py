"""Backends: the ways to run a network that a benchmark compares."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from derain import engines
from derain.engines import Batch, Choice

if TYPE_CHECKING:
    from torch import nn

# Name of a backend -> the package of its engine.
BACKENDS = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "torch-compiled": "torch",  # torch.compile, which takes a C++ compiler and a minute
    "torch-published": "torch",  # eager, contiguous, not folded: as the papers' code runs it
}
DEFAULT_NAMES = ("openvino", "onnxruntime", "torch", "torch-published")


class Backend(NamedTuple):
    """One way to run a network: a backend by name, in a precision, on a device."""

    name: str  # a key of BACKENDS
    precision: str  # "f32" or "bf16"
    device: str = "cpu"  # or "cuda", "mps"

    @property
    def engine(self) -> str:
        """The engine's name, as in ``engines.ENGINES``."""
        return BACKENDS[self.name]


def available_backends(
    names: Sequence[str], precisions: Sequence[str], devices: Sequence[str]
) -> list[Backend]:
    """List the backends that can run here.

    Args:
        names: Keys of ``BACKENDS``; none for all but ``torch-compiled``.
        precisions: ``f32`` or ``bf16``; none for those in which a device multiplies.
        devices: ``cpu``, ``cuda``, ``mps``; none for the CPU and a GPU that ``derain restore``
            would use.

    Raises:
        ValueError: An unknown backend or precision, one that is not installed, or none is left.
    """
    for name in names:
        if name not in BACKENDS:
            raise ValueError(f"unknown engine {name!r}; known: {', '.join(BACKENDS)}")
        if not find_spec(BACKENDS[name]):
            raise ValueError(f"--engine {name} needs `pip install derain[{BACKENDS[name]}]`")
    for precision in precisions:
        if precision not in ("f32", "bf16"):
            raise ValueError(f"unknown precision {precision!r}; known: f32, bf16")
    for device in devices:
        engines.choose(device)
    found = engines.choose().device
    able = [
        Backend(name, precision, device)
        for device in (devices or dict.fromkeys(["cpu", found]))
        for name in (names or [name for name in DEFAULT_NAMES if find_spec(BACKENDS[name])])
        for precision in ("bf16", "f32")
        if precision in (precisions or ("bf16", "f32")) and can(name, precision, device)
    ]
    if not able:
        raise ValueError(
            f"nothing can run on {', '.join(devices) or 'this machine'} as asked: "
            f"{', '.join(names) or 'any engine'}, {', '.join(precisions) or 'any precision'}"
        )
    return able


def can(name: str, precision: str, device: str) -> bool:
    """Whether an engine computes in a precision on a device."""
    kind = device.partition(":")[0]
    if name == "openvino":
        from derain.engines.openvino import core

        return kind == "cpu" and (
            precision == "f32" or "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        )
    if name == "onnxruntime":
        from derain.engines.onnxruntime import has_cuda

        return precision == "f32" and (kind == "cpu" or (kind == "cuda" and has_cuda()))
    if precision == "f32":
        return True
    import torch

    from derain.engines.torch import has_bf16

    return name != "torch-published" and has_bf16(torch.device(device))


def load_backend(
    backend: Backend, path: Path, size: tuple[int, int], threads: int | None
) -> Callable[[], Batch]:
    """A network with an image to run on, for ``Worker``.

    Args:
        backend: How to run it.
        path: Its file.
        size: Height and width that the network takes.
        threads: CPU threads; None leaves it to the engine.
    """
    name, precision, device = backend
    batch = np.ascontiguousarray(scene(*size).transpose(2, 0, 1)[None])
    if name in ("torch-published", "torch-compiled"):
        run: Any = (load_published if name == "torch-published" else load_compiled)(
            path, precision, device, threads
        )
    else:
        run = engines.load_engine(path, Choice(backend.engine, device, "asked"), precision, threads)
    return lambda: run(batch)


def load_compiled(path: Path, precision: str, device: str, threads: int | None) -> Any:
    """The torch engine with its network compiled."""
    import torch

    engine: Any = engines.load_engine(path, Choice("torch", device, "asked"), precision, threads)
    engine.network = torch.compile(engine.network)
    return engine


def load_published(path: Path, precision: str, device: str, threads: int | None) -> Any:
    """A network as its authors' code computes it: eager, f32, contiguous, nothing folded."""
    import torch

    from derain.weights.files import load_network

    if threads:
        torch.set_num_threads(threads)
    network = in_full(load_network(path)[0]).to(device)

    @torch.inference_mode()
    def run(batch: Batch) -> Batch:
        return network(torch.from_numpy(batch).to(device)).cpu().numpy()

    return run


def in_full(network: "nn.Module") -> "nn.Module":
    """Let MSPFN's ConvLSTMs compute all of their gates from input and zero state, as released.

    Ours compute only what can change the output, folded or not.
    """
    import torch

    from derain.models.mspfn import ConvLSTM

    def step(cell: Any, x: Any) -> Any:
        state = x.new_zeros(len(x), cell.hidden, *x.shape[2:])
        i, j, f, o = cell.conv(torch.cat([x, state], dim=1)).chunk(4, dim=1)
        memory = state * f.sigmoid() + i.sigmoid() * j.tanh()
        return memory.tanh() * o.sigmoid()

    for cell in network.modules():
        if isinstance(cell, ConvLSTM):
            cell.forward = step.__get__(cell)
    return network


def scene(height: int, width: int) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]: smooth shapes under bright streaks and a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32) / 40
    waves = [np.sin(x + n) * np.cos(y - 2 * n) / 4 + 0.45 for n in range(3)]
    image = np.stack(waves, axis=-1) + rng.normal(0, 0.01, (height, width, 3))
    drops = rng.random((height + 24, width)) < 0.002
    streaks = np.lib.stride_tricks.sliding_window_view(drops, 25, axis=0).max(axis=-1)
    return np.clip(image + 0.3 * streaks[..., None], 0, 1).astype(np.float32)
