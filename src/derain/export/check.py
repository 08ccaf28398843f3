"""A written file is kept only if it computes what torch does at f32."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from derain.engines import ENGINES, Batch
from derain.models import Network

AGREEMENT = {"f16": 60.0, "bf16": 45.0}  # dB, PSNR against torch at f32 that halves must reach

RunBatch = Callable[[Batch], Batch]
Size = tuple[int, int]  # height, width


class Agreement(NamedTuple):
    """How a file compares with torch at f32, at worst."""

    difference: float  # of any output value in [0, 1]
    psnr: float  # dB


def save_checked(
    target: Path,
    save: Callable[[Path], None],
    reference: RunBatch,
    multiple: int,
    precision: str,
    size: Size | None,
    tolerance: float = Network.export_tolerance,
) -> Agreement:
    """Save into a folder beside the target, check there, and move what has passed into place.

    Raises:
        ValueError: The file disagrees with the reference.
    """
    if not target.parent.is_dir():
        raise ValueError(f"{target}: there is no folder {target.parent}")
    with tempfile.TemporaryDirectory(prefix=f".{target.stem}.partial.", dir=target.parent) as work:
        partial = Path(work) / target.name
        save(partial)
        agreement = compare(partial, reference, multiple, size)
        difference, psnr = agreement
        if precision == "f32" and not difference <= tolerance:
            raise ValueError(f"{target}: what was exported differs from torch by {difference:.1e}")
        if precision != "f32" and not psnr >= AGREEMENT[precision]:
            raise ValueError(
                f"{target}: with weights in {precision} it agrees with f32 to {psnr:.1f} dB alone "
                f"({AGREEMENT[precision]:g} are asked for); use --precision f32"
            )
        for path in sorted(partial.parent.iterdir(), key=lambda p: p.suffix == target.suffix):
            path.replace(target.with_name(path.name))  # the file that people name comes last
    return agreement


def compare(path: Path, reference: RunBatch, multiple: int, size: Size | None) -> Agreement:
    """Run a written file on images and compare, with every engine here that can run it."""
    unit = max(multiple, 16)  # both powers of 2
    sizes = [size] if size else [(4 * unit, 4 * unit), (7 * unit, 2 * unit)]
    images = [image(*one) for one in sizes]
    difference, psnr = 0.0, np.inf
    expected = [reference(one) for one in images]
    for run in runners(path):
        for one, right in zip(images, expected, strict=True):
            errors = run(one).astype(np.float64) - right
            difference = max(difference, float(np.abs(errors).max()))
            psnr = min(psnr, float(-10 * np.log10(max(np.mean(errors**2), 1e-20))))
    return Agreement(difference, psnr)


def runners(path: Path) -> Iterator[RunBatch]:
    """What runs a written file at f32."""
    if path.suffix == ".pt2":
        program = torch.export.load(path).module()
        yield lambda batch: program(torch.from_numpy(batch)).detach().numpy()
        return
    for spec in ENGINES.values():
        if path.suffix in spec.suffixes and spec.installed:
            yield spec.load(path, "cpu", "f32", None)


def image(height: int, width: int) -> Batch:
    """(1, 3, H, W) in [0, 1]: smooth as a photograph's sky, its left third random."""
    y, x = np.mgrid[:height, :width] / 64
    scene = np.stack([np.sin(x + n) * np.cos(y - n) for n in range(3)]) / 2 + 0.5
    third = width // 3
    scene[..., :third] = np.random.default_rng(0).random((3, height, third))
    return scene[None].astype(np.float32)
