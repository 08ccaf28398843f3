"""How long an image will take, from a smaller one that goes the whole way: file to file."""

import subprocess
import sys
import time
from typing import NamedTuple

import cv2
import numpy as np

from derain.batch import BatchSettings, restore_data
from derain.engines import ENGINES, Batch, Engine
from derain.io.decode import DecodedImage
from derain.io.encode import encode_image
from derain.restore import RestoreOptions, Restorer
from derain.scales import scaled_size
from derain.tile_budget import overlap_for
from derain.tiles import tiled_pixels

SAMPLE = (576, 768)  # pixels that the network meets at the coarsest scale of the smaller image


class Cost(NamedTuple):
    """Seconds per pixel."""

    network: float  # per pixel that the network runs
    rest: float  # per pixel of the image: decoding, scales, tiles, encoding

    def seconds(self, image: int, network: int) -> float:
        """The time for an image of so many pixels, for which the network runs so many."""
        return self.network * network + self.rest * image


class TimedEngine:
    """An engine that adds up how long it runs.

    Attributes:
        seconds: What all calls so far took together.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine, self.record, self.name = engine, engine.record, engine.name
        self.device, self.precision = engine.device, engine.precision
        self.seconds = 0.0

    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same shape, unclipped."""
        start = time.perf_counter()
        result = self.engine(batch)
        self.seconds += time.perf_counter() - start
        return result


def starting_seconds(engine: str) -> float:
    """How long `derain restore` takes before it loads a model: the interpreter and all imports.

    Args:
        engine: A key of ``ENGINES``.
    """
    program = f"import derain.cli, derain.batch, {ENGINES[engine].module}"
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - start


def estimated_seconds(restorer: Restorer, height: int, width: int) -> float:
    """About how long `derain restore` works on a JPEG of a size, once it has started.

    Args:
        restorer: Is run twice, on an image as small as tells enough.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
    """
    scales = restorer.scales_for(height, width)
    sample = min(SAMPLE[0] * scales[0], height), min(SAMPLE[1] * scales[0], width)
    options = RestoreOptions(scales=",".join(map(str, scales)))
    network = network_pixels(restorer, *sample, options)
    cost = measured_cost(restorer, sample, network, options)
    return cost.seconds(height * width, network_pixels(restorer, height, width))


def network_pixels(
    restorer: Restorer, height: int, width: int, options: RestoreOptions | None = None
) -> int:
    """How many pixels the network runs for an image: at all scales, in all tiles.

    Args:
        restorer: Its record says how tiles overlap.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        options: Tile and scales; the defaults where it is None.
    """
    options = options or RestoreOptions()
    tile, record = restorer.tile_for(height, width, options.tile), restorer.record
    overlap = overlap_for(record, tile)
    return sum(
        tiled_pixels(scaled_size((height, width), scale), tile, overlap, record.size_multiple)
        for scale in restorer.scales_for(height, width, options.scales)
    )


def measured_cost(
    restorer: Restorer, size: tuple[int, int], network: int, options: RestoreOptions
) -> Cost:
    """What an image costs per pixel.

    Args:
        restorer: Is run twice, of which the second time counts.
        size: Height and width of the image.
        network: Pixels that the network runs for it.
        options: How it is restored.
    """
    data, seconds = photograph(*size), 0.0
    engine = TimedEngine(restorer.engine)
    timed = Restorer(engine, restorer.choice, budget=restorer.budget)
    for _ in range(2):
        engine.seconds, start = 0.0, time.perf_counter()
        restore_data(data, "the sample", timed, BatchSettings(options=options))
        seconds = time.perf_counter() - start
    return Cost(engine.seconds / network, (seconds - engine.seconds) / (size[0] * size[1]))


def photograph(height: int, width: int) -> bytes:
    """A JPEG with as much detail as photographs have: smooth shapes under a camera's noise."""
    rng = np.random.default_rng(0)
    shapes = rng.uniform(30, 225, (height // 32 + 2, width // 32 + 2, 3)).astype(np.float32)
    smooth = cv2.resize(shapes, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = smooth + rng.standard_normal((height, width, 1), np.float32) * 4
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return encode_image(DecodedImage(pixels, "JPEG"))
