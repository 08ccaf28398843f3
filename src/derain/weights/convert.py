"""Read the checkpoints that the authors of DCSFN and PReNet publish, under their own names.

``load_authors(path)`` gives a network of ours with their weights; ``convert(path)`` its parts. The
configuration is read off the tensors' names and shapes, which are those of the published files.

The authors of DCSFN feed their network BGR images, as OpenCV reads them, and get BGR back. Ours
take RGB, so `bgr_to_rgb` swaps the channels of the first and the last convolution, unless
``order="rgb"`` says that a file was trained on RGB. The authors of PReNet feed RGB.
"""

import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from derain.models.dcsfn import DCSFN, DCSFNConfig
from derain.models.prenet import PReNet, PReNetConfig

Order = Literal["rgb", "bgr"]
Tensors = dict[str, Tensor]

AUTHORS_ORDER: dict[str, Order] = {"dcsfn": "bgr", "prenet": "rgb", "prenet-r": "rgb"}


class Converted(NamedTuple):
    """A checkpoint of the authors' in our terms."""

    name: str  # "dcsfn", "prenet" or "prenet-r", as in derain.models.MODELS
    config: DCSFNConfig | PReNetConfig
    state: Tensors  # float32; fits the network of that configuration


class Reading(NamedTuple):
    """What the names and shapes of a checkpoint's tensors say."""

    network: DCSFN | PReNet  # on the meta device: shapes and no values
    sources: dict[str, list[str]]  # our name -> theirs, to be stacked if there are several
    idle: set[str]  # theirs that their code creates and never uses


def load_authors(path: Path, network: str = "auto", order: Order | None = None) -> DCSFN | PReNet:
    """A network with the weights of a checkpoint of the authors', in evaluation mode.

    Args:
        path: Their file.
        network: "dcsfn", "prenet", "prenet-r", or "auto" to tell from the names in the file.
        order: Order of the colour channels that the file was trained on; None: as its authors did.

    Raises:
        OSError: The file cannot be read.
        ValueError: Not such a checkpoint, or a tensor is missing, unexpected or of a wrong shape;
            names the file and the tensor.
    """
    _, config, state = convert(path, network, order)
    result = DCSFN(config) if isinstance(config, DCSFNConfig) else PReNet(config)
    result.load_state_dict(state)
    return result.eval()


def convert(path: Path, network: str = "auto", order: Order | None = None) -> Converted:
    """The name, configuration and renamed tensors of a checkpoint.

    Takes and raises what ``load_authors`` does.
    """
    if network not in ("auto", *AUTHORS_ORDER):
        raise ValueError(f"network must be one of auto, {', '.join(AUTHORS_ORDER)}: {network!r}")
    if order not in (None, "rgb", "bgr"):
        raise ValueError(f"order must be rgb, bgr or None: {order!r}")
    tensors = read_tensors(path)
    try:
        name = recognise(tensors)
        if network not in ("auto", name):
            raise ValueError(f"holds {name}, not {network}")
        reading = read_dcsfn(tensors) if name == "dcsfn" else read_prenet(tensors)
        check_tensors(tensors, reading)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    state = {
        ours: torch.cat([tensors[theirs] for theirs in sources]).float()
        for ours, sources in reading.sources.items()
    }
    if (order or AUTHORS_ORDER[name]) == "bgr":
        bgr_to_rgb(state)
    return Converted(name, reading.network.config, state)


def read_tensors(path: Path) -> Tensors:
    """The state dict of a file, out of ``net`` where it is nested, without ``module.`` prefixes.

    Raises:
        OSError: The file cannot be read.
        ValueError: No file of torch's, it holds more than tensors and plain values, or no state
            dict; names it.
    """
    data = io.BytesIO(path.read_bytes())
    try:
        content = torch.load(data, map_location="cpu", weights_only=True)
    except Exception:  # on bytes that are no checkpoint it fails in many ways, OSError among them
        raise ValueError(
            f"{path}: torch.load(weights_only=True) does not read it: it is no checkpoint, is "
            "damaged, or holds code, which derain does not run"
        ) from None
    if isinstance(content, dict) and isinstance(content.get("net"), dict):
        content = content["net"]
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: holds no state dict")
    for key, value in content.items():
        if not (isinstance(key, str) and key.isprintable() and isinstance(value, Tensor)):
            raise ValueError(f"{path}: holds no state dict: {key!r} is no tensor")
    return {key.removeprefix("module."): value for key, value in content.items()}


def recognise(names: Iterable[str]) -> str:
    """The name of the network by the authors' names of its tensors.

    Raises:
        ValueError: Neither DCSFN nor PReNet.
    """
    parts = {name.split(".")[0] for name in names}
    if parts & {"encoder", "encoder_scale1"}:
        return "dcsfn"
    if parts & {"conv_i", "conv_f", "conv_g", "conv_o"} and "res_conv1" in parts:
        return "prenet" if "res_conv2" in parts else "prenet-r"
    raise ValueError(
        "neither DCSFN (encoder_scale1.* or encoder.*) nor PReNet (res_conv1.* with conv_i.*)"
    )


