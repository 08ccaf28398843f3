"""DDN's and SIRR's checkpoints, as PyTorch names: conv.{i} and norm.{i}, i from 0; RGB.

The authors publish TensorFlow and MATLAB files, which hold the same tensors in another layout. What
SIRR's test program runs is a DDN, so its files are read as one.
"""

import torch

from derain.models.ddn import DDN, DDNConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Tensors,
    count,
    outputs,
)


def read(tensors: Tensors) -> Reading:
    """Read the names of DDN; running statistics are those of the MATLAB file.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    matlab = any(name.endswith(".running_mean") for name in tensors)
    config = DDNConfig(
        width=outputs(tensors, "conv.0.weight"),
        blocks=count(tensors, r"conv\.(\d+)\.") // 2 - 1,
        form="matlab" if matlab else "image",
    )
    with torch.device("meta"):
        network = DDN(config)
    sources = {name: [_authors_name(name, config)] for name in network.state_dict()}
    channels = (ImageChannels(r"first\.0\.weight", 1), ImageChannels(r"last\.\d\.(?!num).*", 0))
    return Reading("ddn-matlab" if matlab else "ddn", network, sources, channels=channels)


def _authors_name(name: str, config: DDNConfig) -> str:
    part, *places, kind = name.split(".")
    if part == "blocks":
        block, layer = int(places[0]), int(places[2])
        kinds = ("norm", "", "conv") if config.form == "matlab" else ("conv", "norm", "")
        return f"{kinds[layer % 3]}.{2 * block + 1 + layer // 3}.{kind}"
    number = 0 if part == "first" else 2 * config.blocks + 1
    return f"{('conv', 'norm')[int(places[0])]}.{number}.{kind}"


DDN_FORMAT = Format(
    "DDN or SIRR",
    ("ddn", "ddn-matlab"),
    "conv.0.* with norm.0.*",
    lambda names: {"conv.0.weight", "norm.0.weight"} <= names,
    read,
)
