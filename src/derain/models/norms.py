"""Normalisation by the statistics of the very image, as DDN, UMRL and DID-MDN are tested."""

from typing import Literal

import torch
from torch import Tensor, nn

Statistics = Literal["image", "running"]
STATISTICS = ("image", "running")


class ImageNorm2d(nn.BatchNorm2d):
    """Batch normalisation that outside training takes each image's own mean and variance.

    In training it is ``nn.BatchNorm2d``. Authors who leave a network in training mode and feed it
    one image at a time compute this. Results depend on the whole image: a tile gives others.

    Args:
        width: Channels.
        eps: Added to the variance.
        track_running_stats: Whether to keep running statistics too, which checkpoints may hold.
    """

    def __init__(self, width: int, eps: float = 1e-5, track_running_stats: bool = False) -> None:
        super().__init__(width, eps=eps, track_running_stats=track_running_stats)

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        # In two steps, the first of which makes a flat map exactly zero: of its mean alone the
        # rounding would be left, and be divided by the root of eps in every layer.
        x = x - x[..., :1, :1]
        x = x - x.mean(dim=(2, 3), keepdim=True)
        x = x * torch.rsqrt((x * x).mean(dim=(2, 3), keepdim=True) + self.eps)
        return (x * self.weight[:, None, None] + self.bias[:, None, None]).to(input.dtype)
