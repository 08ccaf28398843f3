"""The table of engines: what each runs, where, and which package it needs.

Suffixes of model files, the choices of the command line, ``derain doctor`` and the benchmark's
backends derive from it. A new engine is a file that offers what ``EngineModule`` says, and a row.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from derain.engines.engine import Engine, EngineModule
from derain.weights.catalog import AUTHORS


@dataclass(frozen=True)
class EngineSpec:
    """One engine."""

    name: str
    module: str  # the file, imported when the engine is needed; offers what EngineModule says
    package: str
    suffixes: tuple[str, ...]  # of the model files that it runs, its own first
    devices: tuple[str, ...]  # "cpu", "cuda", "mps"
    precisions: tuple[str, ...]  # "f32", "bf16"; which of them depends on the device
    extra: str = ""  # of derain, which brings the package; empty: every install has it
    on_request: bool = False  # never taken unless it is asked for

    @property
    def installed(self) -> bool:
        """Whether the package is there, without importing it."""
        return find_spec(self.package) is not None

    @property
    def install_line(self) -> str:
        """What installs it."""
        return f"`pip install derain[{self.extra}]`" if self.extra else "`pip install derain`"

    def load(self, path: Path, device: str, precision: str, threads: int | None) -> Engine:
        """Load a model file.

        Raises:
            ValueError: As ``load_engine``.
        """
        if not self.installed:
            raise ValueError(f"{path.name} needs {self.package}: {self.install_line}")
        return self._implementation().load(path, device, precision, threads)

    def missing(self, device: str) -> str:
        """Why a device of its kinds cannot be used here; empty if it can."""
        if not self.installed:
            return f"{self.package} is not installed ({self.install_line})"
        return "" if device == "cpu" else self._implementation().missing(device)

    def computes(self, device: str, precision: str) -> bool:
        """Whether it computes in a precision on a device of this machine."""
        return (
            kind_of(device) in self.devices
            and precision in self.precisions
            and not self.missing(device)
            and self._implementation().computes(device, precision)
        )

    def _implementation(self) -> EngineModule:
        return cast(EngineModule, import_module(self.module))


# The first engine of a suffix is its default, the first of a device that device's.
ENGINES: dict[str, EngineSpec] = {
    "openvino": EngineSpec(
        "openvino",
        "derain.engines.openvino",
        package="openvino",
        suffixes=(".onnx", ".xml"),
        devices=("cpu",),
        precisions=("f32", "bf16"),
    ),
    "torch": EngineSpec(
        "torch",
        "derain.engines.torch",
        package="torch",
        suffixes=(".safetensors", *AUTHORS),
        devices=("cpu", "cuda", "mps"),
        precisions=("f32", "bf16"),
        extra="torch",
    ),
    "onnxruntime": EngineSpec(
        "onnxruntime",
        "derain.engines.onnxruntime",
        package="onnxruntime",
        suffixes=(".onnx",),
        devices=("cpu", "cuda"),
        precisions=("f32",),
        extra="onnxruntime",
        on_request=True,  # OpenVINO runs the same files faster
    ),
}


def kind_of(device: str) -> str:
    """``cuda`` of ``cuda:1``."""
    return device.partition(":")[0]


def device_kinds() -> list[str]:
    """The kinds of devices that some engine knows, the CPU first."""
    return list(dict.fromkeys(device for spec in ENGINES.values() for device in spec.devices))


def precisions() -> list[str]:
    """The precisions that some engine knows."""
    return list(dict.fromkeys(each for spec in ENGINES.values() for each in spec.precisions))
