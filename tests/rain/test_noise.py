import math

import numpy as np
import pytest

from derain.rain import noise
from derain.rain.noise import NoiseLayer
from derain.rain.statistics import dominant_angle, orientation

LAYER = NoiseLayer(amount=0.1, grain=1.5, angle=90, length=20, black=0.3, white=0.98)


@pytest.mark.parametrize("angle", [0, 17, 45, 62.5, 90, 133])
def test_short_line_kernel_has_its_angle_and_sum(angle):
    kernel = noise.line_kernel(7, angle)
    y, x = np.indices(kernel.shape) - kernel.shape[0] // 2
    xx, yy, xy = ((kernel * p).sum() for p in (x * x, y * y, -x * y))
    found = 0.5 * math.degrees(math.atan2(2 * xy, xx - yy)) % 180
    assert kernel.sum() == pytest.approx(1)
    assert abs((found - angle + 90) % 180 - 90) < 1


def test_line_kernel_is_as_long_as_asked():
    kernel = noise.line_kernel(20, 0)
    x = np.arange(kernel.shape[1]) - kernel.shape[1] // 2
    sd = math.sqrt((kernel.sum(axis=0) * x**2).sum())
    assert sd * math.sqrt(12) == pytest.approx(20, rel=0.03)  # of a uniform line


@pytest.mark.parametrize("angle", [30, 60, 90, 120, 150])
def test_direction_is_the_one_asked_for(angle):
    layer = NoiseLayer(amount=0.1, grain=1.5, angle=angle, length=30, black=0.3, white=0.98)
    rain = noise.render(layer, (256, 256), np.random.default_rng(angle)) * 255
    histogram, _ = orientation(rain, np.ones(rain.shape, bool))
    assert abs(dominant_angle(histogram) - angle) <= 2.5


def test_levels_stretch_between_the_quantiles():
    ramp = np.linspace(0, 1, 101, dtype=np.float32)
    out = noise.levels(ramp, 0.2, 0.8, 2)
    assert out[20] == pytest.approx(0, abs=1e-6)
    assert out[50] == pytest.approx(0.25, abs=1e-3)
    assert out[80] == pytest.approx(1, abs=1e-6)


def test_scaling_to_a_mean_or_a_quantile():
    rain = noise.render(LAYER, (128, 128), np.random.default_rng(0))
    assert noise.with_mean(rain, 0.07).mean() == pytest.approx(0.07, rel=1e-4)
    assert np.quantile(noise.with_quantile(rain, 0.9, 0.3), 0.9) == pytest.approx(0.3, rel=1e-4)


def test_an_empty_layer_stays_empty():
    assert not noise.with_mean(np.zeros((4, 4), np.float32), 0.1).any()
