"""SPANet's checkpoints. Source of the names: the files of stevewongv/SPANet. Channels are BGR."""

import torch
from torch import Tensor

from derain.models.spanet import SPANet, SPANetConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Renaming,
    Tensors,
    outputs,
    renamed,
)

DIRECTIONS = ("up", "right", "down", "left")
_NAMES: Renaming = [
    (r"^first\.", "conv_in.0."),
    (r"^last\.", "conv_out.0."),
    (r"^attention\.first\.", "SAM1.conv_in."),
    (r"^attention\.last\.", "SAM1.conv_out."),
    (r"^attention\.merges\.(\d)\.", lambda m: f"SAM1.conv{int(m[1]) + 2}."),
    (r"^attention\.rounds\.(\d)\.", lambda m: f"SAM1.irnn{int(m[1]) + 1}."),
    (r"^before\.(\d)\.", lambda m: f"res_block{int(m[1]) + 1}."),
    (r"^attentive\.(\d+)\.", lambda m: f"res_block{int(m[1]) + 4}."),
    (r"^after\.(\d)\.", lambda m: f"res_block{int(m[1]) + 16}."),
    (r"^(res_block\d+)\.(\d)\.", lambda m: f"{m[1]}.group1.conv{int(m[2]) // 2 + 1}."),
]


def read(tensors: Tensors) -> Reading:
    """Read the names of SPANet; a weight per direction becomes a row of ours.

    Its code stores direction weights that it never uses.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    with torch.device("meta"):
        network = SPANet(SPANetConfig(width=outputs(tensors, "conv_in.0.weight")))
    sources = renamed(network, _NAMES)
    for ours, (name,) in sources.items():
        if ".irnn" in name:
            part, kind = name.rsplit(".", 1)
            sources[ours] = [f"{part}.{direction}_weight.{kind}" for direction in DIRECTIONS]
    channels = (ImageChannels(r"first\.weight", 1), ImageChannels(r"last\.weight", 0))
    idle = r"SAM1\.attention_layer\."
    return Reading("spanet", network, sources, idle, "bgr", channels, _layout)


def _layout(ours: str, tensor: Tensor) -> Tensor:
    return tensor.flatten()[None] if ".rounds." in ours else tensor


SPANET_FORMAT = Format(
    "SPANet", ("spanet",), "SAM1.*", lambda names: "SAM1.conv_in.weight" in names, read
)
