"""The weights that ship with derain, by name."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

DEFAULT = "mspfn-lite"


@dataclass(frozen=True)
class Weights:
    """One trained network: the same weights in both forms."""

    name: str
    about: str

    def file(self, suffix: str) -> Path:
        """Where the `.onnx` or `.safetensors` file lies."""
        return Path(str(resources.files("derain.weights"))) / f"{self.name}{suffix}"


WEIGHTS = {
    "mspfn-lite": Weights("mspfn-lite", "MSPFN* (CVPR 2020), all-round, fast; the default"),
}
SUFFIXES = {"openvino": ".onnx", "torch": ".safetensors"}


def find(name_or_path: str, engine: str) -> Path:
    """The model file for an engine.

    Args:
        name_or_path: A key of ``WEIGHTS``, or a path to an `.onnx` or `.safetensors` file.
        engine: ``openvino`` or ``torch``.

    Raises:
        ValueError: Neither a known name nor a file, or a file for the other engine.
    """
    if name_or_path in WEIGHTS:
        return WEIGHTS[name_or_path].file(SUFFIXES[engine])
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"{name_or_path}: neither a model file nor a known name ({', '.join(WEIGHTS)})"
        )
    if path.suffix not in SUFFIXES.values():
        raise ValueError(f"{path}: a model file ends in .onnx or .safetensors")
    if path.suffix != SUFFIXES[engine]:
        other = next(e for e, suffix in SUFFIXES.items() if suffix == path.suffix)
        raise ValueError(f"{path}: {path.suffix} runs with --engine {other}")
    return path


def engine_of(name_or_path: str) -> str:
    """The engine that a file's suffix asks for; ``auto`` for a name."""
    suffix = Path(name_or_path).suffix
    by_suffix = {suffix: engine for engine, suffix in SUFFIXES.items()}
    return "auto" if name_or_path in WEIGHTS else by_suffix.get(suffix, "auto")


def list_models() -> list[str]:
    """The names that ``derain.load`` knows, the default first."""
    return list(WEIGHTS)
