"""NLEDN's checkpoints. Source of the names: the files of AlexHex7/NLEDN. Channels are RGB."""

import torch

from derain.models.nledn import NLEDN, NLEDNConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Renaming,
    Tensors,
    count,
    outputs,
    renamed,
)

_NAMES: Renaming = [
    (r"^first\.", "conv1."),
    (r"^second\.", "conv2."),
    (r"^encoders\.(\d)\.", lambda m: f"up_{int(m[1]) + 1}."),
    (r"^decoders\.(\d)\.", lambda m: f"down_{3 - int(m[1])}."),
    (r"^skips\.(\d)\.", lambda m: f"down_{2 - int(m[1])}_fusion."),
    (r"^fuse\.", "fusion."),
    (r"^last\.", "final_conv.0."),
    (r"\.layers\.(\d+)\.", r".group_\1.0."),
    (r"\.fuse\.", ".fusion.0."),
    (r"\.query\.", ".theta."),
    (r"\.key\.", ".phi.0."),
    (r"\.value\.", ".g.0."),
    (r"\.non_local\.last\.", ".non_local.W."),
    (r"(?<!down_3)\.non_local\.", ".region_non_local.non_local_block."),
]


def read(tensors: Tensors) -> Reading:
    """Read the names of NLEDN.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    config = NLEDNConfig(
        width=outputs(tensors, "conv1.weight"),
        growth=outputs(tensors, "up_1.group_0.0.weight"),
        layers=count(tensors, r"up_1\.group_(\d+)\."),
    )
    with torch.device("meta"):
        network = NLEDN(config)
    channels = (ImageChannels(r"first\.weight", 1), ImageChannels(r"last\.(weight|bias)", 0))
    return Reading("nledn", network, renamed(network, _NAMES), channels=channels)


def _recognises(names: set[str]) -> bool:
    return any(".region_non_local." in name for name in names)


NLEDN_FORMAT = Format("NLEDN", ("nledn",), "up_1.region_non_local.*", _recognises, read)
