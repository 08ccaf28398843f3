import math
from dataclasses import replace

import numpy as np
import pytest

from derain.rain import streaks
from derain.rain.statistics import dominant_angle, orientation
from derain.rain.streaks import StreakGroup, Streaks

GROUP = StreakGroup(density=20, angle=90, length=40, width=2, peak=0.2)


@pytest.mark.parametrize("width", [1.5, 2.0, 3.0, 4.5, 6.0])
def test_peak_and_width_of_one_long_streak(width):
    """Averaged over sub-pixel positions, as the eye does along a streak that is not quite level."""
    group = replace(GROUP, angle=0, width=width, peak=0.3)
    rows, profile, variances = np.arange(64), np.zeros(64), []
    for y in 32 + np.arange(8) / 8:
        one = Streaks(*(np.array([v]) for v in (32.0, y, 200.0, 0.0, group.peak)))
        profile = streaks.draw(one, group, (64, 64))[:, 32].astype(float)
        assert (rows * profile).sum() / profile.sum() == pytest.approx(y, abs=0.01)
        variances.append(((rows - y) ** 2 * profile).sum() / profile.sum())
    sd = math.sqrt(np.mean(variances))
    assert profile.sum() / (sd * math.sqrt(2 * math.pi)) == pytest.approx(0.3, rel=0.10)
    assert 2.355 * sd == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("combine", ["add", "max"])
@pytest.mark.parametrize("angle", [30, 60, 90, 120, 150])
def test_direction_is_the_one_asked_for(angle, combine):
    group = replace(GROUP, angle=angle, combine=combine, length=60)
    rain = streaks.render(group, (256, 256), np.random.default_rng(angle)) * 255
    histogram, _ = orientation(rain, np.ones(rain.shape, bool))
    assert abs(dominant_angle(histogram) - angle) <= 2.5


@pytest.mark.parametrize("length_sd", [0.0, 0.45])
@pytest.mark.parametrize("profile", ["soft", "flat", "tail"])
def test_soft_density_gives_the_wanted_mean(profile, length_sd):
    group = replace(GROUP, profile=profile, length_sd=length_sd, peak_sd=0.4)
    group = replace(group, density=streaks.soft_density(0.08, group))
    means = [
        streaks.render(group, (256, 256), np.random.default_rng(seed)).mean() for seed in range(20)
    ]
    assert np.mean(means) == pytest.approx(0.08, rel=0.10)


@pytest.mark.parametrize("angle", [90, 70, 30])
@pytest.mark.parametrize("width", [1.0, 2.0])
def test_bar_density_gives_the_wanted_mean(width, angle):
    group = replace(
        GROUP, combine="max", width=width, angle=angle, length=60, peak=0.3, length_sd=0.45
    )
    group = replace(group, density=streaks.bar_density(0.08, group))
    means = [
        streaks.render(group, (256, 256), np.random.default_rng(seed)).mean() for seed in range(20)
    ]
    assert np.mean(means) == pytest.approx(0.08, rel=0.10)


def test_bars_do_not_add_up():
    group = replace(GROUP, combine="max", density=200)
    layer = streaks.render(group, (128, 128), np.random.default_rng(0))
    grey = np.float32(0.2)
    assert set(np.unique(layer)) == {np.float32(0), np.float32(0.4) * grey, grey}


def test_soft_streaks_add_up():
    layer = streaks.render(replace(GROUP, density=200), (128, 128), np.random.default_rng(0))
    assert layer.max() > 2 * GROUP.peak


def test_border_gets_as_much_rain_as_the_middle():
    group = replace(GROUP, density=30, length=80, length_sd=0.4)
    layers = [streaks.render(group, (160, 160), np.random.default_rng(s)) for s in range(40)]
    mean = np.mean(layers, axis=0)
    border = np.concatenate([mean[:20], mean[-20:]])
    assert border.mean() == pytest.approx(mean[60:100].mean(), rel=0.05)


def test_blur_keeps_the_light():
    sharp = streaks.render(GROUP, (200, 200), np.random.default_rng(1))
    soft = streaks.render(replace(GROUP, blur=4), (200, 200), np.random.default_rng(1))
    assert soft.mean() == pytest.approx(sharp.mean(), rel=0.2)
    assert soft.max() < 0.5 * sharp.max()


def test_no_density_no_rain():
    for combine in ("add", "max"):
        group = replace(GROUP, density=0, combine=combine)
        assert not streaks.render(group, (8, 8), np.random.default_rng(0)).any()
