"""What the readers of authors' checkpoints share: the file, and comparing it with a network."""

import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from derain.models import Network

Order = Literal["rgb", "bgr"]
Tensors = dict[str, Tensor]
# A pattern of one of our names, and what it becomes; in this order, each on what the last left.
Renaming = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

MOST_REPEATED = 100  # times that a file may show a stored value; some repeat one per stage
BATCHES = ".num_batches_tracked"  # of a batch normalisation; old files have none


class ImageChannels(NamedTuple):
    """Tensors of ours along whose axis images lie, three channels each."""

    pattern: str  # of their names, from the beginning to the end
    axis: int  # 0: the channels that a layer gives; 1: those that a convolution reads
    images: int = 1  # this many, before any other channels


def as_stored(_: str, tensor: Tensor) -> Tensor:
    """The layout of a tensor that needs no change."""
    return tensor


def linear_as_convolution(_: str, tensor: Tensor) -> Tensor:
    """The weight of a linear layer as that of a 1x1 convolution; others as they are."""
    return tensor[:, :, None, None] if tensor.dim() == 2 else tensor


class Reading(NamedTuple):
    """What the names and shapes of a checkpoint's tensors say."""

    name: str  # as in derain.models.MODELS
    network: Network[Any]  # on the meta device: shapes and no values
    sources: dict[str, list[str]]  # our name -> theirs, to be stacked if there are several
    idle: str = "(?!)"  # pattern of what their code creates and never uses; none
    order: Order = "rgb"  # of the channels that the authors feed
    channels: tuple[ImageChannels, ...] = ()  # empty: BGR cannot be converted to RGB
    layout: Callable[[str, Tensor], Tensor] = as_stored  # (our name, their tensor) -> our layout


class Format(NamedTuple):
    """How the checkpoints of one paper are recognised and read."""

    title: str  # "PReNet"
    networks: tuple[str, ...]  # names in derain.models.MODELS that its files hold
    sign: str  # the names that tell it apart, for people
    recognises: Callable[[set[str]], bool]  # from the names of all tensors
    read: Callable[[Tensors], Reading]  # ValueError: a tensor that it reads from is missing


def read_tensors(path: Path) -> Tensors:
    """The state dict of a file, out of ``net`` where it is nested.

    Names lose the ``module.`` or ``model.`` that training on several GPUs puts before them.

    Raises:
        OSError: The file cannot be read.
        ValueError: No file of torch's, it holds more than tensors and plain values, no state dict,
            or tensors that are no plain finite numbers; names it.
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
        if fault := _fault(value):
            raise ValueError(f"{path}: tensor {key!r} {fault}")
    return {re.sub(r"^(module|model)\.", "", key): value for key, value in content.items()}


def _fault(tensor: Tensor) -> str:
    """Why a tensor cannot be a weight; empty if it can."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.is_quantized or tensor.is_complex():
        return "is stored in a form that weights do not have"
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    if tensor.numel() > MOST_REPEATED * stored:
        return "repeats few values too often"  # which could fill the memory
    return "" if tensor.isfinite().all() else "holds values that are not finite"


def renamed(network: nn.Module, renaming: Renaming) -> dict[str, list[str]]:
    """For each tensor of a network of ours, the authors' name of it."""
    sources = {}
    for name in network.state_dict():
        theirs = name
        for pattern, replacement in renaming:
            theirs = re.sub(pattern, replacement, theirs)
        sources[name] = [theirs]
    return sources


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


def to_state(tensors: Tensors, reading: Reading) -> Tensors:
    """The tensors under our names, float32, in our layout.

    Raises:
        ValueError: One is missing, unexpected or of a wrong shape.
    """
    expected = {name for sources in reading.sources.values() for name in sources}
    uncounted = {name for name in expected - tensors.keys() if name.endswith(BATCHES)}
    unexpected = {name for name in tensors.keys() - expected if not re.match(reading.idle, name)}
    missing = expected - uncounted - tensors.keys()
    differences = []
    for what, names in (("missing", missing), ("unexpected", unexpected)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            differences.append(f"{what} tensor {min(names)}{more}")
    if differences:
        raise ValueError("; ".join(differences))
    tensors = tensors | dict.fromkeys(uncounted, torch.tensor(0))
    state = {}
    for ours, like in reading.network.state_dict().items():
        if ours.endswith(BATCHES):
            name = reading.sources[ours][0]
            if tensors[name].shape != like.shape:
                raise ValueError(f"{name} is not one number")
            state[ours] = tensors[name]
            continue
        parts = []
        for name in reading.sources[ours]:
            try:
                part = reading.layout(ours, tensors[name])
            except (IndexError, RuntimeError):  # it has other axes than a layout changes
                raise ValueError(
                    f"{name} has the shape {tuple(tensors[name].shape)}, which does not fit"
                ) from None
            shape = (like.shape[0] // len(reading.sources[ours]), *like.shape[1:])
            if part.shape != shape:
                raise ValueError(f"{name} has the shape {tuple(part.shape)}, it must be {shape}")
            parts.append(part)
        state[ours] = torch.cat(parts).float()
    return state


def bgr_to_rgb(state: Tensors, channels: Sequence[ImageChannels]) -> None:
    """Turn the weights of a network for BGR images into those of one for RGB, in place."""
    for name, tensor in state.items():
        for pattern, axis, images in channels:
            if re.fullmatch(pattern, name):
                order = torch.arange(tensor.shape[axis])
                order[: 3 * images] = order[: 3 * images].view(-1, 3).flip(1).flatten()
                state[name] = tensor = tensor.index_select(axis, order)
