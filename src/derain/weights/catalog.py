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


def list_models() -> list[str]:
    """The names that ``derain.load`` knows, the default first."""
    return list(WEIGHTS)
