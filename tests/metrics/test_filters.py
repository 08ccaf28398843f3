import numpy as np
import pytest

from derain.metrics.filters import blur, box_downsample, downsampling_factor, gaussian
from derain.metrics.resize import halve, halve_uint8


def test_gaussian_is_a_symmetric_average() -> None:
    kernel = gaussian(11, 1.5)
    assert kernel.sum() == pytest.approx(1)
    assert np.array_equal(kernel, kernel[::-1])
    assert kernel[6] / kernel[5] == pytest.approx(np.exp(-1 / (2 * 1.5**2)))


def test_blur_equals_scipy_away_from_the_border() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = np.random.default_rng(0).random((2, 20, 17))
    window = gaussian(7, 1.2)
    expected = ndimage.correlate(x, (window[:, None] * window)[None])[:, 3:-3, 3:-3]
    np.testing.assert_allclose(blur(x, window), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("short_side", "factor"), [(1, 1), (320, 1), (383, 1), (384, 2), (639, 2), (640, 3)]
)
def test_downsampling_starts_at_384_pixels(short_side: int, factor: int) -> None:
    assert downsampling_factor(short_side, 5000) == factor


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", [12, 13, 17])
def test_zero_padded_box_is_matlabs_same_convolution(factor: int, length: int) -> None:
    x = np.random.default_rng(0).random(length)
    full = np.convolve(x, np.full(factor, 1 / factor))
    expected = full[factor // 2 :][:length:factor]
    # Across the other axis every row is the same; its own border is cut off before comparing
    both = box_downsample(np.tile(x, (4 * factor, 1)), factor, "constant")
    np.testing.assert_allclose(both[1], expected, atol=1e-15)


def test_mirrored_box_keeps_a_constant() -> None:
    flat = np.full((11, 13), 3.0)
    np.testing.assert_allclose(box_downsample(flat, 3, "symmetric"), np.full((4, 5), 3.0))


def _keys(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0


@pytest.mark.parametrize("length", [1, 2, 9, 10])
def test_halving_is_the_stretched_cubic_with_mirrored_border(length: int) -> None:
    x = np.random.default_rng(0).random(length)
    expected = []
    for i in range((length + 1) // 2):
        centre = 2 * i + 0.5
        taps = range(2 * i - 3, 2 * i + 5)
        mirrored = [j % (2 * length) for j in taps]
        values = [x[min(j, 2 * length - 1 - j)] for j in mirrored]
        weights = [_keys((j - centre) / 2) / 2 for j in taps]
        expected.append(np.dot(weights, values))
    np.testing.assert_allclose(halve(x[:, None])[:, 0], expected, atol=1e-14)
    np.testing.assert_allclose(halve(x[None])[0], expected, atol=1e-14)


def test_halving_uint8_rounds_after_the_rows_and_after_the_columns() -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.float64)
    twice = halve_uint8(x)
    once = np.clip(np.floor(halve(x) + 0.5), 0, 255)
    assert np.array_equal(twice, twice.astype(np.uint8))
    assert 0 < np.abs(twice - once).max() <= 1
    assert not np.array_equal(twice, halve_uint8(x.T).T)  # so the order of the axes matters
