"""NLEDN: non-locally enhanced encoder-decoder network (Li et al., ACM MM 2018, arXiv 1808.01491).

Not one of the three papers. An encoder and a decoder of densely connected blocks, each of which
first lets every pixel look at all others of its region. What max-pooling leaves out on the way
down is put back at the same places on the way up. After the authors' test code (AlexHex7/NLEDN),
with one difference: sizes that do not divide by 8 are padded, so that all regions are equally
large; theirs makes the last region of a row smaller. Their weights fit (derain.weights.convert).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.models.blocks import concatenate, on_padded, require_at_least, require_size
from derain.models.network import Network


@dataclass(frozen=True)
class NLEDNConfig:
    """What the authors' release fixes; the paper varies none of it by name."""

    width: int = 64
    growth: int = 32  # channels that a dense layer adds
    layers: int = 4  # dense layers per block

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ValueError: Names the field and what is allowed.
        """
        require_at_least(1, self, "growth", "layers")
        require_at_least(2, self, "width")


class NonLocal(nn.Module):
    """Each pixel plus a mean of all pixels, weighted by likeness: (N, C, H, W) -> the same.

    The pixels that it looks at are max-pooled 2x2. Likeness is a plain product, not divided by
    anything. Starts as the identity. Height and width are at least 2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(width, width // 2, 1) for _ in range(3))
        self.last = nn.Conv2d(width // 2, width, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x)
        key, value = (F.max_pool2d(layer(x), 2) for layer in (self.key, self.value))
        q, k, v = (y.flatten(2).transpose(1, 2)[:, None] for y in (query, key, value))
        mean = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # (N, 1, H * W, C / 2)
        return x + self.last(mean[:, 0].transpose(1, 2).reshape(query.shape))


class DenseBlock(nn.Module):
    """Non-locally enhanced dense block: (N, C, H, W) -> the same.

    Args:
        config: The network's.
        grid: The non-local operation sees ``grid`` x ``grid`` regions, one at a time.
    """

    def __init__(self, config: NLEDNConfig, grid: int) -> None:
        super().__init__()
        self.grid = grid
        widths = [config.width + i * config.growth for i in range(config.layers + 1)]
        self.non_local = NonLocal(config.width)
        self.layers = nn.ModuleList(nn.Conv2d(w, config.growth, 3, padding=1) for w in widths[:-1])
        self.fuse = nn.Conv2d(widths[-1], config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = [join_regions(self.non_local(split_regions(x, self.grid)), self.grid)]
        for layer in self.layers:
            features.append(F.relu(layer(concatenate(*features))))
        return x + self.fuse(concatenate(*features))


class NLEDN(Network[NLEDNConfig]):
    """The whole network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Height and width from 9 up, so that no region is a single row; inside, padded to multiples of 8.
    """

    # Of two almost equal values that are pooled, rounding may make either the larger one, and the
    # value goes back to its place: f32 differs from f64 by up to 3e-4 at such pixels.
    export_tolerance = 1e-3

    def __init__(self, config: NLEDNConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NLEDNConfig()
        width = config.width
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.encoders = nn.ModuleList(DenseBlock(config, grid) for grid in (8, 4, 2))
        self.decoders = nn.ModuleList(DenseBlock(config, grid) for grid in (1, 2, 4))
        self.skips = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(2))
        self.fuse = nn.Sequential(
            nn.Conv2d(3 * width, width, 1), nn.Conv2d(width, width, 3, padding=1)
        )
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    @property
    def minimum_size(self) -> int:
        """So large that no region is a single row."""
        return 9

    @property
    def size_multiple(self) -> int:
        """Three halvings."""
        return 8

    @property
    def receptive_radius(self) -> None:
        """The whole image: every pixel looks at all others of its region."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        require_size(image, self.minimum_size)
        return on_padded(self.derain, image, self.size_multiple)

    def derain(self, image: Tensor) -> Tensor:
        """``forward`` for a height and width that divide by ``size_multiple``."""
        first = self.first(image)
        second = self.second(first)
        whole = self.encoders[0](second)
        half, where_whole = pool(whole)
        quarter, where_half = pool(self.encoders[1](half))
        eighth, where_quarter = pool(self.encoders[2](quarter))
        x = unpool(self.decoders[0](eighth), where_quarter)
        x = unpool(self.decoders[1](self.skips[0](concatenate(quarter, x))), where_half)
        x = unpool(self.decoders[2](self.skips[1](concatenate(half, x))), where_whole)
        x = first + self.fuse(concatenate(second, x, whole))
        return image - torch.tanh(self.last(x))


def split_regions(x: Tensor, grid: int) -> Tensor:
    """(N, C, grid * h, grid * w) -> its regions (N * grid * grid, C, h, w)."""
    channels, height, width = x.shape[1:]
    x = x.reshape(-1, channels, grid, height // grid, grid, width // grid)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // grid, width // grid)


def join_regions(x: Tensor, grid: int) -> Tensor:
    """The reverse of ``split_regions``."""
    channels, height, width = x.shape[1:]
    x = x.reshape(-1, grid, grid, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(-1, channels, grid * height, grid * width)


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """Max-pool 2x2, and where the maxima were.

    Args:
        x: (N, C, 2H, 2W).

    Returns:
        (N, C, H, W), and for each of its values the four of which it is the largest, as
        (N, C, 4, H, W): True at the first that is as large.
    """
    largest = F.max_pool2d(x, 2)
    four = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4))
    equal = four == largest[:, :, None]
    return largest, equal & (equal.cumsum(2) == 1)


def unpool(x: Tensor, where: Tensor) -> Tensor:
    """Put values back where ``pool`` found them: (N, C, H, W) -> (N, C, 2H, 2W), else zeros."""
    return F.pixel_shuffle((x[:, :, None] * where).flatten(1, 2), 2)
