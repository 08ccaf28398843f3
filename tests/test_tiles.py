"""Tiles cover an image, their weights add up, and a local network shows no tiles."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from derain.tiles import Overlap, divide, pad, ramps, restore_tiled

MULTIPLES = st.sampled_from([1, 4, 16])


@given(st.integers(1, 5000), st.integers(64, 1000), st.integers(8, 48), MULTIPLES)
def test_tiles_cover_everything_with_the_overlap_asked_for(length, tile, overlap, multiple):
    starts, tile_size = divide(length, tile, overlap, multiple)
    assert starts[0] == 0
    assert length <= starts[-1] + tile_size < length + multiple
    assert all(b <= a + tile_size - overlap for a, b in pairwise(starts))
    assert all(number % multiple == 0 for number in (*starts, tile_size))
    assert tile_size <= max(tile, length) + multiple


@given(st.integers(1, 5000), st.integers(8, 48), MULTIPLES)
def test_what_one_tile_holds_is_not_divided(length, overlap, multiple):
    assert divide(length, max(length, 64), overlap, multiple)[0] == [0]


@given(st.integers(100, 9000), st.integers(64, 1000))
def test_tiles_are_no_larger_than_their_number_needs(length, tile):
    """Tiles of full size would do the same work twice: 1100 pixels are no two tiles of 1024."""
    starts, tile_size = divide(length, tile, 32)
    assert len(starts) * (tile_size - 1 - 32) + 32 < length


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(64, 700), st.integers(8, 48), MULTIPLES)
def test_weights_add_up_to_one_everywhere(length, tile, overlap, multiple):
    total = np.zeros(length)
    starts, tile_size = divide(length, tile, overlap, multiple)
    weights = ramps(length, starts, tile_size, Overlap(overlap, overlap // 4))
    for start, weight in zip(starts, weights, strict=True):
        assert weight.min() >= 0
        total[start : start + len(weight)] += weight
    assert np.allclose(total, 1, atol=1e-6)


def blur(tile):
    return cv2.GaussianBlur(tile, (9, 9), 2, borderType=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("size", [(1, 1), (63, 200), (200, 63), (129, 300), (301, 257)])
def test_a_local_network_gives_the_same_with_and_without_tiles(size):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    whole = blur(image)
    result = np.full_like(image, np.nan)
    calls = []

    def run(tile):
        calls.append(tile.shape)
        return blur(tile)

    # An overlap of 32 leaves out its outermost 8 pixels, more than the blur's reach of 4.
    for first, strip in restore_tiled(run, lambda r, c: image[r, c], size, 96, Overlap(32, 8)):
        assert np.isnan(result[first : first + len(strip)]).all()
        result[first : first + len(strip)] = strip
    assert np.allclose(result, whole, atol=1e-6)
    assert len(set(calls)) == 1
    assert all(tile_size <= 96 for tile_size in calls[0][:2])


@pytest.mark.parametrize(("multiple", "minimum"), [(16, 1), (4, 33), (1, 1)])
@pytest.mark.parametrize("size", [(1, 1), (5, 40), (16, 16), (33, 64)])
def test_padding_keeps_the_image_and_reaches_the_multiple(size, multiple, minimum):
    image = np.random.default_rng(0).random((*size, 3), np.float32)
    padded = pad(image, multiple, minimum)
    assert np.array_equal(padded[: size[0], : size[1]], image)
    for length, before in zip(padded.shape[:2], size, strict=True):
        assert length % multiple == 0
        assert length >= minimum
        assert length < max(before, minimum) + multiple
