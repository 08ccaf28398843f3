"""Neighbouring frames: what they add, what they must not touch."""

import numpy as np
import pytest
from skimage import data

from derain.rain.falling import FallingRain
from derain.video import CONTEXT, stream
from derain.video.temporal import MISS, _motions, fuse

PHOTO = data.astronaut().astype(np.float32) / 255
RAIN = {"zoom": 1.5, "mean": 0.1, "peak": 0.45, "groups": 2}


def crop(left, top=100):
    return np.ascontiguousarray(PHOTO[top : top + 120, left : left + 160])


def psnr(a, b):
    return -10 * np.log10(np.square(a - b).mean())


def test_drops_fall_on_and_follow_from_the_seed():
    changes = {**RAIN, "angle": 90, "shutter": 0.5, "spread": 0.2}
    rain = FallingRain((120, 160), 3, changes)
    assert np.array_equal(rain.layer(5), FallingRain((120, 160), 3, changes).layer(5))
    first, second = rain.layer(0), rain.layer(1)
    assert first.mean() == pytest.approx(second.mean(), rel=0.5)
    # Moved down by some distance the first is the second, better than where it was.
    moved = [float((np.roll(first, by, 0) * second)[60:].mean()) for by in range(60)]
    assert np.argmax(moved) > 5


def test_a_panning_clip_gains_and_its_texture_stays(restorer):
    clean = [crop(40 + 3 * k) for k in range(7)]
    rain = FallingRain((120, 160), 1, RAIN)
    rainy = [rain(image, k) for k, image in enumerate(clean)]
    single = [restorer.restore_pixels(image) for image in rainy]
    together = list(fuse(zip(rainy, single, strict=True)))
    assert len(together) == 7
    gains = [psnr(b, c) - psnr(a, c) for a, b, c in zip(single, together, clean, strict=True)]
    assert np.mean(gains[CONTEXT:-CONTEXT]) > 1.5


def test_frames_behind_a_cut_are_left_out():
    one, other = crop(0), np.ascontiguousarray(crop(300, 300)[::-1])
    clip = [other, other, one, other, other]
    result = list(fuse((frame, frame) for frame in clip))[2]
    assert np.abs(result - one).mean() < 0.003


def test_the_flow_comes_back_to_where_it_began_unless_something_hides_the_place():
    here, there = ((255 * crop(left).mean(2)).astype(np.uint8) for left in (40, 43))
    motion, back = _motions(here, there)
    inner = motion.miss[20:-20, 20:-20]
    assert np.median(motion.flow[20:-20, 20:-20, 0]) == pytest.approx(-3, abs=0.1)
    assert np.median(back.flow[20:-20, 20:-20, 0]) == pytest.approx(3, abs=0.1)
    assert np.mean(inner < MISS) > 0.9
    there[40:80, 60:100] = np.random.default_rng(0).integers(0, 255, (40, 40))
    hidden = _motions(here, there)[0].miss[45:75, 65:95]
    assert np.mean(hidden > MISS) > 0.5


def test_finer_levels_than_8_bits_survive():
    step = np.linspace(0.4, 0.41, 160, dtype=np.float32)  # three levels of 8 bits, 41 of 12
    frame = np.repeat(np.tile(step, (120, 1))[..., None], 3, axis=2)
    result = list(fuse([(frame, frame)] * 5))[2]
    assert np.abs(result - frame).max() < 1 / 4095


@pytest.mark.parametrize("size", [(9, 9), (1, 40), (40, 1)])
def test_frames_too_small_for_the_flow(size):
    frame = np.full((*size, 3), 0.5, np.float32)
    for result in fuse([(frame, frame)] * 3):
        assert np.allclose(result, frame, atol=1e-6)


def test_a_source_whose_frames_change_their_size(restorer):
    frames = [crop(40 + k)[: 64 if k < 3 else 48, :64] for k in range(6)]
    shapes = [result.shape for result in stream(frames, restorer)]
    assert shapes == [frame.shape for frame in frames]


def test_an_object_that_jumps_leaves_no_ghost():
    place = crop(40)
    clips = []
    for k in range(5):
        frame = place.copy()
        frame[40:60, 5 + 30 * k : 25 + 30 * k] = (1, 0.1, 0.1)
        clips.append((frame, frame))
    results = list(fuse(clips))
    for (frame, _), result in zip(clips, results, strict=True):
        assert np.abs(result - frame).max(2)[30:70].mean() < 0.006


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_stream_gives_every_frame_in_its_kind_with_the_stated_latency(restorer, kind):
    top = np.iinfo(kind).max if np.dtype(kind).kind == "u" else 1
    taken: list[int] = []

    def camera():
        for k in range(4):
            taken.append(k)
            yield (crop(40 + k)[:64, :64] * top).astype(kind)

    results = stream(camera(), restorer)
    first = next(results)
    assert len(taken) == 1 + CONTEXT
    assert first.dtype == kind
    assert first.shape == (64, 64, 3)
    assert len(list(results)) == 3
    assert len(list(stream(camera(), restorer, temporal=False))) == 4


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (np.zeros((10, 10), np.uint8), r"\(H, W, 3\): \(10, 10\)"),
        (np.zeros((10, 10, 4), np.uint8), r"\(H, W, 3\): \(10, 10, 4\)"),
        (np.zeros((10, 10, 3), np.int32), "uint8, uint16 or float: int32"),
    ],
)
@pytest.mark.parametrize("temporal", [True, False])
def test_a_stream_says_what_is_wrong_with_a_frame(restorer, frame, words, temporal):
    with pytest.raises(ValueError, match=words):
        list(stream([frame], restorer, temporal=temporal))
