"""The conventions by which papers measure PSNR and SSIM; a number without one means nothing.

Source: specs/metrics.md, section 2, with the evidence for each. On Rain100H's rainy inputs `rgb`
lies 1.4 dB below `y`; `y_float` moves the fourth digit only.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from derain.metrics.colour import luma, luma_uint8
from derain.metrics.inputs import AnyImage, Plane, as_rgb_values, check_same_size


@dataclass(frozen=True)
class Protocol:
    """One convention for PSNR and SSIM."""

    name: str
    channels: Literal["y_uint8", "y_float", "rgb"]
    used_by: str
    downsample: bool = False  # SSIM first shrinks images of 384 pixels and more
    border: Literal["valid", "zero"] = "valid"  # SSIM without a border, or zero-padded to full size
    equal_psnr: float = np.inf  # dB, the PSNR of equal images
    takes_floats: bool = False  # measures outputs in [0, 1] that were never quantised


PROTOCOLS = {
    "y": Protocol("y", "y_uint8", "MSPFN, MPRNet and followers; DRSformer on Rain200L/H"),
    "y_float": Protocol(
        "y_float", "y_float", "PReNet, RCDNet; DRSformer on DID and DDN", downsample=True
    ),
    "rgb": Protocol("rgb", "rgb", "derain"),
    "dcsfn": Protocol("dcsfn", "rgb", "DCSFN", border="zero", equal_psnr=100.0, takes_floats=True),
}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        ValueError: Unknown name; the message lists the known ones.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def planes(image: AnyImage, protocol: Protocol) -> Plane:
    """Return the channels that a protocol measures: (C, H, W) float64 on the scale 0..255."""
    if protocol.channels == "y_uint8":
        return luma_uint8(image)[None].astype(np.float64)
    if protocol.channels == "y_float":
        return luma(image)[None]
    return np.moveaxis(as_rgb_values(image, protocol.takes_floats), -1, 0)


def plane_pair(image: AnyImage, reference: AnyImage, protocol: Protocol) -> tuple[Plane, Plane]:
    """Return `planes` of two images of one size.

    Raises:
        ValueError: The sizes differ, or an image is not one that the protocol takes.
    """
    check_same_size(image, reference)
    return planes(image, protocol), planes(reference, protocol)
