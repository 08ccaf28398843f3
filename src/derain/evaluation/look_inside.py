"""What a network sees in one image: its stages, gates and maps, and the rain it takes away.

Nothing here knows a network: stages are the direct children of a network and the members of its
lists, in the order in which they run, as their names in the code say.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from derain.evaluation.typeset import csv_text
from derain.io.atomic import write_atomically
from derain.io.decode import Image8
from derain.models import Network

FILES = ("rain.png", "stages.png", "gates.png", "stages.csv")


@dataclass(frozen=True)
class Stage:
    """What one part of a network gave."""

    name: str  # in the code: "fine.3"
    level: int  # which of several outputs: 0 is the finest scale
    shape: tuple[int, int, int]  # channels, height, width
    rms: float  # of all values
    map: NDArray[np.float32]  # (H, W): mean absolute value over channels


@dataclass(frozen=True)
class Inside:
    """What a network did with an image."""

    rainy: NDArray[np.float32]  # (H, W, 3) in [0, 1], as the others
    derained: NDArray[np.float32]
    inputs: list[tuple[str, NDArray[np.float32]]]  # images that parts saw: MSPFN's pyramid
    stages: list[Stage]
    gates: list[tuple[str, NDArray[np.float32]]]  # channel attention: (channels,) in [0, 1]
    maps: list[tuple[str, NDArray[np.float32]]]  # spatial attention: (H, W) in [0, 1]


@torch.inference_mode()
def look_inside(network: Network[Any], image: Image8) -> Inside:
    """Run a network over one image and keep what its parts give.

    Args:
        network: In torch, any of `derain.models`.
        image: (H, W, 3) uint8.

    Raises:
        ValueError: The image is smaller than the network allows.
    """
    x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    inputs: list[tuple[str, NDArray[np.float32]]] = []
    stages: list[Stage] = []
    gates: list[tuple[str, NDArray[np.float32]]] = []
    maps: list[tuple[str, NDArray[np.float32]]] = []

    def keep_stage(name: str, given: Any, output: Any) -> None:
        first = given[0] if given else None
        if isinstance(first, Tensor) and first.dim() == 4 and first.shape[1] == 3:
            inputs.append((name, _image((first + 1) / 2 if first.min() < 0 else first)))
        for level, features in enumerate(_tensors(output)):
            array = features[0].numpy()
            rms = float(np.sqrt(np.mean(array.astype(np.float64) ** 2)))
            stages.append(Stage(name, level, array.shape, rms, np.abs(array).mean(axis=0)))

    def keep_gate(name: str, given: Any, output: Any) -> None:
        if output.shape[-2:] == (1, 1):
            gates.append((name.rpartition(".")[0], output[0, :, 0, 0].numpy()))

    def keep_map(name: str, given: Any, output: Any) -> None:
        maps.append((name, torch.sigmoid(output)[0, 0].numpy()))

    network, names = network.eval(), _stage_names(network)
    with ExitStack() as hooks:
        for name, part in network.named_modules():
            if name in names:
                hooks.enter_context(_hooked(part, name, keep_stage))
            if isinstance(part, nn.Sigmoid):
                hooks.enter_context(_hooked(part, name, keep_gate))
            if isinstance(part, nn.Conv2d) and part.in_channels == 2 and part.out_channels == 1:
                hooks.enter_context(_hooked(part, name.rpartition(".")[0], keep_map))
        derained = network(x)
    return Inside(_image(x), _image(derained), inputs, stages, gates, maps)


@contextmanager
def _hooked(part: nn.Module, name: str, keep: Any) -> Iterator[None]:
    """Call ``keep`` with the name, inputs and output of a part each time it runs."""
    handle = part.register_forward_hook(lambda _, given, output: keep(name, given, output))
    try:
        yield
    finally:
        handle.remove()


def _stage_names(network: nn.Module) -> list[str]:
    """Direct children, and the members of those that are lists."""
    names: list[str] = []
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList):
            names += [f"{name}.{number}" for number, _ in child.named_children()]
        else:
            names.append(name)
    return names


def _tensors(output: Any) -> list[Tensor]:
    """The feature maps in what a part gives: one, or one per level; what comes beside is left."""
    if isinstance(output, Tensor):
        return [output] if output.dim() == 4 else []
    if isinstance(output, list):
        return [tensor for tensor in output if isinstance(tensor, Tensor) and tensor.dim() == 4]
    return _tensors(output[0]) if isinstance(output, tuple) and output else []


def _image(tensor: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) -> (H, W, 3) in [0, 1]."""
    return tensor[0].clamp(0, 1).permute(1, 2, 0).numpy()


def write_files(inside: Inside, folder: Path) -> list[str]:
    """Write ``FILES``; without gates and maps there is no ``gates.png``.

    Returns:
        The names of the files.

    Raises:
        OSError: The folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rain = np.abs(inside.rainy - inside.derained)
    brightest = max(float(np.quantile(rain, 0.999)), 0.02)
    shown: list[tuple[str, NDArray[Any]]] = [
        ("rainy", inside.rainy),
        ("derained", inside.derained),
    ]
    shown.append(("rain, brightened", np.clip(rain / brightest, 0, 1)))
    shown += [(f"input of {name}", image) for name, image in inside.inputs[1:]]
    files = {"rain.png": _sheet(shown, None)}
    titles = [
        f"{s.name}{f', level {s.level + 1}' if _several(s.name, inside.stages) else ''}\n"
        f"{s.shape[0]} channels, {s.shape[2]}x{s.shape[1]}, rms {s.rms:.3g}"
        for s in inside.stages
    ]
    files["stages.png"] = _sheet(
        [(title, stage.map) for title, stage in zip(titles, inside.stages, strict=True)], "magma"
    )
    if inside.gates or inside.maps:
        bars = [(name, values[None, :]) for name, values in inside.gates]
        files["gates.png"] = _sheet([*inside.maps, *bars], "viridis", fixed=True)
    header = ["stage", "level", "channels", "height", "width", "rms"]
    rows = [[s.name, s.level + 1, *s.shape, f"{s.rms:.6g}"] for s in inside.stages]
    files["stages.csv"] = csv_text([header, *rows]).encode()
    for name, data in files.items():
        write_atomically(folder / name, data)
    return list(files)


def _several(name: str, stages: Sequence[Stage]) -> bool:
    return sum(stage.name == name for stage in stages) > 1


def _sheet(
    panels: Sequence[tuple[str, NDArray[Any]]], colours: str | None, fixed: bool = False
) -> bytes:
    """Panels side by side in rows of four, as PNG.

    Args:
        panels: Titles, and images (H, W, 3) in [0, 1] or maps (H, W).
        colours: Colour map for maps.
        fixed: Whether maps go from 0 to 1; else each to its own brightest.
    """
    from matplotlib.figure import Figure

    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    aspect = panels[0][1].shape[0] / panels[0][1].shape[1]
    height = max(0.5, 3.2 * min(aspect, 1.5)) + 0.45
    figure = Figure(figsize=(3.2 * columns, height * lines), layout="constrained")
    for i, (title, values) in enumerate(panels):
        axes = figure.add_subplot(lines, columns, i + 1)
        top = 1.0 if fixed else float(np.quantile(values, 0.995)) or 1.0
        axes.imshow(
            values, cmap=colours, vmin=0, vmax=top, interpolation="none",
            aspect="auto" if values.shape[0] == 1 else "equal",
        )  # fmt: skip
        axes.set_title(title, fontsize=8)
        axes.set(xticks=[], yticks=[])
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()
