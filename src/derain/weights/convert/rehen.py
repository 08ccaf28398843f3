"""ReHEN's checkpoints. Source of the names: derain-toolbox. Channels are RGB."""

import torch

from derain.models.rehen import ReHEN, ReHENConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Renaming,
    Tensors,
    count,
    linear_as_convolution,
    outputs,
    renamed,
)

_NAMES: Renaming = [
    (r"^last\.1\.0\.gate\.", "last.model.1.fc."),
    (r"^last\.0\.", "last.model.0."),
    (r"^last\.2\.", "last.model.3."),
    (r"^cells\.0\.", "models.0."),
    (r"^cells\.(\d+)\.", r"models.\1.reu."),
    (r"^enhance\.(\d+)\.", lambda m: f"models.{int(m[1]) + 1}.heu."),
    (r"\.activate\.0\.gate\.", ".last.0.fc."),
    (r"\.gate\.(\w)\.([xh])\.", r".rnn.conv_\2\1."),
    (r"\.first\.body\.", ".res0.model."),
    (r"\.second\.body\.", ".res1.model."),
    (r"\.merge\.2\.gate\.", ".last.2.fc."),
    (r"\.merge\.", ".last."),
]


def read(tensors: Tensors) -> Reading:
    """Read the names of ReHEN; the number of stages leaves no trace and is taken as published.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    config = ReHENConfig(
        width=outputs(tensors, "last.model.0.weight"), units=count(tensors, r"models\.(\d+)\.")
    )
    with torch.device("meta"):
        network = ReHEN(config)
    channels = (
        ImageChannels(r"cells\.0\.gate\.\w\.x\.weight", 1),
        ImageChannels(r"last\.2\.(weight|bias)", 0),
    )
    sources = renamed(network, _NAMES)
    return Reading("rehen", network, sources, channels=channels, layout=linear_as_convolution)


REHEN_FORMAT = Format(
    "ReHEN",
    ("rehen",),
    "models.0.rnn.* with last.model.0.*",
    lambda names: {"models.0.rnn.conv_xz.weight", "last.model.0.weight"} <= names,
    read,
)
