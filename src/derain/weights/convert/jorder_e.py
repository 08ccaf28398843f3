"""JORDER-E's checkpoints. Source of the names: the authors' practical file. Channels are RGB."""

import torch

from derain.models.jorder_e import JORDERE, JORDEREConfig
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

_GUIDES = {"added": "b", "factor": "w"}
_NAMES: Renaming = [
    (r"^passes\.(\d)\.", lambda m: f"jorder{int(m[1]) + 1}."),
    (r"\.first\.", ".encoder."),
    (
        r"\.units\.(\d+)\.paths\.(\d)\.(\d)\.",
        lambda m: f".updater.res{int(m[1]) + 1}.conv{2 * int(m[2]) + int(m[3]) // 2 + 1}.",
    ),
    (r"\.(mask|level)\.(\d)\.", lambda m: f".{m[1]}_estimator{int(m[2]) + 1}."),
    (
        r"\.(mask|level)_(added|factor)\.(\d)\.",
        lambda m: f".{m[1]}_F_{_GUIDES[m[2]]}_encoder{int(m[3]) // 2 + 1}.",
    ),
    (r"\.last\.", ".decoder."),
]


def read(tensors: Tensors) -> Reading:
    """Read the names of JORDER-E.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    config = JORDEREConfig(
        width=outputs(tensors, "jorder1.encoder.weight"),
        units=count(tensors, r"jorder1\.updater\.res(\d+)\."),
    )
    with torch.device("meta"):
        network = JORDERE(config)
    channels = (
        ImageChannels(r"passes\.\d\.first\.weight", 1, images=2),
        ImageChannels(r"passes\.\d\.last\.1\.(weight|bias)", 0),
    )
    practical = config == JORDEREConfig(32, 3)
    name = "jorder-e-practical" if practical else "jorder-e"
    return Reading(name, network, renamed(network, _NAMES), channels=channels)


JORDER_E_FORMAT = Format(
    "JORDER-E",
    ("jorder-e", "jorder-e-practical"),
    "jorder1.*",
    lambda names: "jorder1.encoder.weight" in names,
    read,
)
