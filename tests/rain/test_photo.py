import cv2
import numpy as np
import pytest
from skimage import data

from derain.rain import RainSynthesizer
from derain.rain.photo import disc_kernel, oriented_noise
from derain.rain.statistics import correlation_lengths, dominant_angle, orientation
from derain.rain.streaks import StreakGroup, render, render_reduced, with_mean

CLEAN = data.coffee()
GREY = np.full((256, 256, 3), 90, np.uint8)
PARTS = ("fine", "curtain", "drops", "splash", "dash", "patch", "part", "layers")
STREAKS_ALONE = {f"{part}_probability": 0 for part in PARTS}
NO_CAMERA = {
    "resize_probability": 0,
    "contrast_probability": 0,
    "sharpen_probability": 0,
    "jpeg_probability": 0,
    "sensor_noise": 0,
}
BY_DAY = {"night_probability": 0, "day_haze": 0, "day_brightness": 1}


def test_without_rain_and_jpeg_the_image_is_the_ground_truth():
    dry = {**STREAKS_ALONE, "mean": 0, "jpeg_probability": 0}
    for preset in ("photo-fine", "photo-coarse", "photo-night"):
        for index in range(6):
            sample = RainSynthesizer(preset, dry)(CLEAN, index=index)
            assert np.abs(sample.rainy.astype(int) - sample.target).max() <= 1


def test_the_ground_truth_keeps_the_noise_of_the_sensor():
    noisy = {**BY_DAY, "resize_probability": 0, "sharpen_probability": 0, "contrast_probability": 0}
    noisy |= {"sensor_noise": 0.018}
    target = RainSynthesizer("photo-fine", noisy)(GREY).target.astype(float)
    expected = 255 * 0.018 * np.sqrt(90 / 255)
    assert target.std() == pytest.approx(expected, rel=0.05)


def test_the_zoom_widens_the_streaks():
    def width(zoom):
        settings = {**STREAKS_ALONE, **NO_CAMERA, **BY_DAY, "angle": 90, "zoom": zoom, "groups": 1}
        settings |= {"group_zoom": 1, "width": 2, "defocus": 0, "spread": 0.2, "angle_offset": 0}
        synth = RainSynthesizer("photo-fine", {**settings, "length": 30, "mean": 0.05})
        rains = [synth(GREY, index=i).rain for i in range(6)]
        known = np.ones(rains[0].shape, bool)
        return np.mean([correlation_lengths(rain, known, 90)[0] for rain in rains])

    assert width(4) / width(1) == pytest.approx(4**0.85, rel=0.3)


def test_rain_before_a_bright_sky_may_be_darker_than_it():
    bright = np.full((128, 128, 3), 250, np.uint8)
    settings = {**STREAKS_ALONE, **NO_CAMERA, **BY_DAY, "tint": 0, "around_lift": 0}
    settings |= {"screen_probability": 0, "add_probability": 0, "mean": 0.1}
    dark = RainSynthesizer("photo-fine", {**settings, "around_gain": 0.8})(bright)
    assert (dark.rainy <= dark.target).all()
    assert dark.rainy.mean() < dark.target.mean() - 1


def test_splashes_stay_on_the_ground():
    settings = {**STREAKS_ALONE, **NO_CAMERA, "mean": 0, "splash_probability": 1, "horizon": 0.5}
    rain = RainSynthesizer("photo-fine", {**settings, "splash_density": 20})(GREY).rain
    assert not rain[:128].any()
    assert rain[128:].mean() > 1e-3


def test_rain_in_a_part_ends_at_an_edge():
    """A disc of 20 px fits into what is dry in every image, which it seldom does elsewhere."""
    settings = {**STREAKS_ALONE, **NO_CAMERA, "mean": 0.2, "zoom": 1, "group_zoom": 1, "peak": 0.5}

    def has_a_dry_place(part, index):
        settings["part_probability"] = part
        rain = RainSynthesizer("photo-fine", settings)(GREY, index=index).rain
        distance = cv2.distanceTransform((rain < 0.01).astype(np.uint8), cv2.DIST_L2, 5)
        return distance.max() > 20

    assert sum(has_a_dry_place(1, index) for index in range(12)) >= 11
    assert sum(has_a_dry_place(0, index) for index in range(12)) <= 1


def test_look_alikes_are_no_rain():
    for index in range(20):
        sample = RainSynthesizer("look-alikes")(GREY, index=index)
        assert (sample.rainy == sample.target).all()
        assert not sample.rain.any()
    assert (
        np.mean([RainSynthesizer("look-alikes")(GREY, index=i).rainy.std() for i in range(20)]) > 5
    )


def test_given_layers_are_mixed_in_as_often_as_the_preset_says():
    lines = np.zeros((64, 64), np.uint8)
    lines[:, ::8] = 255
    dry = {**STREAKS_ALONE, "mean": 0}
    always = RainSynthesizer("photo-fine", {**dry, "layers_probability": 1}, layers=[lines])
    never = RainSynthesizer("photo-fine", dry, layers=[lines])
    assert all(always(GREY, index=i).rain.max() > 0.2 for i in range(5))
    assert not any(never(GREY, index=i).rain.any() for i in range(5))
    with pytest.raises(ValueError, match="takes no layers"):
        RainSynthesizer("real", layers=[lines])


def test_oriented_noise_has_its_direction_and_unit_variance():
    for angle in (40, 90, 120):
        noise = oriented_noise(2, 30, angle, (300, 300), np.random.default_rng(1))
        assert noise.shape == (300, 300)
        assert noise.std() == pytest.approx(1, abs=0.15)
        histogram, _ = orientation(noise - noise.min(), np.ones(noise.shape, bool))
        assert dominant_angle(histogram) == pytest.approx(angle, abs=4)


def test_a_disc_has_the_area_of_a_disc():
    assert disc_kernel(0.8).sum() == pytest.approx(np.pi * 0.8**2, rel=0.35)
    assert disc_kernel(7.5).sum() == pytest.approx(np.pi * 7.5**2, rel=0.03)


def test_reduced_rendering_keeps_mean_and_width():
    group = StreakGroup(
        density=0, angle=80, length=120, width=16, peak=0.3, length_sd=0.3, blur=4, profile="soft"
    )
    group = with_mean(group, 0.08)
    known = np.ones((400, 400), bool)
    means, widths = np.zeros((2, 2)), np.zeros((2, 8))
    for k, draw in enumerate((render, render_reduced)):
        layers = [draw(group, known.shape, np.random.default_rng(i)) for i in range(8)]
        means[k] = np.mean([layer.mean() for layer in layers])
        widths[k] = [correlation_lengths(layer, known, 80)[0] for layer in layers]
    assert means[0] == pytest.approx(means[1], rel=0.15)
    assert widths[0].mean() == pytest.approx(widths[1].mean(), rel=0.15)


def test_resizing_keeps_the_size_and_takes_the_ground_truth_along():
    settings = {**STREAKS_ALONE, "mean": 0, "resize_probability": 1, "resize": 0.4}
    settings |= {"jpeg_probability": 0, "sensor_noise": 0.018, "sharpen_probability": 0, **BY_DAY}
    settings |= {"contrast_probability": 0}
    sample = RainSynthesizer("photo-fine", settings)(GREY[:100, :90])
    assert sample.rainy.shape == (100, 90, 3)
    assert np.abs(sample.rainy.astype(int) - sample.target).max() <= 1
    averaged = 255 * 0.018 * np.sqrt(90 / 255) * 0.4  # noise of 2.5 x 2.5 pixels, averaged
    assert sample.target.astype(float).std() == pytest.approx(averaged, rel=0.25)
