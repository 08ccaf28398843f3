import numpy as np
import pytest
from skimage import data

from derain.rain import RainSynthesizer, blending

RAIN = np.linspace(0, 1, 32, dtype=np.float32).reshape(4, 8)


def image(value: float) -> np.ndarray:
    return np.full((4, 8, 3), value, np.float32)


def test_heavy_rain_is_grey_and_additive():
    clean = data.coffee()[:240, :320]
    for index in range(5):
        sample = RainSynthesizer("rain100h", seed=1)(clean, index=index)
        difference = sample.rainy.astype(int) - clean
        unsaturated = (sample.rainy < 255).all(axis=2)
        assert difference.min() >= 0
        assert np.ptp(difference[unsaturated], axis=1).max() <= 1


def test_screen_never_darkens():
    clean = data.coffee()[:240, :320]
    for preset in ("rain1400", "rain1200-heavy", "photoshop-heavy"):
        assert (RainSynthesizer(preset, seed=1)(clean).rainy >= clean).all()


def test_screen_keeps_white_and_turns_black_into_rain():
    assert (blending.screen(image(1), RAIN) == 1).all()
    assert blending.screen(image(0), RAIN)[..., 0] == pytest.approx(RAIN, abs=1e-6)


def test_screen_with_an_offset_lifts_black_and_keeps_white():
    assert blending.screen(image(0), 0 * RAIN, 0.2) == pytest.approx(0.2)
    assert blending.screen(image(1), RAIN, 0.2) == pytest.approx(1)


def test_add_clips_the_sum_once():
    assert blending.add(image(0.75), RAIN)[..., 1] == pytest.approx(np.minimum(1, 0.75 + RAIN))


def test_over_runs_from_the_image_to_the_colour_of_rain():
    out = blending.over(image(0.2), RAIN, image(0.9))
    assert out[0, 0] == pytest.approx(0.2)
    assert out[-1, -1] == pytest.approx(0.9)


def test_two_screened_layers_are_the_screen_of_both():
    one, two = RAIN, RAIN[::-1]
    twice = blending.screen(blending.screen(image(0.3), one), two)
    assert blending.screen(image(0.3), blending.screen_layers(one, two)) == pytest.approx(
        twice, abs=1e-6
    )
