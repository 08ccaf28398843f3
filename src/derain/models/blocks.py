"""What two or more networks share."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless the condition holds: configurations check themselves."""
    if not condition:
        raise ValueError(message)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad the right and bottom so that height and width divide by ``multiple``.

    Reflects where the side is long enough and repeats the last row or column where it is not.

    Args:
        image: (N, C, H, W).
        multiple: At least 1.

    Returns:
        (N, C, H', W') with H' and W' the next multiples; the input itself if nothing is missing.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if bottom == 0 and right == 0:
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def on_padded(network: Callable[[Tensor], Tensor], image: Tensor, multiple: int) -> Tensor:
    """Run a network on the image padded to a multiple of ``multiple``, and crop the result."""
    height, width = image.shape[-2:]
    return network(pad_to_multiple(image, multiple))[..., :height, :width]


def concatenate(*features: Tensor) -> Tensor:
    """Join feature maps of equal size along their channels."""
    return torch.cat(features, dim=1)
