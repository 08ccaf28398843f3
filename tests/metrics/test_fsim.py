import numpy as np
import pytest
from numpy.typing import NDArray

from derain.metrics import fsim, fsimc
from derain.metrics.fsim import fsim_pair, gradient, log_gabor, phase_congruency

AnyImage = NDArray[np.uint8]


def test_equal_images_give_one(photo: AnyImage) -> None:
    assert fsim_pair(photo, photo) == pytest.approx((1, 1))


def test_falls_with_noise_and_is_symmetric(photo: AnyImage, noisy: list[AnyImage]) -> None:
    pairs = [fsim_pair(image, photo) for image in noisy]
    assert pairs == sorted(pairs, reverse=True)
    assert fsim_pair(photo, noisy[1]) == pytest.approx(pairs[1], abs=1e-12)
    assert pairs[1] == (fsim(noisy[1], photo), fsimc(noisy[1], photo))


def test_a_change_of_colour_alone_lowers_fsimc_only() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(60, 160, (64, 64))
    colour = np.dstack([grey + 57, grey, grey - 57 * 0.299 / 0.114])  # the same Y before rounding
    image = np.round(colour).astype(int).clip(0, 255).astype(np.uint8)
    plain, coloured = fsim_pair(image, grey.astype(np.uint8))
    assert plain > 0.99
    assert coloured < plain - 0.005


@pytest.mark.parametrize("levels", [(9, 9), (9, 200)])
def test_flat_images_are_alike_in_structure(levels: tuple[int, int]) -> None:
    a, b = (np.full((33, 40), level, dtype=np.uint8) for level in levels)
    # Not exactly 1: the zeros beyond the border make an edge, stronger for the brighter image
    assert fsim(a, b) > 0.9
    assert np.isfinite(fsimc(a, b))


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_filters_pass_no_mean_and_no_corner(size: tuple[int, int]) -> None:
    radial, angular = log_gabor(*size)
    assert radial.shape == angular.shape == (4, *size)
    assert np.all(radial[:, 0, 0] == 0)
    assert radial.max() <= 1
    assert np.fft.fftshift(radial, axes=(1, 2))[:, 0, 0].max() < 1e-3


def test_phase_congruency_finds_an_edge_whatever_its_contrast() -> None:
    edge = np.zeros((64, 64))
    edge[:, 32:] = 1
    bank = log_gabor(64, 64)
    weak, strong = phase_congruency(20 * edge, *bank), phase_congruency(200 * edge, *bank)
    assert strong[32, 31:33].min() > 0.7  # the edge lies between these two pixels
    assert np.argmax(strong[32, 8:56]) + 8 in (31, 32)  # the image's ends are an edge, too
    assert 0 <= strong.min() <= strong.max() <= 1
    np.testing.assert_allclose(weak[32, 31:33], strong[32, 31:33], atol=0.01)


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = 3.0 * np.arange(8) + 2.0 * np.arange(6)[:, None]
    np.testing.assert_allclose(gradient(ramp)[1:-1, 1:-1], 2 * np.hypot(3, 2))


def test_other_sizes_are_named(photo: AnyImage) -> None:
    with pytest.raises(ValueError, match="200x195 and 190x195"):
        fsim(photo, photo[:, 10:])
