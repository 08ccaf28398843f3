import numpy as np
import pytest
from skimage import data

from derain.rain import RainSynthesizer
from derain.rain.realistic import ambient, jpeg
from derain.rain.window import Window, place, smooth_field

CLEAN = data.coffee()
QUIET = {"intensity": 0, "sensor_noise": 0, "jpeg_probability": 0}


def test_without_streaks_and_sensor_the_image_is_the_veiled_target():
    for preset in ("real", "real-night"):
        sample = RainSynthesizer(preset, QUIET)(CLEAN)
        assert np.abs(sample.rainy.astype(int) - sample.target).max() <= 1


def test_clean_target_is_the_photograph():
    hazy = RainSynthesizer("real", seed=2)(CLEAN)
    clean = RainSynthesizer("real", seed=2, target="clean")(CLEAN)
    assert (clean.rainy == hazy.rainy).all()
    assert (clean.target == CLEAN).all()
    assert not (hazy.target == CLEAN).all()


def test_the_veil_thickens_with_depth():
    depth = np.tile(np.linspace(0, 1, 300, dtype=np.float32), (200, 1))
    black = np.zeros((200, 300, 3), np.uint8)
    synth = RainSynthesizer(
        "real", {**QUIET, "night_probability": 0, "day_haze": 1, "day_airlight": 0.8}
    )
    target = synth(black, depth=depth).target.astype(float) / 255
    assert np.diff(target[100, :, 0]).min() >= 0
    assert target[100, 0] == pytest.approx(0, abs=0.01)
    assert target[100, -1, 1] == pytest.approx(0.8 * (1 - np.exp(-1)), abs=0.01)


def test_wrong_depth_is_refused():
    with pytest.raises(ValueError, match="depth must be"):
        RainSynthesizer("real")(CLEAN, depth=np.zeros((10, 10)))
    with pytest.raises(ValueError, match="depth must lie"):
        RainSynthesizer("real")(CLEAN, depth=np.full(CLEAN.shape[:2], 7.0))


def test_night_is_darker_than_day_and_is_drawn_in_a_fifth_of_real():
    day = RainSynthesizer("real", {"night_probability": 0})
    night = RainSynthesizer("real-night")
    images = range(8)
    assert np.mean([night(CLEAN, index=i).rainy.mean() for i in images]) < 0.6 * np.mean(
        [day(CLEAN, index=i).rainy.mean() for i in images]
    )
    real = RainSynthesizer("real")
    times = [real(CLEAN[:8, :8], index=i).params["time"] for i in range(300)]
    assert times.count("night") == pytest.approx(60, abs=24)


def test_lamps_light_the_rain_around_them():
    grey = np.full((200, 300, 3), 128, np.uint8)
    quiet = {"sensor_noise": 0, "jpeg_probability": 0, "camera_blur_probability": 0}
    dark = RainSynthesizer("real-night", {**quiet, "lamps": 0})(grey, index=1)
    lit = RainSynthesizer("real-night", {**quiet, "lamps": 3, "lamp_power": 0.6})(grey, index=1)
    assert lit.target.mean() > 1.1 * dark.target.mean()
    assert np.ptp(lit.target[..., 0].astype(int)) > 2 * np.ptp(dark.target[..., 0].astype(int))


def test_rain_grows_with_the_image():
    """0.2 and 24 megapixels: similar brightness, streaks in proportion."""
    lengths, means = [], []
    for full in [(365, 548), (4000, 6000)]:
        synth = RainSynthesizer("real", {"exposure": 1, "intensity": 1, "very_near_probability": 0})
        samples = [synth(CLEAN[:256, :256], index=i, full_size=full) for i in range(20)]
        lengths.append(samples[0].params["streaks"][0]["length"])
        means.append(np.mean([s.rain.mean() for s in samples]))
    assert lengths[1] / lengths[0] == pytest.approx(6000 / 548, rel=0.01)
    assert 0.4 < means[1] / means[0] < 1.2


def test_angles_cover_45_degrees_to_both_sides():
    image = np.zeros((8, 8), np.uint8)
    synth = RainSynthesizer("real", {"intensity": 0})
    angles = np.array([synth(image, index=i).params["angle"] for i in range(1000)])
    assert angles.min() >= 45
    assert angles.max() <= 135
    assert angles.min() < 48
    assert angles.max() > 132


def test_drizzle_and_downpour_both_occur():
    synth = RainSynthesizer("real")
    means = [synth(CLEAN[:128, :128], index=i, full_size=(400, 600)).rain.mean() for i in range(60)]
    assert min(means) < 0.015
    assert max(means) > 0.12


def test_a_crop_sees_its_part_of_a_field():
    whole = Window(0, 0, (60, 80), (60, 80))
    part = Window(20, 30, (10, 15), (60, 80))
    fields = [smooth_field(w, np.random.default_rng(1)) for w in (whole, part)]
    assert fields[1] == pytest.approx(fields[0][20:30, 30:45], abs=1e-6)
    assert fields[0].min() >= 0
    assert fields[0].max() <= 1


def test_a_crop_is_placed_inside_its_image():
    rng = np.random.default_rng(0)
    windows = [place((10, 20), (30, 20), rng) for _ in range(50)]
    assert {w.left for w in windows} == {0}
    assert min(w.top for w in windows) == 0
    assert max(w.top for w in windows) == 20


def test_ambient_light_is_smooth_and_keeps_the_mean():
    image = CLEAN.astype(np.float32) / 255
    around = ambient(image, 1.0)
    assert around.mean() == pytest.approx(image.mean(), rel=0.02)
    assert np.abs(np.diff(around, axis=1)).max() < 0.1 * np.abs(np.diff(image, axis=1)).max()


def test_jpeg_of_high_quality_is_nearly_the_image_with_its_colours_in_order():
    image = CLEAN.astype(np.float32) / 255
    assert np.abs(jpeg(image, 97) - image).mean() < 0.01
    assert np.abs(jpeg(image, 10) - image).mean() > 0.015
