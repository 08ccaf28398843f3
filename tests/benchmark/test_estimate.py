"""Estimates count what the network runs: every tile, at every scale, with what tiles share."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from derain.benchmark.estimate import (
    Cost,
    TimedEngine,
    estimated_seconds,
    measured_cost,
    network_pixels,
    photograph,
    starting_seconds,
)
from derain.engines import Choice
from derain.restore import RestoreOptions, Restorer
from derain.weights.record import Record


class Counting:
    """A network that changes nothing, and counts what it sees."""

    name, device, precision = "test", "CPU", "f32"

    def __init__(self, **record):
        self.record = Record("counting", "counting", size_multiple=8, **record)
        self.pixels, self.images = 0, 0

    def __call__(self, batch):
        self.pixels += batch[0, 0].size
        self.images += 1
        return batch


def counting(**record):
    """A restorer with such a network, and the network."""
    engine = Counting(**record)
    return Restorer(engine, Choice("openvino", "cpu", "test"), budget=20_000_000_000), engine


@pytest.mark.parametrize("size", [(40, 1300), (700, 500), (1111, 1500)])
@pytest.mark.parametrize("tile", ["auto", "off", 256, 300])
@pytest.mark.parametrize("scales", ["1", "2", "2,1", "4,2"])
def test_as_many_pixels_are_counted_as_run(size, tile, scales):
    network, engine = counting(receptive_radius=30)
    options = RestoreOptions(tile, scales)
    network.restore_pixels(np.zeros((*size, 3), np.uint8), options)
    assert network_pixels(network, size[0], size[1], options) == engine.pixels


def test_a_large_image_that_is_worked_on_at_half_size_costs_a_quarter_and_its_overlaps():
    (full, _), (half, _) = counting(), counting(full_scale_size=2600)
    ratio = network_pixels(full, 3000, 4000) / network_pixels(half, 3000, 4000)
    assert 3 < ratio < 5
    assert 3e6 < network_pixels(half, 3000, 4000) < 4.5e6


def test_a_cost_is_that_of_the_network_and_that_of_the_image():
    cost = Cost(2e-6, 1e-7)
    assert cost.seconds(1_000_000, 0) == pytest.approx(0.1)
    assert cost.seconds(1_000_000, 500_000) == pytest.approx(1.1)


def test_the_cost_of_an_image_gives_back_its_time_and_engines_have_their_share():
    network, engine = counting()
    options = RestoreOptions()
    pixels = network_pixels(network, 96, 128, options)
    cost = measured_cost(network, (96, 128), pixels, options)
    assert engine.images == 2
    assert 0 < cost.network * pixels < cost.seconds(96 * 128, pixels)


def test_estimates_run_the_network_on_small_images_alone():
    network, engine = counting(full_scale_size=2600)
    assert estimated_seconds(network, 6000, 8000) > 0
    assert engine.pixels == 2 * (
        576 * 768 + network_pixels(network, 1152, 1536, RestoreOptions(scales="1"))
    )


def test_the_start_is_that_of_a_program_of_its_own():
    before = set(sys.modules)
    assert starting_seconds("openvino") > 0.05  # no interpreter imports NumPy in less
    assert set(sys.modules) == before


def test_a_timed_engine_returns_what_the_engine_returns():
    engine = TimedEngine(Counting())
    batch = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    assert (engine(batch) == batch).all()
    assert engine.seconds > 0


def test_the_sample_compresses_as_photographs_do():
    data = photograph(384, 512)
    assert Image.open(io.BytesIO(data)).size == (512, 384)
    assert 1 < 8 * len(data) / (384 * 512) < 6  # bits per pixel
