"""Save a network's weights with its record as `.safetensors`; load those and checkpoints."""

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from derain.atomic import write_atomically
from derain.models import MODELS, build
from derain.models.cost import cost
from derain.weights.catalog import AUTHORS
from derain.weights.convert import convert
from derain.weights.record import KEY, Record, read_safetensors_record


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


def load_network(path: Path) -> tuple[nn.Module, Record]:
    """The network of a file, float32, in evaluation mode, with its record.

    Args:
        path: A `.safetensors` file of derain's, or an authors' checkpoint (`.pth`, `.pt`), whose
            record is made up from its tensors.

    Raises:
        ValueError: Not such a file, or its tensors do not fit its network; names it.
    """
    if path.suffix in AUTHORS:
        return _load_checkpoint(path)
    record = read_safetensors_record(path)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in record.options.items()}
    network = build(record.network, **options)
    state = {name: tensor.float() for name, tensor in load_file(path).items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise ValueError(f"{path}: does not fit {record.network}: {reason}") from None
    return network.eval(), record


def _load_checkpoint(path: Path) -> tuple[nn.Module, Record]:
    name, config, state = convert(path)
    entry = MODELS[name]
    network = entry.network(config)
    network.load_state_dict(state)
    counted = cost(network, 384, 512)
    options, usual = dataclasses.asdict(config), dataclasses.asdict(entry.config)
    record = Record(
        name=path.stem,
        network=name,
        options={key: value for key, value in options.items() if value != usual[key]},
        size_multiple=getattr(network, "size_multiple", 1),
        minimum_size=getattr(network, "minimum_size", 1),
        parameters=counted.parameters,
        gmacs=counted.gmacs,
        trained_on=f"by its authors ({path.name})",
        licence="unknown",
    )
    return network.eval(), record
