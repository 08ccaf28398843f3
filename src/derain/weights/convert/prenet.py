"""PReNet's checkpoints. Source of the names: the files of csdwren/PReNet. Channels are RGB."""

import torch

from derain.models.prenet import PReNet, PReNetConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Tensors,
    count,
    outputs,
)


def read(tensors: Tensors) -> Reading:
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
    channels = (
        ImageChannels(r"first\.weight", 1, images=2),
        ImageChannels(r"last\.(weight|bias)", 0),
    )
    name = "prenet-r" if config.recursive else "prenet"
    return Reading(name, network, sources, channels=channels)


def _recognises(names: set[str]) -> bool:
    parts = {name.split(".")[0] for name in names}
    return bool(parts & {"conv_i", "conv_f", "conv_g", "conv_o"}) and "res_conv1" in parts


PRENET_FORMAT = Format(
    "PReNet", ("prenet", "prenet-r"), "res_conv1.* with conv_i.*", _recognises, read
)
