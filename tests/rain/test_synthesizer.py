import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from skimage import data

from derain.rain import MIXTURES, PRESETS, RainSynthesizer

ALL = [*PRESETS, *MIXTURES]
CLEAN = data.coffee()[100:196, 200:296]


def rainy_bytes(preset: str, index: int) -> bytes:
    return RainSynthesizer(preset, seed=3)(CLEAN, index=index).rainy.tobytes()


@pytest.mark.parametrize("preset", ALL)
def test_same_seed_and_index_same_bytes_in_any_order(preset):
    synth = RainSynthesizer(preset, seed=3)
    forwards = [synth(CLEAN, index=i).rainy for i in range(4)]
    backwards = [synth(CLEAN, index=i).rainy for i in (3, 2, 1, 0)][::-1]
    assert all((a == b).all() for a, b in zip(forwards, backwards, strict=True))
    assert not (forwards[0] == forwards[1]).all()
    assert not (RainSynthesizer(preset, seed=4)(CLEAN).rainy == forwards[0]).all()


def test_same_bytes_in_another_process():
    jobs = [(preset, index) for preset in ALL for index in range(2)]
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        elsewhere = list(pool.map(rainy_bytes, *zip(*jobs, strict=True)))
    assert elsewhere == [rainy_bytes(*job) for job in jobs]


@pytest.mark.parametrize("preset", ALL)
def test_float_input_gives_the_same_image_before_rounding(preset):
    synth = RainSynthesizer(preset, {"jpeg_probability": 0} if preset.startswith("real") else None)
    levels = synth(CLEAN).rainy
    values = synth(CLEAN / 255).rainy
    assert values.dtype == np.float64
    assert np.abs(values * 255 - levels).max() <= 0.51


@pytest.mark.parametrize("preset", ALL)
@pytest.mark.parametrize("shape", [(8, 8, 3), (1, 50), (50, 1, 3), (1, 1), (40, 30)])
def test_small_and_grey_images_keep_their_kind(preset, shape):
    image = np.full(shape, 100, np.uint8)
    for index in range(3):
        sample = RainSynthesizer(preset)(image, index=index, full_size=(3000, 4000))
        assert sample.rainy.shape == sample.target.shape == shape
        assert sample.rainy.dtype == np.uint8
        assert sample.rain.shape == shape[:2]
        assert sample.rain.min() >= 0


@pytest.mark.parametrize("preset", ["rain100h", "rain1200-light", "photoshop-heavy"])
def test_grey_image_gets_the_same_rain_as_colour(preset):
    grey = CLEAN[..., 1]
    colour = np.repeat(grey[..., None], 3, axis=2)
    synth = RainSynthesizer(preset)
    assert (synth(grey).rainy == synth(colour).rainy[..., 0]).all()


def test_no_rain_leaves_the_image():
    for preset in ("rain100l", "rain100h", "rain1200-heavy"):
        assert (RainSynthesizer(preset, {"mean": 0})(CLEAN).rainy == CLEAN).all()


@pytest.mark.parametrize("preset", ["rain100l", "rain100h", "rain1200-medium"])
def test_layer_has_the_wanted_mean(preset):
    black = np.zeros((256, 256), np.uint8)
    synth = RainSynthesizer(preset, {"mean": 0.1})
    assert np.mean([synth(black, index=i).rain.mean() for i in range(20)]) == pytest.approx(
        0.1, rel=0.10
    )


def test_benchmark_target_is_the_clean_image():
    target = RainSynthesizer("rain100h")(CLEAN).target
    assert (target == CLEAN).all()
    assert not np.shares_memory(target, CLEAN)


@pytest.mark.parametrize("preset", ALL)
def test_params_survive_json_and_name_their_origin(preset):
    params = RainSynthesizer(preset, seed=7)(CLEAN, index=5).params
    assert json.loads(json.dumps(params)) == params
    assert (params["preset"], params["seed"], params["index"]) == (preset, 7, 5)
    assert params["member"] in PRESETS


def test_rain1400_has_its_fourteen_kinds():
    synth = RainSynthesizer("rain1400")
    image = np.zeros((16, 16), np.uint8)
    kinds = set()
    for index in range(200):
        params = synth(image, index=index).params
        kinds.add((params["direction"], "heavy_mean" in params))
    assert kinds == {(a, heavy) for a in range(60, 121, 10) for heavy in (False, True)}


def test_mixture_has_its_shares():
    synth = RainSynthesizer("mspfn-train")
    image = np.zeros((8, 8), np.uint8)
    members = [synth(image, index=index).params["member"] for index in range(1000)]
    assert members.count("rain1400") == pytest.approx(820, abs=40)
    assert members.count("rain100h") == pytest.approx(130, abs=40)
    assert set(members) == {"rain1400", "rain100h", "photoshop-heavy"}


def test_override_holds_number_or_range():
    synth = RainSynthesizer("rain100l", {"angle": 60, "peak": (0.2, 0.21), "bar_probability": 0})
    for index in range(20):
        params = synth(CLEAN, index=index).params
        assert params["angle"] == 60
        assert 0.2 <= params["peak"] <= 0.21


def test_override_of_a_mixture_reaches_the_presets_that_have_it():
    synth = RainSynthesizer("mspfn-train", {"bar_probability": 1})
    drawn = [synth(CLEAN, index=index).params for index in range(30)]
    probabilities = [p["bar_probability"] for p in drawn if "bar_probability" in p]
    assert probabilities
    assert all(np.all(np.array(probability) == 1) for probability in probabilities)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"angel": 90}, ["angel", "allowed keys", "angle"]),
        ({"mean": 1.5}, ["mean", "1.5", "[0, 1]"]),
        ({"mean": (0.3, 0.1)}, ["mean", "(0.3, 0.1)"]),
        ({"groups": 2.5}, ["groups", "integer"]),
        ({"mean": "much"}, ["mean", "much"]),
        ({"mean": (0.1, 0.2, 0.3)}, ["mean"]),
        ({"soft_length": float("nan")}, ["soft_length", "nan"]),
    ],
)
def test_impossible_override_is_named(overrides, words):
    with pytest.raises(ValueError, match="override") as error:
        RainSynthesizer("rain100h", overrides)
    assert all(word in str(error.value) for word in words)


def test_every_range_of_every_preset_lies_within_the_limits():
    for name, preset in PRESETS.items():
        rng = np.random.default_rng(0)
        values = {key: [r.draw(rng) for _ in range(50)] for key, r in preset.ranges.items()}
        RainSynthesizer(name, {key: (min(v), max(v)) for key, v in values.items()})


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.zeros((8, 8, 4), np.uint8), "(8, 8, 4)"),
        (np.zeros((0, 8, 3), np.uint8), "(0, 8, 3)"),
        (np.full((8, 8), 100.0), "100"),
        (np.full((8, 8), np.nan), "nan"),
    ],
)
def test_wrong_image_is_refused(image, error):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        RainSynthesizer()(image)
    assert error in str(caught.value)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="uint16"):
        RainSynthesizer()(np.zeros((8, 8), np.uint16))
    with pytest.raises(ValueError, match=r"drizzle.*rain100h"):
        RainSynthesizer("drizzle")
    with pytest.raises(ValueError, match="seed"):
        RainSynthesizer(seed=-1)
    with pytest.raises(ValueError, match=r"target.*hazy"):
        RainSynthesizer(target="dry")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="full_size"):
        RainSynthesizer()(CLEAN, full_size=(50, 500))
