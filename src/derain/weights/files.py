"""Save and load a network's weights as `.safetensors` with its record."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from derain.io.atomic import write_atomically
from derain.models import build
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
    """The network of a `.safetensors` file, float32, in evaluation mode, with its record.

    Raises:
        ValueError: Not a file of derain's, or its tensors do not fit its network; names it.
    """
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
