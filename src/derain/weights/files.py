"""Save a network's weights with its record as `.safetensors`; load those and checkpoints."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from derain.io.atomic import write_atomically
from derain.models import MODELS, Network, build
from derain.models.cost import cost
from derain.models.network import check_contract
from derain.weights.catalog import AUTHORS
from derain.weights.convert import named_network
from derain.weights.convert.checkpoint import BATCHES
from derain.weights.headers import read_record
from derain.weights.record import KEY, Record


def save_weights(
    path: Path, state: dict[str, Tensor], record: Record, dtype: torch.dtype | None = None
) -> None:
    """Write a state dict and its record, whole or not at all.

    Args:
        path: Ends in ``.safetensors``.
        state: Name -> tensor.
        record: What the file says about itself.
        dtype: Store floating-point tensors so; None keeps theirs.
    """
    tensors = {
        name: (tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor)
        .detach()
        .cpu()
        .contiguous()
        for name, tensor in state.items()
    }
    write_atomically(path, save(tensors, {KEY: record.to_json()}))


def describe(
    network: Network[Any], name: str, entry: str, options: Mapping[str, Any], **known: Any
) -> Record:
    """The record of a network: what it says of itself, what it costs, and what else is known.

    Args:
        network: Any, as built.
        name: The name of the weights.
        entry: Its name in ``derain.models.MODELS``.
        options: Changes to that entry's configuration.
        **known: Further fields of ``Record``.

    Raises:
        ValueError: The network lacks something that ``Network`` says, or a field holds what it may
            not; names it.
    """
    check_contract(network)
    counted = cost(network, 384, 512)
    return Record(
        name,
        entry,
        dict(options),
        size_multiple=network.size_multiple,
        minimum_size=network.minimum_size,
        receptive_radius=network.receptive_radius,
        parameters=counted.parameters,
        gmacs=round(counted.gmacs, 1),
        **known,
    )


def load_network(path: Path) -> tuple[Network[Any], Record]:
    """The network of a file, float32, in evaluation mode, with its record.

    Args:
        path: A `.safetensors` file of derain's, or an authors' checkpoint (`.pth`, `.pt`), whose
            record is made up from its tensors.

    Raises:
        ValueError: Not such a file, or its tensors do not fit its network; names it.
    """
    if path.suffix in AUTHORS:
        return _load_checkpoint(path)
    record = read_record(path)
    state = _read_tensors(path)
    _check_fit(record, state, path)
    network = build(record.network, **options_of(record))
    network.load_state_dict(state)
    return network.eval(), record


def _load_checkpoint(path: Path) -> tuple[Network[Any], Record]:
    name, network = named_network(path)
    options = dataclasses.asdict(network.config)
    usual = dataclasses.asdict(MODELS[name].config)
    changes = {key: value for key, value in options.items() if value != usual[key]}
    try:
        record = describe(
            network, path.stem, name, changes,
            trained_on=f"by its authors ({path.name})", licence="unknown",
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return network, record


def options_of(record: Record) -> dict[str, Any]:
    """The options of a record as configurations take them, which have tuples for JSON's lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in record.options.items()}


def outline(record: Record, tensors: int) -> Network[Any]:
    """The network of a record on the meta device: shapes and no values, whatever its widths.

    Args:
        record: Perhaps of a stranger.
        tensors: How many parameters the network may have; the work is bounded by it.

    Raises:
        ValueError: There is no such network, or it has more parameters.
    """
    registered = 0

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal registered
        registered += 1
        if registered > 2 * tensors:  # twice: layers may replace what they have just made
            raise ValueError(f"it has more than {tensors} tensors with these options")

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            return build(record.network, **options_of(record))
    except (RuntimeError, OverflowError) as error:  # sizes that no tensor can have
        reason = str(error).splitlines()[0]
        raise ValueError(f"it cannot be built: {reason}") from None
    finally:
        hook.remove()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file: float32, and counters of batch normalisation.

    Raises:
        ValueError: The file is damaged, or a tensor holds no finite floating-point numbers.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged: {str(error).splitlines()[0]}") from None
    for name, tensor in tensors.items():
        if not name.isprintable():
            raise ValueError(f"{path}: {name!r} is no name of a tensor")
        counter = name.endswith(BATCHES) and tensor.dtype is torch.int64
        if not tensor.is_floating_point() and not counter:
            raise ValueError(f"{path}: tensor {name} holds {tensor.dtype}, no weights")
        if not tensor.isfinite().all():
            raise ValueError(f"{path}: tensor {name} holds values that are not finite")
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}


def _check_fit(record: Record, state: Mapping[str, Tensor], path: Path) -> None:
    """Compare names and shapes with the network's before any of it is allocated.

    Raises:
        ValueError: They differ, or there is no such network; names the file and the tensor.
    """
    try:
        expected = outline(record, len(state)).state_dict()
    except ValueError as error:
        raise ValueError(f"{path}: does not fit {record.network}: {error}") from None
    if differences := mismatch(state, expected):
        raise ValueError(f"{path}: does not fit {record.network}: {differences}")


def mismatch(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Say on one line how tensors differ in names and shapes from those of a network.

    Returns:
        The first missing, unexpected or misshapen tensor; empty if all fit.
    """
    for what, names in (
        ("missing", expected.keys() - state.keys()),
        ("unexpected", state.keys() - expected.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            return f"{what} tensor {min(names)}{more}"
    for name, like in expected.items():
        if state[name].shape != like.shape:
            return (
                f"{name} has the shape {tuple(state[name].shape)}, it must be {tuple(like.shape)}"
            )
    return ""
