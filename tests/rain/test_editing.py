import numpy as np
import pytest
from skimage import data

from derain.rain import RainSynthesizer
from derain.rain.editing import EDITING, edited, saved, sharpened
from derain.rain.ranges import Draw, override

PHOTO = data.coffee()[:96, :128].astype(np.float32) / 255


def draw(**changes):
    return Draw(np.random.default_rng(1), override(EDITING, changes))


def test_rainy_image_and_ground_truth_are_edited_alike():
    for seed in range(20):
        first, second = edited((PHOTO, PHOTO), Draw(np.random.default_rng(seed), EDITING))
        assert (first == second).all()


def test_contrast_stretches_around_the_middle():
    middle = np.full((8, 8, 3), 0.5, np.float32)
    bright = np.full((8, 8, 3), 0.6, np.float32)
    settings = draw(contrast_probability=1, contrast=1.5, sharpen_probability=0)
    kept, lifted = edited((middle, bright), settings)
    assert kept == pytest.approx(0.5)
    assert lifted == pytest.approx(0.65)


def test_sharpening_leaves_dark_seams_beside_a_streak_and_even_surfaces_alone():
    streak = np.full((21, 21, 3), 0.4, np.float32)
    streak[:, 10] = 0.6
    seamed = sharpened(streak, 2.0, 1.0)
    assert seamed[10, 10, 0] > 0.75
    assert seamed[10, 9, 0] < 0.35
    assert seamed[10, 1] == pytest.approx(0.4, abs=1e-3)


def test_jpeg_is_as_frequent_as_the_settings_say():
    never = draw(jpeg_probability=0)
    assert saved(PHOTO, never) is PHOTO
    once = draw(jpeg_probability=1, jpeg_quality=50, jpeg_twice_probability=0)
    twice = draw(jpeg_probability=1, jpeg_quality=(50, 97), jpeg_twice_probability=1)
    saved(PHOTO, once)
    saved(PHOTO, twice)
    assert once.params["jpeg_quality"] == 50
    assert len(twice.params["jpeg_quality"]) == 2
    assert np.abs(saved(PHOTO, once) - PHOTO).max() > 0.02


def test_sharpening_makes_the_rain_of_photographs_stand_out():
    sharp = {"sharpen_probability": 1, "sharpen": 2.5, "sharpen_radius": 1.0, "mean": 0.03}
    soft = {**sharp, "sharpen_probability": 0}

    def rain_contrast(settings):
        synth = RainSynthesizer("photo-fine", {**settings, "night_probability": 0, "zoom": 1})
        samples = [synth(data.coffee()[:128, :128], index=i) for i in range(8)]
        return np.mean([np.abs(s.rainy.astype(int) - s.target).std() for s in samples])

    assert rain_contrast(sharp) > 1.3 * rain_contrast(soft)
