"""Training losses. Every function takes float images (N, 3, H, W) and returns a scalar.

``LOSSES`` are those that a recipe can name; they take images in [0, 1], 0 is perfect.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor


def charbonnier(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Mean over all elements of sqrt((x - y)^2 + eps^2) (MSPFN, CVPR 2020, Eq. 1)."""
    return (((x - y) ** 2) + eps**2).sqrt().mean()


def laplacian(x: Tensor) -> Tensor:
    """Eight-neighbour Laplacian of each channel (centre 8, others -1), zeros around the image."""
    return 9 * (x - F.avg_pool2d(x, 3, stride=1, padding=1))


def edge(x: Tensor, y: Tensor, eps: float = 1e-3) -> Tensor:
    """Charbonnier distance of the Laplacians (MSPFN, CVPR 2020, Eq. 2)."""
    return charbonnier(laplacian(x), laplacian(y), eps)


def ssim(x: Tensor, y: Tensor, padding: int = 5) -> Tensor:
    """Mean structural similarity of images (N, C, H, W) in [0, 1], channel by channel.

    Gaussian window of 11x11, sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, in float32. As a loss take its
    negative (DCSFN, ACM MM 2020) or 1 - ssim (MH2F-Net, CVPRW 2021).

    Args:
        x: The one image.
        y: The other, of the same size.
        padding: Zeros around the images: 5 keeps the size, as both papers' code does; 0 uses
            whole windows only, as the metric does.
    """
    channels = x.shape[1]
    offsets = torch.arange(-5, 6, dtype=torch.float32, device=x.device)
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = (line / line.sum()).expand(channels, 1, 11)

    def blur(z: Tensor) -> Tensor:
        rows = F.conv2d(z, line[..., None], padding=(padding, 0), groups=channels)
        return F.conv2d(rows, line[:, :, None], padding=(0, padding), groups=channels)

    x, y = x.float(), y.float()
    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    contrast = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
    return (luminance * contrast).mean()


def fft(x: Tensor, y: Tensor) -> Tensor:
    """Mean absolute difference of the spectra, real and imaginary parts, of each channel.

    After Cho et al. (MIMO-UNet, ICCV 2021), with the orthonormal transform, so that the value does
    not grow with the image. In float32: torch has no transform in half precision on a CPU.
    """
    spectrum = torch.fft.rfft2(x.float() - y.float(), norm="ortho")  # linear: one transform does
    return torch.view_as_real(spectrum).abs().mean()


def signed(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of the images in [-1, 1], in float32: eps^2 = 1e-6 is lost in half precision."""
    return lambda x, y: loss(2 * x.float() - 1, 2 * y.float() - 1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": signed(charbonnier),  # MSPFN's two, whose constants belong to [-1, 1]
    "edge": signed(edge),
    "l1": lambda x, y: F.l1_loss(x.float(), y),
    "mse": lambda x, y: F.mse_loss(x.float(), y),
    "ssim": lambda x, y: 1 - ssim(x, y),
    "fft": fft,
}


def weighted(weights: Mapping[str, float]) -> Callable[[Tensor, Tensor], Tensor]:
    """The sum of named losses: weights -> function of derained and clean images in [0, 1].

    Raises:
        ValueError: An unknown name; lists the known ones.
    """
    if unknown := sorted(weights.keys() - LOSSES.keys()):
        raise ValueError(f"unknown loss {unknown[0]!r}; known: {', '.join(LOSSES)}")
    terms = [(LOSSES[name], weight) for name, weight in weights.items() if weight]
    return lambda x, y: torch.stack([weight * loss(x, y) for loss, weight in terms]).sum()
