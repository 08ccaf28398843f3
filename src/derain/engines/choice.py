"""Which engine runs a model, on which device, from which file."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from derain.engines.engine import Engine
from derain.engines.table import ENGINES, EngineSpec, device_kinds, kind_of, precisions
from derain.weights.catalog import WEIGHTS


class Choice(NamedTuple):
    """Which engine on which device, and why."""

    engine: str  # a key of ENGINES
    device: str  # as the engine names it
    reason: str


def choose(device: str = "auto", engine: str = "auto") -> Choice:
    """Resolve ``auto``: a GPU through torch where there is one, else the CPU through OpenVINO.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        engine: ``auto`` or a key of ``ENGINES``.

    Raises:
        ValueError: Unknown engine or device, or one that is not there.
    """
    if engine not in ("auto", *ENGINES):
        raise ValueError(f"unknown engine {engine!r}; known: auto, {', '.join(ENGINES)}")
    kind, kinds = kind_of(device), device_kinds()
    if kind not in ("auto", *kinds):
        raise ValueError(f"unknown device {device!r}; known: auto, {', '.join(kinds)}, cuda:N")
    if engine != "auto" and not ENGINES[engine].installed:
        raise ValueError(f"--engine {engine} needs {ENGINES[engine].install_line}")
    automatic = [spec for spec in ENGINES.values() if not spec.on_request]
    wanted = automatic if engine == "auto" else [ENGINES[engine]]
    if kind == "auto":
        return _best_device(wanted)
    spec = next((spec for spec in wanted if kind in spec.devices), None)
    if spec is None:
        places = " or ".join("the CPU" if kind == "cpu" else kind for kind in wanted[0].devices)
        others = " or ".join(s.name for s in ENGINES.values() if kind in s.devices)
        raise ValueError(f"{engine} runs on {places} here; {device} needs --engine {others}")
    if missing := spec.missing(device):
        raise ValueError(f"no {device}: {missing}; --device auto falls back to the CPU")
    return Choice(spec.name, device, "as asked")


def _best_device(wanted: Sequence[EngineSpec]) -> Choice:
    """The first GPU that an engine can use, or the CPU, and why."""
    reasons: list[str] = []
    for kind in device_kinds():
        for spec in wanted:
            if kind == "cpu" or kind not in spec.devices or not is_likely(kind):
                continue
            if not (missing := spec.missing(kind)):
                return Choice(spec.name, kind, "found")
            reasons.append(missing)
    spec = next(spec for spec in wanted if "cpu" in spec.devices and spec.installed)
    return Choice(spec.name, "cpu", reasons[0] if reasons else "no GPU found")


def is_likely(kind: str) -> bool:
    """Whether it is worth the second that importing torch takes to look for such a device."""
    if kind == "mps":
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    if kind == "cuda":
        return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia").exists()
    return True


def engine_of(name_or_path: str) -> str:
    """The engine that a file's suffix asks for; ``auto`` for a name."""
    if name_or_path in WEIGHTS:
        return "auto"
    suffix = Path(name_or_path).suffix
    return next((spec.name for spec in ENGINES.values() if suffix in spec.suffixes), "auto")


def find_model(name_or_path: str, engine: str) -> Path:
    """The model file for an engine.

    Args:
        name_or_path: A key of ``WEIGHTS``, or a path to a file that ends in a suffix of
            ``ENGINES``.
        engine: A key of ``ENGINES``.

    Raises:
        ValueError: Neither a known name nor a file, or a file for another engine.
    """
    spec = ENGINES[engine]
    if name_or_path in WEIGHTS:
        files = [WEIGHTS[name_or_path].file(suffix) for suffix in spec.suffixes]
        if file := next((file for file in files if file.is_file()), None):
            return file
        raise ValueError(f"{name_or_path}: has no {' or '.join(spec.suffixes)} file for {engine}")
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"{name_or_path}: neither a model file nor a known name ({', '.join(WEIGHTS)})"
        )
    if path.suffix in spec.suffixes:
        return path
    others = [other.name for other in ENGINES.values() if path.suffix in other.suffixes]
    if not others:
        known = dict.fromkeys(suffix for spec in ENGINES.values() for suffix in spec.suffixes)
        raise ValueError(f"{path}: a model file ends in {', '.join(known)}")
    raise ValueError(f"{path}: {path.suffix} runs with --engine {' or '.join(others)}")


def load_engine(
    path: Path, choice: Choice, precision: str = "auto", threads: int | None = None
) -> Engine:
    """Load a model file into an engine.

    Args:
        path: Ends in one of the engine's suffixes.
        choice: From ``choose``.
        precision: ``f32``, ``bf16``, or ``auto``, which is bf16 where the device multiplies in it,
            and f32 for authors' checkpoints, which were measured in it.
        threads: CPU threads; None leaves it to the engine.

    Raises:
        ValueError: Unknown precision, or a file that is no model of derain's; names it.
    """
    if precision not in ("auto", *precisions()):
        raise ValueError(f"unknown precision {precision!r}; known: auto, {', '.join(precisions())}")
    return ENGINES[choice.engine].load(path, choice.device, precision, threads)
