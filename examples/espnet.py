"""A model of one's own for `derain downstream`: ESPNet on CamVid, from its authors' checkpoint.

    derain downstream --task segment --ann CAMVID/masks --ignore 11 --clean CAMVID/images \
        --rain preset:rain100h --model python:examples/espnet.py:espnet:espnet_p_2_q_8_camvid.pth

ESPNet (Mehta et al., ECCV 2018), p = 2, q = 8, wired as in the first version of sacmehta/ESPNet,
which the checkpoint belongs to: the last convolution takes level 1 joined with the halved image.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CLASSES = 12  # of CamVid, the last one void
MEAN = (110.33103, 108.40886, 105.03319)  # BGR, of the training images' 0 to 255
STD = (72.12571, 72.69075, 69.90435)


class Conv(nn.Module):
    """A convolution without bias that keeps the size, apart from its stride."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        padding = dilation * (size - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.conv(x)


class BR(nn.Module):
    """Batch norm and PReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.act(self.bn(x))


class ESP(nn.Module):
    """Efficient spatial pyramid: reduce, five dilations, sums of them side by side."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        width = outputs // 5
        first = outputs - 4 * width
        self.c1 = Conv(inputs, width, 3 if stride == 2 else 1, stride)
        self.d1 = Conv(width, first, 3)
        self.d2, self.d4, self.d8, self.d16 = (Conv(width, width, 3, 1, d) for d in (2, 4, 8, 16))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs, H / stride, W / stride)."""
        reduced = self.c1(x)
        y2, y4 = self.d2(reduced), self.d4(reduced)
        y8, y16 = self.d8(reduced), self.d16(reduced)
        sums = [y2, y2 + y4, y2 + y4 + y8, y2 + y4 + y8 + y16]
        return torch.cat([self.d1(reduced), *sums], 1)


class Down(ESP):
    """Half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, stride=2)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs, H / 2, W / 2)."""
        return self.act(self.bn(super().forward(x)))


class Block(ESP):
    """A pyramid, added to its input where ``add``."""

    def __init__(self, inputs: int, outputs: int, add: bool = True) -> None:
        super().__init__(inputs, outputs)
        self.bn = BR(outputs)
        self.add = add

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs, H, W)."""
        y = super().forward(x)
        return self.bn(x + y if self.add else y)


class ConvBR(Conv):
    """Convolution of 3x3, batch norm and PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return self.act(self.bn(super().forward(x)))


class Encoder(nn.Module):
    """Three levels, joined with the reduced image."""

    def __init__(self) -> None:
        super().__init__()
        self.level1, self.b1 = ConvBR(3, 16, stride=2), BR(19)
        self.level2_0 = Down(19, 64)
        self.level2 = nn.ModuleList([Block(64, 64) for _ in range(2)])
        self.b2, self.level3_0 = BR(131), Down(131, 128)
        self.level3 = nn.ModuleList([Block(128, 128) for _ in range(8)])
        self.b3, self.classifier = BR(256), Conv(256, CLASSES, 1)
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at a half, a quarter (131 channels) and class scores at an eighth."""
        half = self.pool(image)
        c0 = self.b1(torch.cat([self.level1(image), half], 1))
        y = d2 = self.level2_0(c0)
        for block in self.level2:
            y = block(y)
        c1 = self.b2(torch.cat([y, d2, self.pool(half)], 1))
        z = d3 = self.level3_0(c1)
        for block in self.level3:
            z = block(z)
        return c0, c1, self.classifier(self.b3(torch.cat([d3, z], 1)))


class ESPNet(nn.Module):
    """(N, 3, H, W) normalised BGR, sides divisible by 8 -> (N, 12, H, W) class scores."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.br = nn.BatchNorm2d(CLASSES, eps=1e-3)
        self.up_l3 = nn.Sequential(self._up())
        self.level3_C = Conv(131, CLASSES, 1)
        self.combine_l2_l3 = nn.Sequential(BR(24), Block(24, CLASSES, add=False))
        self.up_l2 = nn.Sequential(self._up(), BR(CLASSES))
        self.conv = ConvBR(31, CLASSES)
        self.classifier = self._up()

    @staticmethod
    def _up() -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(CLASSES, CLASSES, 2, 2, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        c0, c1, s = self.encoder(image)
        u = self.up_l3(self.br(s))
        v = self.up_l2(self.combine_l2_l3(torch.cat([self.level3_C(c1), u], 1)))
        return self.classifier(self.conv(torch.cat([v, c0], 1)))


class Espnet:
    """The segmenter that `derain downstream` calls."""

    num_classes = CLASSES

    def __init__(self, weights: Path) -> None:
        torch.set_flush_denormal(True)  # tiny activations would make it three times slower
        self.name = weights.stem
        self.network = ESPNet().eval()
        self.network.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))

    @torch.inference_mode()
    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.int64]]:
        """(H, W, 3) RGB, sides divisible by 8 -> the class (H, W) of each pixel."""
        return [self._classes(image) for image in images]

    def _classes(self, image: NDArray[np.uint8]) -> NDArray[np.int64]:
        values = (image[..., ::-1].astype(np.float32) - MEAN) / STD / 255
        batch = torch.from_numpy(values.astype(np.float32).transpose(2, 0, 1)[None].copy())
        return self.network(batch)[0].argmax(0).numpy()


def espnet(weights: str) -> Espnet:
    """The model, from its checkpoint."""
    return Espnet(Path(weights))
