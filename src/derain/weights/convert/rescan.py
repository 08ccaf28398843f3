"""RESCAN's checkpoints. Source of the names: the files of XiaLiPKU/RESCAN. Channels are BGR.

The number of stages and the frame leave no trace in the tensors: they are taken as published.
"""

import torch

from derain.models.rescan import RESCAN, RESCANConfig, Unit
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
    (r"^cells\.", "rnns."),
    (r"^(rnns\.\d+)\.activate\.0\.gate\.", r"\1.se.fc."),
    (r"\.gate\.(\w)\.(\w)\.", r".conv_\2\1."),
    (r"^decoder\.0\.", "dec.0."),
    (r"^decoder\.1\.0\.gate\.", "dec.1.fc."),
    (r"^decoder\.2\.", "dec.3."),
]
_UNITS: dict[str, Unit] = {"conv_xz": "gru", "conv_xf": "lstm", "conv_x": "rnn", "conv": "conv"}


def read(tensors: Tensors) -> Reading:
    """Read the names of RESCAN.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    units: list[Unit] = [u for part, u in _UNITS.items() if f"rnns.0.{part}.weight" in tensors]
    if not units:
        raise ValueError("missing tensor rnns.0.conv.weight or rnns.0.conv_x*.weight")
    unit = units[0]
    config = RESCANConfig(
        width=outputs(tensors, "dec.0.weight"),
        depth=count(tensors, r"rnns\.(\d+)\.") + 2,
        unit=unit,
        excitation=any(".se." in name for name in tensors),
    )
    with torch.device("meta"):
        network = RESCAN(config)
    names = [*_NAMES, (r"\.conv_(\w)n\.", r".conv_\1.")] if unit == "rnn" else _NAMES
    sources = renamed(network, names)  # the only gate of an RNN has no letter
    name = {"gru": "rescan"}.get(unit, f"rescan-{unit}")
    channels = (
        ImageChannels(r"cells\.0\.(conv|gate\.\w\.x)\.weight", 1),
        ImageChannels(r"decoder\.2\.(weight|bias)", 0),
    )
    return Reading(
        name, network, sources, order="bgr", channels=channels, layout=linear_as_convolution
    )


def _recognises(names: set[str]) -> bool:
    return any(name.startswith("rnns.0.") for name in names) and "dec.0.weight" in names


RESCAN_FORMAT = Format(
    "RESCAN",
    ("rescan", "rescan-conv", "rescan-rnn", "rescan-lstm"),
    "rnns.0.* with dec.0.*",
    _recognises,
    read,
)
