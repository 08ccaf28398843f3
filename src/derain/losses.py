"""Training losses. Every function takes float pictures (N, 3, H, W) and returns a scalar."""

import torch.nn.functional as F
from torch import Tensor


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Mean over all elements of sqrt((x - y)^2 + eps^2) (MSPFN, CVPR 2020, Eq. 9)."""
    return (((x - y) ** 2) + eps**2).sqrt().mean()


def laplacian(x: Tensor) -> Tensor:
    """Eight-neighbour Laplacian of each channel (centre 8, others -1), zeros around the picture."""
    return 9 * (x - F.avg_pool2d(x, 3, stride=1, padding=1))


def edge(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Charbonnier distance of the Laplacians (MSPFN, CVPR 2020, Eq. 10)."""
    return charbonnier(laplacian(x), laplacian(y), eps)


def mspfn_loss(
    derained: Tensor, clean: Tensor, edge_weight: float = 0.05, eps: float = 1e-3
) -> Tensor:
    """Charbonnier plus ``edge_weight`` times edge, of pictures in [0, 1].

    The paper's constants belong to pictures in [-1, 1], so that is where the loss is taken,
    in float32: eps^2 = 1e-6 is lost in half precision.
    """
    x, y = 2 * derained.float() - 1, 2 * clean.float() - 1
    return charbonnier(x, y, eps) + edge_weight * edge(x, y, eps)
