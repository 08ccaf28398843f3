"""How well a network does on the validation pairs, as a number and as images."""

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from derain.data.crops import to_tensor
from derain.io.atomic import write_atomically
from derain.io.pairs import Pair
from derain.training.feed import to_float

SAMPLES = 4  # pairs shown


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """bf16 where it is asked for, or ``auto`` and the device multiplies matrices in it."""
    cpu = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    fast = precision == "bf16" or (precision == "auto" and (cpu or device.type == "cuda"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


@torch.no_grad()
def validate(
    network: nn.Module, pairs: list[Pair], device: torch.device, precision: str = "auto"
) -> tuple[float, list[NDArray[np.uint8]]]:
    """Mean PSNR over RGB (dB) and the first results.

    To watch a run by; the numbers to quote come from evaluation.

    Returns:
        The mean; and for the first pairs rainy, derained and clean side by side, (H, 3W, 3).
    """
    values: list[float] = []
    strips: list[NDArray[np.uint8]] = []
    for pair in pairs:
        assert pair.rainy is not None
        rainy, clean = (to_float(to_tensor(p)[None], device) for p in (pair.rainy, pair.clean))
        with autocast(device, precision):
            derained = network(rainy)
        derained = derained.float().clamp(0, 1)
        values.append(psnr((derained - clean).square().mean().item()))
        if len(strips) < SAMPLES:
            levels = (255 * derained[0]).round().nan_to_num().byte().permute(1, 2, 0).cpu().numpy()
            strips.append(np.hstack([pair.rainy, levels, pair.clean]))
    return float(np.mean(values)), strips


def input_psnr(pairs: list[Pair]) -> float:
    """Mean PSNR over RGB (dB) of the rainy images themselves."""
    errors = [
        float(np.square(pair.rainy / 255.0 - pair.clean / 255.0).mean())
        for pair in pairs
        if pair.rainy is not None
    ]
    return float(np.mean([psnr(error) for error in errors]))


def psnr(error: float) -> float:
    """Mean square error of images in [0, 1] -> dB; 100 at most, NaN for NaN."""
    return float(-10 * np.log10(np.maximum(error, 1e-10)))


def save_strips(path: Path, strips: list[NDArray[np.uint8]]) -> None:
    """Write the strips of ``validate`` below each other into one JPEG."""
    width = max(strip.shape[1] for strip in strips)
    rows = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0))) for s in strips]
    _, data = cv2.imencode(".jpg", np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_atomically(path, data.tobytes())
