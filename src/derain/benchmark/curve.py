"""What an image costs as it grows: time per megapixel and memory, through ``Restorer``."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from derain.benchmark.worker import Failed, Worker

MEGAPIXELS = (0.1, 0.3, 1.0, 4.0, 12.0, 24.0, 50.0, 100.0)
SHORT = 2.0  # seconds; an image that takes less is restored three times


@dataclass(frozen=True)
class CurvePoint:
    """One image."""

    height: int
    width: int
    seconds: float
    seconds_per_megapixel: float
    peak_bytes: int | None  # of the whole process; the image and its result are in it
    image_bytes: int  # the image and its result, uint8


def curve(
    model: str,
    megapixels: Sequence[float] = MEGAPIXELS,
    seconds: float = 60.0,
    options: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> list[CurvePoint]:
    """Restore ever larger images, each in a process of its own.

    Args:
        model: As ``derain.load`` takes it.
        megapixels: Sizes, ascending; images are 3:2.
        seconds: No image is begun that, going by the last one, would not be done by then.
        options: For ``derain.load``.
        note: Told what goes on and why it stopped.

    Raises:
        Failed: The first image could not be restored.
    """
    start = time.monotonic()
    points: list[CurvePoint] = []
    for size in megapixels:
        height = round(math.sqrt(size * 1e6 / 1.5))
        width = round(1.5 * height)
        left = seconds - (time.monotonic() - start)
        if points and points[-1].seconds_per_megapixel * size > left:
            note(f"stopped before {size:g} megapixels: --seconds {seconds:g} would be over")
            break
        note(f"{model}: {size:g} megapixels")
        try:
            points.append(measure_one(model, height, width, options or {}))
        except Failed as error:
            if not points:
                raise
            note(f"stopped at {size:g} megapixels: {error}")
            break
    return points


def measure_one(model: str, height: int, width: int, options: Mapping[str, Any]) -> CurvePoint:
    """Time and memory of one size.

    Raises:
        Failed: It could not be restored.
    """
    worker = Worker(partial(load_restorer, model, height, width, options))
    try:
        runs = [worker()]
        while runs[0].seconds < SHORT and len(runs) < 3:
            runs.append(worker())
    finally:
        worker.close()
    seconds = median(run.seconds for run in runs)
    return CurvePoint(
        height, width, seconds, seconds / (height * width / 1e6), runs[-1].peak, 6 * height * width
    )


def load_restorer(
    model: str, height: int, width: int, options: Mapping[str, Any]
) -> Callable[[], Any]:
    """A restorer, warm, with an image, for ``Worker``."""
    from derain import restore
    from derain.benchmark.backends import scene

    restorer = restore.load(model, **options)
    tile = (scene(512, 512) * 255).astype(np.uint8)
    restorer(tile[:64, :64])
    repeats = (-(-height // 512), -(-width // 512), 1)
    image = np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])
    return lambda: restorer(image)
