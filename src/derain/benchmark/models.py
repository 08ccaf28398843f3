"""The networks that are measured: by name, from a file, or untrained from the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from derain.engines import ENGINES, find_model
from derain.weights import catalog
from derain.weights.headers import read_record
from derain.weights.record import Record


@dataclass(frozen=True)
class ModelFiles:
    """A network and the files that hold it."""

    name: str
    files: dict[str, Path]  # suffix -> file
    record: Record

    def file(self, engine: str) -> Path | None:
        """The file that an engine runs; None if there is none."""
        suffixes = ENGINES[engine].suffixes
        return next((self.files[suffix] for suffix in suffixes if suffix in self.files), None)

    def padded(self, height: int, width: int) -> tuple[int, int]:
        """The size that the network sees when it is given an image."""
        multiple = self.record.size_multiple
        return -(-height // multiple) * multiple, -(-width // multiple) * multiple

    def flop(self, height: int, width: int) -> float | None:
        """Floating-point operations for an image: twice the folded network's multiply-adds.

        Counted by ``models.cost``; without torch, or without a `.safetensors` file, what the
        record says of 512x384, in proportion. None if it says nothing.
        """
        height, width = self.padded(height, width)
        if not ENGINES["torch"].installed or ".safetensors" not in self.files:
            return 2e9 * self.record.gmacs * height * width / (512 * 384) or None
        from derain.models.cost import cost
        from derain.weights.files import load_network

        network, _ = load_network(self.files[".safetensors"])
        return 2.0 * cost(network.fold(), height, width).macs


def model_files(what: str, wanted: Sequence[str], folder: Path) -> ModelFiles:
    """Find a network, and make the files that engines need and that are not there.

    Args:
        what: A name of ``derain models``; a model file; or a name of ``derain models --all``, which
            is built with random weights.
        wanted: Engines that will run it.
        folder: Where files are made.

    Raises:
        ValueError: None of these, or torch is needed and not installed.
    """
    if what in catalog.WEIGHTS:
        weights = catalog.WEIGHTS[what]
        files = {suffix: weights.file(suffix) for suffix in (".onnx", ".safetensors")}
        return ModelFiles(what, files, read_record(files[".safetensors"]))
    path = Path(what)
    if path.suffix in (".onnx", ".xml"):
        path = find_model(what, "openvino")
        return ModelFiles(path.name, {path.suffix: path}, read_record(path))
    trained = path.suffix == ".safetensors"
    path = find_model(what, "torch") if trained else build_untrained(what, folder)
    files = {".safetensors": path}
    runs_onnx = any(".onnx" in ENGINES[engine].suffixes for engine in wanted)
    if runs_onnx and find_spec("onnx") and find_spec("onnxscript"):
        files[".onnx"] = export(path, folder)
    return ModelFiles(path.name if trained else what, files, read_record(path))


def build_untrained(name: str, folder: Path) -> Path:
    """A network of the table, with random weights, as a `.safetensors` file.

    Raises:
        ValueError: There is no such network, or no torch.
    """
    if not ENGINES["torch"].installed:
        raise ValueError(
            f"{name}: neither a model file nor a name of `derain models`; the networks of "
            f"`derain models --all` need `pip install derain[train]`"
        )
    import torch

    from derain.models import MODELS, build
    from derain.weights.files import describe, save_weights

    if name not in MODELS:
        raise ValueError(
            f"{name}: neither a model file nor a name of `derain models` or `derain models --all`"
        )
    torch.manual_seed(0)
    network = build(name)
    path = folder / f"{name}.safetensors"
    save_weights(path, network.state_dict(), describe(network, name, name, {}))
    return path


def export(path: Path, folder: Path) -> Path:
    """A `.safetensors` file as `.onnx`."""
    from derain.export import to_onnx
    from derain.weights.files import load_network

    target = folder / f"{path.stem}.onnx"
    to_onnx(target, *load_network(path))
    return target
