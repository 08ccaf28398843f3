"""Random training crops: pairs as they are, or clean pictures with rain made on the crop.

Item ``index`` depends on (seed, index) alone, whatever the workers and their order, so a run can
be stopped and go on with exactly the crops it would have seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from derain.data.pictures import Pair, Picture
from derain.rain import RainSynthesizer

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Pictures that are drawn from with a probability proportional to ``weight``.

    With ``rain`` (preset name -> weight) crops of the clean pictures are rained on; without, the
    pairs' own rainy pictures are used.
    """

    pairs: Sequence[Pair]
    weight: float
    rain: dict[str, float] | None = None


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """(rainy, clean) crops, each (3, patch, patch) uint8.

    Pictures smaller than the patch are left out; ``left_out`` counts them.

    Raises:
        ValueError: A source has no picture as large as the patch.
    """

    def __init__(self, sources: Sequence[Source], patch: int, seed: int = 0) -> None:
        self.patch, self.seed = patch, seed
        self.sources, self.left_out = [], 0
        for source in sources:
            large = [p for p in source.pairs if min(p.clean.shape[:2]) >= patch]
            self.left_out += len(source.pairs) - len(large)
            if not large:
                raise ValueError(f"no picture of at least {patch}x{patch} in a data source")
            self.sources.append(Source(large, source.weight, source.rain))
        self.synthesizers = {
            preset: RainSynthesizer(preset, seed=seed)
            for source in sources
            for preset in source.rain or {}
        }

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, index, 1))  # apart from the rain's own draws
        source = draw(rng, self.sources, [s.weight for s in self.sources])
        pair = source.pairs[rng.integers(len(source.pairs))]
        height, width = pair.clean.shape[:2]
        top = rng.integers(height - self.patch + 1)
        left = rng.integers(width - self.patch + 1)
        window = slice(top, top + self.patch), slice(left, left + self.patch)
        clean = pair.clean[window]
        if source.rain is None:
            # Real and drawn rain falls: mirroring keeps its direction likely, rotating does not.
            flip = bool(rng.integers(2))
            rainy = clean if pair.rainy is None else pair.rainy[window]
            return to_tensor(mirror(rainy, flip)), to_tensor(mirror(clean, flip))
        clean = dihedral(clean, int(rng.integers(8)))
        preset = draw(rng, list(source.rain), list(source.rain.values()))
        sample = self.synthesizers[preset](clean, index=index, full_size=(height, width))
        return to_tensor(sample.rainy), to_tensor(sample.target)


def draw(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float]) -> T:
    """One item, with a probability proportional to its weight."""
    edges = np.cumsum(weights)
    return items[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def mirror(picture: Picture, flip: bool) -> Picture:
    """The picture, or its left-right mirror image."""
    return picture[:, ::-1] if flip else picture


def dihedral(picture: Picture, k: int) -> Picture:
    """One of the eight flips and rotations of a square picture, k in 0..7."""
    return np.ascontiguousarray(np.rot90(mirror(picture, k >= 4), k % 4))


def to_tensor(picture: Picture) -> Tensor:
    """(H, W, 3) -> (3, H, W), uint8."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def center_crop(pair: Pair, size: int) -> Pair:
    """The middle of a pair, at most ``size`` on each side, sides divisible by 16."""
    height, width = (min(size, side) // 16 * 16 for side in pair.clean.shape[:2])
    top, left = (pair.clean.shape[0] - height) // 2, (pair.clean.shape[1] - width) // 2
    window = slice(top, top + height), slice(left, left + width)
    return Pair(pair.name, pair.clean[window], None if pair.rainy is None else pair.rainy[window])
