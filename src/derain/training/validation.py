"""How well a network does on the validation pairs, as numbers and as images."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from derain.data.crops import to_tensor
from derain.io.atomic import write_atomically
from derain.training.sources import ValidationPair
from derain.training.step import autocast, to_float

SAMPLES = 4  # pairs shown


class Validation(NamedTuple):
    """What a network makes of the validation pairs; PSNR over RGB, in dB."""

    psnr: float | None  # mean over all pairs; None without any
    by_kind: dict[str, float]  # kind of rain -> mean over its pairs
    strips: list[NDArray[np.uint8]]  # rainy, derained, clean of the first pairs, (H, 3W, 3)

    @property
    def balanced(self) -> float | None:
        """Mean over the kinds of rain, each of which counts the same; it chooses the best."""
        return float(np.mean(list(self.by_kind.values()))) if self.by_kind else None

    @property
    def is_finite(self) -> bool:
        """Whether the network made an image of every pair."""
        return self.psnr is None or bool(np.isfinite(self.psnr))


@torch.no_grad()
def validate(
    network: nn.Module,
    pairs: Sequence[ValidationPair],
    device: torch.device,
    precision: str = "auto",
) -> Validation:
    """Run a network over pairs, to watch a training by.

    The numbers to quote come from evaluation.
    """
    values: list[float] = []
    strips: list[NDArray[np.uint8]] = []
    for pair, _ in pairs:
        assert pair.rainy is not None
        rainy, clean = (to_float(to_tensor(p)[None], device) for p in (pair.rainy, pair.clean))
        with autocast(device, precision):
            derained = network(rainy)
        derained = derained.float().clamp(0, 1)
        values.append(psnr((derained - clean).square().mean().item()))
        if len(strips) < SAMPLES:
            levels = (255 * derained[0]).round().nan_to_num().byte().permute(1, 2, 0).cpu().numpy()
            strips.append(np.hstack([pair.rainy, levels, pair.clean]))
    mean = float(np.mean(values)) if values else None
    return Validation(mean, mean_by_kind(values, (p.kind for p in pairs)), strips)


def mean_by_kind(values: Iterable[float], kinds: Iterable[str]) -> dict[str, float]:
    """The mean of the values of each kind, in alphabetical order of the kinds."""
    groups: dict[str, list[float]] = {}
    for value, kind in zip(values, kinds, strict=True):
        groups.setdefault(kind, []).append(value)
    return {kind: float(np.mean(groups[kind])) for kind in sorted(groups)}


def psnr(error: float) -> float:
    """Mean square error of images in [0, 1] -> dB; 100 at most, NaN for NaN."""
    return float(-10 * np.log10(np.maximum(error, 1e-10)))


def save_strips(path: Path, strips: list[NDArray[np.uint8]]) -> None:
    """Write the strips of ``validate``, at least one, below each other into one JPEG."""
    width = max(strip.shape[1] for strip in strips)
    rows = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0))) for s in strips]
    _, data = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_atomically(path, data.tobytes())
