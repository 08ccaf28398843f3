"""The weights that ship with derain, by name."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

DEFAULT = "nafnet-small"


@dataclass(frozen=True)
class Weights:
    """One trained network: the same weights in both forms."""

    name: str
    about: str

    def file(self, suffix: str) -> Path:
        """Where the `.onnx` or `.safetensors` file lies."""
        return Path(str(resources.files("derain.weights"))) / f"{self.name}{suffix}"


WEIGHTS = {
    "nafnet-small": Weights("nafnet-small", "NAFNet (ECCV 2022), all-round, fastest; the default"),
    "mspfn-lite": Weights("mspfn-lite", "MSPFN* (CVPR 2020), all-round"),
    "mspfn-lite-heavy": Weights("mspfn-lite-heavy", "MSPFN* (CVPR 2020), layers of drawn streaks"),
    "mh2fnet-small": Weights("mh2fnet-small", "MH2F-Net (CVPRW 2021), all-round, smallest file"),
}
AUTHORS = (".pth", ".pt")  # checkpoints that derain.weights.convert reads
# Engine -> the files that it runs, its own first. The first engine of a suffix is its default.
SUFFIXES = {
    "openvino": (".onnx", ".xml"),
    "torch": (".safetensors", *AUTHORS),
    "onnxruntime": (".onnx",),
}


def find(name_or_path: str, engine: str) -> Path:
    """The model file for an engine.

    Args:
        name_or_path: A key of ``WEIGHTS``, or a path to a file of a suffix in ``SUFFIXES``.
        engine: A key of ``SUFFIXES``.

    Raises:
        ValueError: Neither a known name nor a file, or a file for the other engine.
    """
    if name_or_path in WEIGHTS:
        return WEIGHTS[name_or_path].file(SUFFIXES[engine][0])
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"{name_or_path}: neither a model file nor a known name ({', '.join(WEIGHTS)})"
        )
    if path.suffix in SUFFIXES[engine]:
        return path
    others = [name for name, suffixes in SUFFIXES.items() if path.suffix in suffixes]
    if not others:
        known = ", ".join(dict.fromkeys(suffix for each in SUFFIXES.values() for suffix in each))
        raise ValueError(f"{path}: a model file ends in {known}")
    raise ValueError(f"{path}: {path.suffix} runs with --engine {' or '.join(others)}")


def engine_of(name_or_path: str) -> str:
    """The engine that a file's suffix asks for; ``auto`` for a name."""
    if name_or_path in WEIGHTS:
        return "auto"
    suffix = Path(name_or_path).suffix
    return next((engine for engine, each in SUFFIXES.items() if suffix in each), "auto")


def list_models() -> list[str]:
    """The names that ``derain.load`` knows, the default first."""
    return list(WEIGHTS)
