from fractions import Fraction

import numpy as np
import pytest

from derain.metrics import quantise
from derain.metrics.colour import gray_uint8, luma, luma_uint8, yiq
from derain.metrics.inputs import as_rgb, round_half_up


def test_halves_round_up_not_to_even() -> None:
    assert round_half_up([0.5, 1.5, 2.5, 2.4999]).tolist() == [1, 2, 3, 2]


def test_quantise_clips_and_rounds_half_up() -> None:
    values = np.array([-0.1, 0.5 / 255, 0.49 / 255, 254.5 / 255, 1.7], dtype=np.float64)
    assert quantise(values).tolist() == [0, 1, 0, 255, 255]


def test_quantise_inverts_division_by_255() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantise(levels.astype(np.float32) / 255), levels)


def test_luma_spans_16_to_235() -> None:
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    assert luma(ends).tolist() == [[16, 235]]


def test_rounding_is_that_of_exact_arithmetic() -> None:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (1, 2000, 3), dtype=np.uint8)
    r, g, b = np.ogrid[:256, :256, :256]
    ties = np.argwhere((65481 * r + 128553 * g + 24966 * b) % 255_000 == 127_500)
    assert len(ties) > 0
    colours = np.hstack([colours, ties[None].astype(np.uint8)])
    half = Fraction(1, 2)
    y = [(65481 * r + 128553 * g + 24966 * b) for r, g, b in colours[0].astype(int)]
    assert luma_uint8(colours)[0].tolist() == [int(16 + Fraction(v, 255_000) + half) for v in y]


def test_gray_follows_matlabs_full_precision_weights() -> None:
    matrix = [[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.106, 1.703]]
    colours = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    expected = round_half_up(colours @ np.linalg.inv(matrix)[0])
    assert np.array_equal(gray_uint8(colours), expected)


def test_gray_keeps_grey_levels() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    assert np.array_equal(gray_uint8(levels), levels)


def test_grey_has_no_chroma() -> None:
    y, i, q = yiq(np.full((2, 3), 77, dtype=np.uint8))
    np.testing.assert_allclose(y, 77)
    np.testing.assert_allclose([i, q], 0, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), "uint8.*float64.*quantise"),
        (np.zeros((4, 4, 3), dtype=np.uint16), "uint8.*uint16"),
        (np.zeros((4, 4, 4), dtype=np.uint8), r"\(4, 4, 4\)"),
        (np.zeros((0, 4, 3), dtype=np.uint8), r"\(0, 4, 3\)"),
        (np.zeros(4, dtype=np.uint8), r"\(4,\)"),
    ],
)
def test_what_is_no_8_bit_image_is_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_rgb(image)
