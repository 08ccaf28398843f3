"""Backends: the ways to run a network that a benchmark compares."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from derain import engines
from derain.engines import ENGINES, Batch, Choice, EngineSpec

if TYPE_CHECKING:
    from derain.models.blocks import AnyModule

# Backends besides the engines themselves -> their engine.
VARIANTS = {
    "torch-published": "torch",  # eager, contiguous, not folded: as the papers' code runs it
    "torch-compiled": "torch",  # torch.compile, which takes a C++ compiler and a minute
}


class Backend(NamedTuple):
    """One way to run a network: a backend by name, in a precision, on a device."""

    name: str  # an engine or a key of VARIANTS
    precision: str  # "f32" or "bf16"
    device: str = "cpu"  # or "cuda", "mps"

    @property
    def engine(self) -> str:
        """The engine's name, as in ``engines.ENGINES``."""
        return engine_spec(self.name).name


def backend_names() -> list[str]:
    """Every backend: the engines, and the other ways to run torch."""
    return [*ENGINES, *VARIANTS]


def default_names() -> list[str]:
    """The backends that are measured unless others are asked for."""
    return [name for name in backend_names() if name != "torch-compiled"]


def engine_spec(name: str) -> EngineSpec:
    """The engine of a backend."""
    return ENGINES[VARIANTS.get(name, name)]


def available_backends(
    names: Sequence[str], precisions: Sequence[str], devices: Sequence[str]
) -> list[Backend]:
    """List the backends that can run here.

    Args:
        names: Of ``backend_names``; none for ``default_names``.
        precisions: ``f32`` or ``bf16``; none for those in which a device multiplies.
        devices: ``cpu``, ``cuda``, ``mps``; none for the CPU and a GPU that ``derain restore``
            would use.

    Raises:
        ValueError: An unknown backend or precision, one that is not installed, or none is left.
    """
    for name in names:
        if name not in backend_names():
            raise ValueError(f"unknown engine {name!r}; known: {', '.join(backend_names())}")
        if not engine_spec(name).installed:
            raise ValueError(f"--engine {name} needs {engine_spec(name).install_line}")
    known = engines.precisions()
    for precision in precisions:
        if precision not in known:
            raise ValueError(f"unknown precision {precision!r}; known: {', '.join(known)}")
    for device in devices:
        engines.choose(device)
    found = engines.choose().device
    able = [
        Backend(name, precision, device)
        for device in (devices or dict.fromkeys(["cpu", found]))
        for name in (names or default_names())
        for precision in reversed(known)  # the fastest first
        if precision in (precisions or known) and can(name, precision, device)
    ]
    if not able:
        raise ValueError(
            f"nothing can run on {', '.join(devices) or 'this machine'} as asked: "
            f"{', '.join(names) or 'any engine'}, {', '.join(precisions) or 'any precision'}"
        )
    return able


def can(name: str, precision: str, device: str) -> bool:
    """Whether a backend computes in a precision on a device of this machine."""
    if name == "torch-published" and precision != "f32":
        return False
    return engine_spec(name).computes(device, precision)


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


def in_full(network: "AnyModule") -> "AnyModule":
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
