"""UMRL's checkpoints. Source of the names: the authors' files. Channels are RGB."""

import re

import torch
from torch import Tensor

from derain.models.umrl import UMRL, UMRLConfig
from derain.weights.convert.checkpoint import (
    Format,
    Reading,
    Renaming,
    Tensors,
    outputs,
    renamed,
)

# Of a dense layer and of a transition, which both umrl and did_mdn have.
DENSE_NAMES: Renaming = [
    (r"\.(grow|change)\.0\.", r".bn1."),
    (r"\.(grow|change)\.2\.", r".conv1."),
    (r"\.grow\.3\.", r".bn2."),
    (r"\.grow\.5\.", r".conv2."),
]
_STAGES = {
    "down1": "1", "down2": "2", "down3": "3", "bottom.0": "3_1", "bottom.1": "3_2",
    "up4": "4", "up2": "5", "up1.0": "6", "up1.1": "6_1",
}  # fmt: skip
_NAMES: Renaming = [
    *((rf"^{re.escape(ours)}\.0\.", f"dense_block{n}.") for ours, n in _STAGES.items()),
    *((rf"^{re.escape(ours)}\.1\.", f"trans_block{n}.") for ours, n in _STAGES.items()),
    (r"^rain\.6\.", "res_est.conv_refin."),
    (r"^rain\.8\.", "res_est.refine3."),
    (r"^rain\.(\d)\.grow\.", lambda m: f"res_est.conv{int(m[1]) // 2 + 1}.grow."),
    (r"^rain\.(\d)\.change\.", lambda m: f"res_est.trans_block{int(m[1]) // 2 + 1}.change."),
    (r"^confidence\.0\.", "conf_res.conv1."),
    (r"^confidence\.5\.", "conf_res.refine3."),
    (r"^confidence\.(\d)\.grow\.", lambda m: f"conf_res.conv{int(m[1]) // 2 + 2}.grow."),
    (r"^confidence\.(\d)\.change\.", lambda m: f"conf_res.trans_block{int(m[1]) // 2 + 1}.change."),
    (r"^rain1\.0\.", "conv_refin."),
    (r"^rain1\.2\.", "refine3."),
    (r"^polish\.0\.", "refineclean1."),
    (r"^polish\.2\.", "refineclean2."),
    *DENSE_NAMES,
]


def read(tensors: Tensors) -> Reading:
    """Read the names of UMRL; its code creates layers that it never uses.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    with torch.device("meta"):
        network = UMRL(UMRLConfig(width=outputs(tensors, "dense_block2.conv2.weight")))
    idle = r"conf_res\.conv_refin\.|batchnorm20\.|batchnorm1\."
    return Reading("umrl", network, renamed(network, _NAMES), idle, layout=dense_layout)


def dense_layout(ours: str, tensor: Tensor) -> Tensor:
    """The authors' transitions are transposed 1x1 convolutions, which ours are not."""
    return tensor.transpose(0, 1) if ours.endswith(".change.2.weight") else tensor


UMRL_FORMAT = Format(
    "UMRL", ("umrl",), "res_est.*", lambda names: "res_est.refine3.weight" in names, read
)
