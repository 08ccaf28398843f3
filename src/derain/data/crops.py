"""Random training crops: pairs as they are, or clean images with synthetic rain on the crop.

Item ``index`` depends on (seed, index, patch) alone, whatever the workers and their order, so a
run can be stopped and go on with exactly the crops it would have seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from derain.data.store import Decoding
from derain.io.decode import Image8
from derain.io.pairs import Pair
from derain.rain import RainSynthesizer
from derain.rain.synthesizer import takes_layers_beside

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """Images that are drawn from with a probability proportional to ``weight``.

    With ``rain`` (preset name -> weight) crops of the clean images are rained on; without, the
    pairs' own rainy images are used.
    """

    pairs: Sequence[Pair]
    weight: float
    rain: dict[str, float] | None = None
    augment: Literal["none", "mirror", "dihedral"] = "mirror"  # of own pairs
    enlarge: float = 1.0  # the largest factor by which crops are enlarged
    enlarge_probability: float = 0.0
    layers: Sequence[NDArray[np.uint8]] = ()  # photographs of rain for presets that mix them in


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """(rainy, clean) crops, each (3, patch, patch) uint8; item (index, patch), or index alone.

    Images smaller than the patch are left out; ``left_out`` counts them.

    Args:
        sources: What is drawn from.
        patch: Size of a crop in pixels; the largest that will be asked for.
        seed: Other seeds draw other crops.
        epoch_batch: Items of a batch, for epochs in which no image comes twice: an epoch is as
            many whole batches as the only source has images. 0 draws each item freely.

    Raises:
        ValueError: A source has no image as large as the patch, or an epoch has no whole batch.
    """

    def __init__(
        self, sources: Sequence[Source], patch: int, seed: int = 0, epoch_batch: int = 0
    ) -> None:
        self.patch, self.seed = patch, seed
        self.sources, self.left_out = [], 0
        for source in sources:
            large = [i for i, p in enumerate(source.pairs) if min(p.clean.shape[:2]) >= patch]
            self.left_out += len(source.pairs) - len(large)
            if not large:
                raise ValueError(f"no image of at least {patch}x{patch} in a data source")
            self.sources.append(replace(source, pairs=subset(source.pairs, large)))
        images = len(self.sources[0].pairs)
        if images < epoch_batch:
            raise ValueError(
                f"a batch of {epoch_batch} is more than an epoch's {images} images of at least "
                f"{patch}x{patch}"
            )
        self.epoch = images // epoch_batch * epoch_batch if epoch_batch else 0
        self.synthesizers = [
            {preset: synthesizer(preset, seed, source.layers) for preset in source.rain or {}}
            for source in sources
        ]

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, Tensor]:
        index, patch = (item, self.patch) if isinstance(item, int) else item
        rng = np.random.default_rng((self.seed, index, 1))  # apart from the rain's own draws
        chosen, number = self.choose(index, rng)
        source = self.sources[chosen]
        pair = source.pairs[number]
        height, width = pair.clean.shape[:2]
        factor, size = 1.0, patch
        if source.enlarge > 1 and rng.random() < source.enlarge_probability:
            factor = float(np.exp(rng.uniform(0, np.log(source.enlarge))))
            size = math.ceil(patch / factor)
        top = rng.integers(height - size + 1)
        left = rng.integers(width - size + 1)
        window = slice(top, top + size), slice(left, left + size)
        clean = enlarged(pair.clean[window], patch)
        if source.rain is None:
            symmetries = {"none": 1, "mirror": 2, "dihedral": 8}[source.augment]
            k = 4 * int(rng.integers(2)) if symmetries == 2 else int(rng.integers(symmetries))
            rainy = clean if pair.rainy is None else enlarged(pair.rainy[window], patch)
            return to_tensor(dihedral(rainy, k)), to_tensor(dihedral(clean, k))
        clean = dihedral(clean, int(rng.integers(8)))
        preset = draw(rng, list(source.rain), list(source.rain.values()))
        full_size = (max(patch, round(height * factor)), max(patch, round(width * factor)))
        sample = self.synthesizers[chosen][preset](clean, index=index, full_size=full_size)
        return to_tensor(sample.rainy), to_tensor(sample.target)

    def choose(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """The source of an item, and which of its images it shows."""
        chosen = draw(rng, range(len(self.sources)), [s.weight for s in self.sources])
        drawn = int(rng.integers(len(self.sources[chosen].pairs)))
        return chosen, self.in_epoch(index) if self.epoch else drawn

    def name_of(self, index: int) -> str:
        """The name of the image that an item shows, which is not opened for that."""
        chosen, number = self.choose(index, np.random.default_rng((self.seed, index, 1)))
        pairs = self.sources[chosen].pairs
        return pairs.files[number].name if isinstance(pairs, Decoding) else pairs[number].name

    def in_epoch(self, index: int) -> int:
        """Which image an item of the only source shows."""
        order = permutation(self.seed, index // self.epoch, len(self.sources[0].pairs))
        return int(order[index % self.epoch])


@lru_cache(2)
def permutation(seed: int, epoch: int, count: int) -> NDArray[np.int_]:
    """The order of the images in an epoch."""
    return np.random.default_rng((seed, epoch, 2)).permutation(count)


def subset(pairs: Sequence[Pair], indices: Sequence[int]) -> Sequence[Pair]:
    """Some of the pairs, without decoding any."""
    if isinstance(pairs, Decoding):
        return Decoding([pairs.files[i] for i in indices])
    return [pairs[i] for i in indices]


def draw(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float]) -> T:
    """One item, with a probability proportional to its weight."""
    edges = np.cumsum(weights)
    return items[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def synthesizer(preset: str, seed: int, layers: Sequence[NDArray[np.uint8]]) -> RainSynthesizer:
    """Rain of a preset, with photographs of rain mixed in where the preset says how often."""
    mixes = layers and takes_layers_beside(preset)
    return RainSynthesizer(preset, seed=seed, layers=layers if mixes else None)


def enlarged(crop: Image8, size: int) -> Image8:
    """A square crop at a larger size, (size, size, 3): how a larger photograph would look."""
    if crop.shape[0] == size:
        return crop
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def mirror(image: Image8, flip: bool) -> Image8:
    """The picture, or its left-right mirror image."""
    return image[:, ::-1] if flip else image


def dihedral(image: Image8, k: int) -> Image8:
    """One of the eight flips and rotations of a square image, k in 0..7."""
    return np.ascontiguousarray(np.rot90(mirror(image, k >= 4), k % 4))


def to_tensor(image: Image8) -> Tensor:
    """(H, W, 3) -> (3, H, W), uint8."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def center_crop(pair: Pair, size: int) -> Pair:
    """The middle of a pair, at most ``size`` high and wide, both divisible by 16."""
    height, width = (min(size, length) // 16 * 16 for length in pair.clean.shape[:2])
    top, left = (pair.clean.shape[0] - height) // 2, (pair.clean.shape[1] - width) // 2
    window = slice(top, top + height), slice(left, left + width)
    return Pair(pair.name, pair.clean[window], None if pair.rainy is None else pair.rainy[window])
