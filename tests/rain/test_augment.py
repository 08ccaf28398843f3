import numpy as np
import pytest
from skimage import data

from derain.rain import RainSynthesizer
from derain.rain.statistics import dominant_angle, orientation

CLEAN = data.coffee()[:200, :200]
BLACK = np.zeros((200, 200), np.uint8)
STILL = {"layers": 1, "mirror_probability": 0, "rotation": 0, "zoom": 1, "amplitude": 1}


def angle_of(rain: np.ndarray) -> float:
    return dominant_angle(orientation(rain * 255, np.ones(rain.shape, bool))[0])


def test_given_layer_without_change_comes_through():
    layer = np.zeros((200, 200), np.uint8)
    layer[:, 60:62] = 100
    sample = RainSynthesizer("rain100l", STILL, layers=[layer])(CLEAN)
    assert sample.rain == pytest.approx(layer / 255, abs=1e-3)
    assert (sample.rainy == np.minimum(CLEAN.astype(int) + layer[..., None], 255)).all()


def test_given_layers_are_summed_and_scaled():
    layer = np.full((50, 50), 0.1, np.float32)
    sample = RainSynthesizer("rain100l", {"layers": 3, "amplitude": 0.5}, layers=[layer])(CLEAN)
    assert sample.rain == pytest.approx(0.15, abs=1e-4)


def test_rotation_turns_the_rain():
    still = {
        "augment_probability": 1,
        "zoom": 1,
        "mirror_probability": 0,
        "bar_probability": 0,
        "angle": 90,
    }
    for turn in (-15, 15):
        synth = RainSynthesizer("rain100l", {**still, "rotation": turn, "mean": 0.03})
        assert angle_of(synth(BLACK, index=1).rain) == pytest.approx(90 + turn, abs=2.5)


def test_mirror_turns_the_angle_round():
    plain = {"augment_probability": 1, "zoom": 1, "rotation": 0, "bar_probability": 0, "angle": 70}
    synth = RainSynthesizer("rain100l", {**plain, "mirror_probability": 1, "mean": 0.03})
    assert angle_of(synth(BLACK, index=1).rain) == pytest.approx(110, abs=2.5)


@pytest.mark.parametrize("zoom", [0.7, 1.4, 4.0])
def test_varied_rain_has_no_empty_corners_and_keeps_its_mean(zoom):
    overrides = {
        "augment_probability": 1,
        "zoom": zoom,
        "rotation": 15,
        "amplitude": 1,
        "mean": 0.1,
    }
    synth = RainSynthesizer("rain100h", overrides)
    mean = np.mean([synth(BLACK, index=i).rain for i in range(20)], axis=0)
    corners = [mean[:50, :50], mean[:50, -50:], mean[-50:, :50], mean[-50:, -50:]]
    assert np.mean(mean) == pytest.approx(0.1, rel=0.15)
    assert all(corner.mean() > 0.07 for corner in corners)


def test_robust_draws_rain_larger_on_larger_images():
    synth = RainSynthesizer("robust", {"augment_probability": 1, "size_exponent": 1})
    small, large = (
        np.mean([synth(BLACK, index=i, full_size=full).rain.std() for i in range(30)])
        for full in [(200, 200), (4000, 6000)]
    )
    assert small > 0
    assert large > 0


def test_realistic_presets_take_no_layers():
    with pytest.raises(ValueError, match="real"):
        RainSynthesizer("robust", layers=[BLACK])