def read_dcsfn(tensors: Tensors) -> Reading:
    """Read the names of DCSFN.

    Their code always links the scales of a unit and connects units densely. It creates the cells
    of the recurrent passes without the passes too, and fusions of c for units that have none.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    single = any(name.startswith("encoder.") for name in tensors)
    units = r"encoder\.units" if single else r"encoder_scale1\.units"
    gates = {match[1] for name in tensors if (match := re.match(r"rec\d_\d\.conv_.(.?)\.", name))}
    config = DCSFNConfig(
        width=outputs(tensors, "convert.0.weight"),
        blocks=count(tensors, units + r"\.(\d+)\."),
        scales=count(tensors, units + r"\.0\.scale(\d+)\."),
        convolutions=count(tensors, units + r"\.0\.scale1\.(\d+)\."),
        unit="rnn" if gates == {""} else "lstm" if gates & set("fioj") else "gru",
        cross=single or any(name.startswith("fusion_") for name in tensors),
        single=single,
    )
    with torch.device("meta"):
        network = DCSFN(config)
    sources = {name: [authors_dcsfn_name(name, config)] for name in network.state_dict()}
    idle = r"fusion_[12]_2_2\." if config.cross and config.unit != "lstm" else r"rec[12]_[124]\."
    if config.cross and config.unit == "lstm":
        return Reading(network, sources, set())
    return Reading(network, sources, {name for name in tensors if re.match(idle, name)})


_DCSFN_NAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^first\.conv\.", "convert.0."),
    (r"^merge\.conv\.", "merge.0."),
    (r"^last\.", "merge.2."),
    (r"^(en|de)coders\.(\d)\.", lambda m: f"{m[1]}coder_scale{2 ** int(m[2])}."),
    (r"\.blocks\.", ".units."),
    (r"\.scales\.(\d+)\.(\d+)\.conv\.", lambda m: f".scale{2 ** int(m[1])}.{m[2]}.0."),
    (r"\.links\.(\d+)\.conv\.", lambda m: f".fusion{2 ** (int(m[1]) + 1)}{2 ** int(m[1])}.0."),
    (r"(units\.\d+)\.fuse\.conv\.", r"\1.fusion_all.0."),
    (r"(coder_scale\d)\.fuse\.(\d+)\.conv\.", r"\1.conv1x1.\2.0."),
    (
        r"^passes\.(\d)\.cells\.(\d)\.(.)\.(.)\.",
        lambda m: f"rec{int(m[1]) + 1}_{2 ** int(m[2])}.conv_{m[3]}{m[4]}.",
    ),
    (
        r"^passes\.(\d)\.fuse\.(\d)\.conv\.",
        lambda m: f"fusion_{int(m[1]) + 1}_2_{int(m[2]) + 1}.0.",
    ),
]


def authors_dcsfn_name(name: str, config: DCSFNConfig) -> str:
    """The authors' name of a tensor of our DCSFN."""
    for pattern, replacement in _DCSFN_NAMES:
        name = re.sub(pattern, replacement, name)
    if config.single:
        name = name.replace("coder_scale1.", "coder.")
    if config.unit == "rnn":
        name = re.sub(r"\.conv_(.)n\.", r".conv_\1.", name)
    return name


def read_prenet(tensors: Tensors) -> Reading:
    """Read the names of PReNet and PReNet_r; their four gates are one convolution of ours.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    blocks = count(tensors, r"res_conv(\d+)\.")
    config = PReNetConfig(
        width=outputs(tensors, "conv0.0.weight"),
        blocks=PReNetConfig.blocks if blocks == 1 else blocks,
        recursive=blocks == 1,
    )
    with torch.device("meta"):
        network = PReNet(config)
    sources = {}
    for name in network.state_dict():
        part, kind = name.rsplit(".", 1)
        if part == "lstm.conv":
            sources[name] = [f"conv_{gate}.0.{kind}" for gate in "ifgo"]
        elif part in ("first", "last"):
            sources[name] = [f"{'conv0' if part == 'first' else 'conv'}.0.{kind}"]
        else:
            _, block, _, layer = part.split(".")
            sources[name] = [f"res_conv{int(block) + 1}.{layer}.{kind}"]
    return Reading(network, sources, set())


def count(names: Iterable[str], pattern: str) -> int:
    """How many different numbers the pattern's group takes in names that begin like it.

    Raises:
        ValueError: No name does.
    """
    numbers = {match[1] for name in names if (match := re.match(pattern, name))}
    if not numbers:
        raise ValueError(f"no tensor has a name like {pattern}")
    return len(numbers)


def outputs(tensors: Tensors, name: str) -> int:
    """The number of output channels of a convolution.

    Raises:
        ValueError: It is missing or no convolution.
    """
    if name not in tensors:
        raise ValueError(f"missing tensor {name}")
    if tensors[name].dim() != 4:
        raise ValueError(f"{name} is not the weight of a convolution")
    return tensors[name].shape[0]


def check_tensors(tensors: Tensors, reading: Reading) -> None:
    """Compare the tensors that are there with those that should be.

    Raises:
        ValueError: One is missing, unexpected or of a wrong shape.
    """
    expected = {name for sources in reading.sources.values() for name in sources}
    differences = []
    for what, names in (
        ("missing", expected - tensors.keys()),
        ("unexpected", tensors.keys() - expected - reading.idle),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            differences.append(f"{what} tensor {min(names)}{more}")
    if differences:
        raise ValueError("; ".join(differences))
    for ours, like in reading.network.state_dict().items():
        sources = reading.sources[ours]
        shape = (like.shape[0] // len(sources), *like.shape[1:])
        for name in sources:
            if tensors[name].shape != shape:
                raise ValueError(
                    f"{name} has the shape {tuple(tensors[name].shape)}, it must be {shape}"
                )


def bgr_to_rgb(state: Tensors) -> None:
    """Turn the weights of a network for BGR images into those of one for RGB, in place."""
    first = "first.conv.weight" if "first.conv.weight" in state else "first.weight"
    images = state[first].unflatten(1, (-1, 3))  # DCSFN reads one, PReNet two
    state[first] = images.flip(2).flatten(1, 2)
    for name in ("last.weight", "last.bias"):
        state[name] = state[name].flip(0)
