"""DCSFN's checkpoints. The names are those of the published files. Channels are BGR."""

import re

import torch

from derain.models.dcsfn import DCSFN, DCSFNConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Reading,
    Renaming,
    Tensors,
    count,
    outputs,
)


def read(tensors: Tensors) -> Reading:
    """Read the names of DCSFN.

    Their code always links the scales of a unit and connects units densely. It creates the cells
    of the recurrent passes without the passes too, and fusions of c for units that have none.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    single = any(name.startswith("encoder.") for name in tensors)
    units = r"encoder\.units" if single else r"encoder_scale1\.units"
    gates = {match[1] for name in tensors if (match := re.match(r"rec\d_\d\.conv_.(.?)\.", name))}
    config = DCSFNConfig(
        width=outputs(tensors, "convert.0.weight"),
        blocks=count(tensors, units + r"\.(\d+)\."),
        scales=count(tensors, units + r"\.0\.scale(\d+)\."),
        convolutions=count(tensors, units + r"\.0\.scale1\.(\d+)\."),
        unit="rnn" if gates == {""} else "lstm" if gates & set("fioj") else "gru",
        cross=single or any(name.startswith("fusion_") for name in tensors),
        single=single,
    )
    with torch.device("meta"):
        network = DCSFN(config)
    sources = {name: [authors_dcsfn_name(name, config)] for name in network.state_dict()}
    idle = r"fusion_[12]_2_2\." if config.cross else r"rec[12]_[124]\."
    if config.cross and config.unit == "lstm":
        idle = Reading._field_defaults["idle"]
    channels = (ImageChannels(r"first\.conv\.weight", 1), ImageChannels(r"last\.(weight|bias)", 0))
    return Reading("dcsfn", network, sources, idle, "bgr", channels)


_NAMES: Renaming = [
    (r"^first\.conv\.", "convert.0."),
    (r"^merge\.conv\.", "merge.0."),
    (r"^last\.", "merge.2."),
    (r"^(en|de)coders\.(\d)\.", lambda m: f"{m[1]}coder_scale{2 ** int(m[2])}."),
    (r"\.blocks\.", ".units."),
    (r"\.scales\.(\d+)\.(\d+)\.conv\.", lambda m: f".scale{2 ** int(m[1])}.{m[2]}.0."),
    (r"\.links\.(\d+)\.conv\.", lambda m: f".fusion{2 ** (int(m[1]) + 1)}{2 ** int(m[1])}.0."),
    (r"(units\.\d+)\.fuse\.conv\.", r"\1.fusion_all.0."),
    (r"(coder_scale\d)\.fuse\.(\d+)\.conv\.", r"\1.conv1x1.\2.0."),
    (
        r"^passes\.(\d)\.cells\.(\d)\.(.)\.(.)\.",
        lambda m: f"rec{int(m[1]) + 1}_{2 ** int(m[2])}.conv_{m[3]}{m[4]}.",
    ),
    (
        r"^passes\.(\d)\.fuse\.(\d)\.conv\.",
        lambda m: f"fusion_{int(m[1]) + 1}_2_{int(m[2]) + 1}.0.",
    ),
]


def authors_dcsfn_name(name: str, config: DCSFNConfig) -> str:
    """The authors' name of a tensor of our DCSFN."""
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    if config.single:
        name = name.replace("coder_scale1.", "coder.")
    if config.unit == "rnn":
        name = re.sub(r"\.conv_(.)n\.", r".conv_\1.", name)
    return name


def _recognises(names: set[str]) -> bool:
    return any(name.split(".")[0] in ("encoder", "encoder_scale1") for name in names)


DCSFN_FORMAT = Format("DCSFN", ("dcsfn",), "encoder_scale1.* or encoder.*", _recognises, read)
