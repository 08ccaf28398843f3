"""DID-MDN's checkpoints. Source of the names: the code of hezhangsprinter/DID-MDN. RGB.

Its authors publish one file per network. That of the de-raining network is read as a whole; it is
then told the density, which the other two would estimate.
"""

from typing import Any

import torch

from derain.models import Network
from derain.models.did_mdn import DIDMDN, DIDMDNConfig
from derain.weights.convert.checkpoint import Format, Reading, Renaming, Tensors, renamed
from derain.weights.convert.umrl import DENSE_NAMES, dense_layout

_NAMES: Renaming = [
    (r"^derain_net\.", ""),
    (r"^streams\.(\d)\.layers\.(\d)\.0\.", lambda m: f"dense{m[1]}.dense_block{int(m[2]) + 1}."),
    (r"^streams\.(\d)\.layers\.(\d)\.1\.", lambda m: f"dense{m[1]}.trans_block{int(m[2]) + 1}."),
    (r"^streams\.(\d)\.skip\.", r"dense\1.conv11."),
    (r"^merge\.", "conv_refin."),
    (r"^pyramid\.(\d)\.", lambda m: f"conv10{int(m[1]) + 1}0."),
    (r"^last\.", "refine3."),
    (r"^polish\.0\.", "refineclean1."),
    (r"^polish\.2\.", "refineclean2."),
    *DENSE_NAMES,
]
_IDLE = (
    r"(dense\d\.)?batchnorm(1|20)\.|(dense_block|trans_block)\d\.|"
    r"dense\d\.(conv([2-6]1|10\d0|_refin)|refine3)\."
)


def read(tensors: Tensors) -> Reading:
    """Read the names of the de-raining network.

    Raises:
        ValueError: The file holds another of the three networks.
    """
    if "refineclean1.weight" not in tensors:
        raise ValueError("holds DID-MDN's residual network; derain reads its de-raining network")
    with torch.device("meta"):
        network = DIDMDN(DIDMDNConfig(density=1))
    return reading_of(network)


def reading_of(network: Network[Any]) -> Reading:
    """How the tensors of the whole or of one of its two networks of streams are named."""
    sources = renamed(network, _NAMES)
    return Reading("did-mdn-known", network, sources, _IDLE, layout=dense_layout)


DID_MDN_FORMAT = Format(
    "DID-MDN",
    ("did-mdn-known",),
    "dense0.dense_block1.*",
    lambda names: any(name.startswith("dense0.dense_block1.") for name in names),
    read,
)
