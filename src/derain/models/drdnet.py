"""DRD-Net: detail-recovery network (Deng et al., CVPR 2020).

Not one of the three papers. One sub-network finds the rain with squeeze-and-excitation blocks; a
second one, of dilated context blocks, puts back the detail that went with it. After the authors'
code (Dengsgithub/DRD-Net), which gives the second one the sum of both images, where the paper gives
it the rainy one. No weights are published in a form that can be read here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from derain.models.blocks import attend, concatenate, require_at_least, require_one_of
from derain.models.network import Network

DILATIONS = (1, 3, 5)


@dataclass(frozen=True)
class DRDNetConfig:
    """The paper's numbers, and where its code differs from it."""

    width: int = 64
    blocks: int = 16  # per sub-network
    squeezed: int = 4  # channels inside the squeeze and excitation
    detail_input: Literal["sum", "rainy"] = "sum"  # as the code does; "rainy" as the paper says

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "width", "blocks", "squeezed")
        require_one_of(self, detail_input=("sum", "rainy"))


class HardSigmoid(nn.Module):
    """As Keras has it: a line of slope 0.2, cut at 0 and 1; torch's has a slope of 1/6."""

    def forward(self, x: Tensor) -> Tensor:
        return (0.2 * x + 0.5).clamp(0, 1)


class RainBlock(nn.Module):
    """Squeeze-and-excitation residual block: (N, C, H, W) -> the same."""

    def __init__(self, config: DRDNetConfig) -> None:
        super().__init__()
        self.body = body(config, lambda width: convolution(width, width))
        self.gate = nn.Sequential(
            nn.Conv2d(config.width, config.squeezed, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.squeezed, config.width, 1, bias=False),
            HardSigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + attend(self.body(x), self.gate, None, 1)


class Context(nn.Module):
    """Three convolutions of different dilation, side by side, merged: (N, C, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(convolution(width, width, 3, dilation=d) for d in DILATIONS)
        self.merge = convolution(len(DILATIONS) * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(concatenate(*(path(x) for path in self.paths)))


class DetailBlock(nn.Module):
    """Residual block of two contexts: (N, C, H, W) -> the same."""

    def __init__(self, config: DRDNetConfig) -> None:
        super().__init__()
        self.body = body(config, Context)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SubNetwork(nn.Module):
    """An image (N, 3, H, W) -> what is to be taken from or added to one, the same shape."""

    def __init__(self, config: DRDNetConfig, block: type[RainBlock] | type[DetailBlock]) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Sequential(convolution(3, width), nn.PReLU(width, init=0.0))
        self.blocks = nn.Sequential(
            *(block(config) for _ in range(config.blocks)),
            convolution(width, width),
            normalisation(width),
        )
        self.last = convolution(width, 3)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        return self.last(x + self.blocks(x))


class DRDNet(Network[DRDNetConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Any height and width from 1 up.
    """

    def __init__(self, config: DRDNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DRDNetConfig()
        self.rain = SubNetwork(config, RainBlock)
        self.detail = SubNetwork(config, DetailBlock)

    @property
    def receptive_radius(self) -> None:
        """The whole image: the excitation averages over it."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        return self.estimates(image)[-1]

    def estimates(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The image without rain, and the same with its detail."""
        smooth = image - self.rain(image)
        known = smooth + image if self.config.detail_input == "sum" else image
        return smooth, smooth + self.detail(known)


def body(config: DRDNetConfig, layer: Callable[[int], nn.Module]) -> nn.Sequential:
    """Two layers of a kind with normalisation, PReLU between them."""
    width = config.width
    return nn.Sequential(
        layer(width), normalisation(width), nn.PReLU(width, init=0.0),
        layer(width), normalisation(width),
    )  # fmt: skip


def convolution(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> nn.Conv2d:
    """Keeps the size; initialised as the authors do."""
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def normalisation(width: int) -> nn.BatchNorm2d:
    """Batch normalisation with the constants of Keras."""
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
