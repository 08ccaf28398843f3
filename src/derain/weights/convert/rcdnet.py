"""RCDNet's checkpoints: of hongwang01/RCDNet (RGB), and of its RCDNet_simple (BGR).

Both hold the same network under different names. The first stores the kernels once per stage and
uses one copy, and creates a proximal operator and a step that it never runs.
"""

import torch
from torch import Tensor

from derain.models.rcdnet import RCDNet, RCDNetConfig
from derain.weights.convert.checkpoint import (
    Format,
    ImageChannels,
    Order,
    Reading,
    Renaming,
    Tensors,
    count,
    outputs,
    renamed,
)

USED = 1  # of the copies of the kernels

_NAMES: Renaming = [
    (r"^first_kernels$", "weight0"),
    (r"^kernels$", "conv"),
    (r"^first_background_step$", "eta2"),
    (r"^rain_map_steps$", "eta11"),
    (r"^background_steps$", "eta12"),
    (r"^dual\.weight$", "w_z_f"),
    (r"^rain_maps\.(\d+)\.threshold$", r"m_stage.\1.tau"),
    (r"^rain_maps\.(\d+)\.body\.(\d)\.body", lambda m: f"m_stage.{m[1]}.resm{int(m[2]) + 1}"),
    (r"^backgrounds\.", "x_stage."),
    (r"^start\.", "xnet."),
    (r"^end\.", "fxnet."),
    (r"net\.(\d)\.body", lambda m: f"net.resx{int(m[1]) + 1}"),
    (r"^x_stage\.(\d+)\.(\d)\.body", lambda m: f"x_stage.{m[1]}.resx{int(m[2]) + 1}"),
]
_SIMPLE_NAMES: Renaming = [
    (r"^first_kernels$", "C0"),
    (r"^kernels$", "C"),
    (r"^(first_background_step|background_steps)$", "etaB_S"),
    (r"^rain_map_steps$", "etaM_S"),
    (r"^dual\.weight$", "C_z"),
    (r"^rain_maps\.(\d+)\.threshold$", r"proxNet_M_S.\1.tau"),
    (r"^rain_maps\.(\d+)\.body\.(\d)\.body", r"proxNet_M_S.\1.layer.\2"),
    (r"^backgrounds\.(\d+)\.(\d)\.body", r"proxNet_B_S.\1.layer.\2"),
    (r"^start\.(\d)\.body", r"proxNet_B_0.layer.\1"),
    (r"^end\.(\d)\.body", r"proxNet_B_last_layer.layer.\1"),
]
_IMAGE_AND_DUAL = r"(start|end|backgrounds\.\d+)\..*"
_CHANNELS = (
    ImageChannels(r"(first_)?kernels", 0),
    ImageChannels(r"dual\.weight", 1),
    ImageChannels(_IMAGE_AND_DUAL + r"(weight|bias|running_mean|running_var)", 0),
    ImageChannels(_IMAGE_AND_DUAL + r"\.[03]\.weight", 1),
)


def read(tensors: Tensors) -> Reading:
    """Read the names of RCDNet.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    return _read(tensors, "weight0", "w_z_f", r"x_stage\.(\d+)\.", _NAMES, "rgb")


def read_simple(tensors: Tensors) -> Reading:
    """Read the names of RCDNet_simple.

    Raises:
        ValueError: A tensor that the configuration is read from is missing.
    """
    return _read(tensors, "C0", "C_z", r"proxNet_B_S\.(\d+)\.", _SIMPLE_NAMES, "bgr")


def _read(
    tensors: Tensors, kernels: str, dual: str, stages: str, names: Renaming, order: Order
) -> Reading:
    outputs(tensors, kernels)  # complains if it is missing
    config = RCDNetConfig(
        stages=count(tensors, stages),
        rain_maps=tensors[kernels].shape[1],
        dual_channels=outputs(tensors, dual),
    )
    with torch.device("meta"):
        network = RCDNet(config)

    def layout(ours: str, tensor: Tensor) -> Tensor:
        if ours == "kernels" and tensor.dim() == 5:
            return tensor[USED]
        if not ours.endswith(("_step", "_steps")):
            return tensor
        steps = tensor.flatten()
        if ours == "first_background_step":
            return steps[:1]  # RCDNet_simple stores it before the others
        return steps[1:] if len(steps) == config.stages else steps

    idle = r"eta1$|mnet\."
    return Reading("rcdnet", network, renamed(network, names), idle, order, _CHANNELS, layout)


RCDNET_FORMAT = Format(
    "RCDNet",
    ("rcdnet",),
    "weight0 with w_z_f",
    lambda names: {"weight0", "w_z_f"} <= names,
    read,
)
RCDNET_SIMPLE_FORMAT = Format(
    "RCDNet_simple", ("rcdnet",), "C0 with C_z", lambda names: {"C0", "C_z"} <= names, read_simple
)
