import math

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.metrics import PROTOCOLS, get_protocol, psnr, quantise

AnyImage = NDArray[np.uint8]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_images(photo: AnyImage, protocol: str) -> None:
    assert psnr(photo, photo, protocol) == (100 if protocol == "dcsfn" else math.inf)


def test_one_level_everywhere() -> None:
    dark = np.full((4, 5, 3), 7, dtype=np.uint8)
    assert psnr(dark, dark + 1, "rgb") == pytest.approx(20 * math.log10(255))


def test_one_channel_counts_by_its_luma_weight() -> None:
    dark = np.zeros((4, 5, 3), dtype=np.uint8)
    blue = dark.copy()
    blue[..., 2] = 255
    assert psnr(dark, blue, "y_float") == pytest.approx(20 * math.log10(255 / 24.966))
    assert psnr(dark, blue, "y") == pytest.approx(20 * math.log10(255 / 25))
    assert psnr(dark, blue, "rgb") == pytest.approx(10 * math.log10(3))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_falls_with_noise_and_is_symmetric(
    photo: AnyImage, noisy: list[AnyImage], protocol: str
) -> None:
    values = [psnr(image, photo, protocol) for image in noisy]
    assert values == sorted(values, reverse=True)
    assert values == [psnr(photo, image, protocol) for image in noisy]


def test_grey_is_rgb_with_equal_channels(photo: AnyImage, noisy: list[AnyImage]) -> None:
    a, b = photo[..., 0], noisy[0][..., 0]
    assert psnr(a, b) == psnr(np.dstack([a, a, a]), np.dstack([b, b, b]))


def test_dcsfn_measures_floats_that_were_only_clipped(photo: AnyImage) -> None:
    output = photo / 255 + 0.3 / 255  # less than half a level: lost by rounding
    output[0, 0] += 2  # out of range
    clipped = np.clip(output, 0, 1)
    assert psnr(output, photo, "dcsfn") == psnr(clipped, photo, "dcsfn")
    error = np.mean((clipped - photo / 255) ** 2)
    assert psnr(output, photo, "dcsfn") == pytest.approx(-10 * math.log10(error))
    assert psnr(quantise(output), photo, "rgb") > psnr(output, photo, "dcsfn")


@pytest.mark.parametrize("protocol", ["y", "y_float", "rgb"])
def test_the_others_refuse_floats(photo: AnyImage, protocol: str) -> None:
    with pytest.raises(ValueError, match="uint8"):
        psnr(photo / 255, photo, protocol)


def test_other_sizes_are_named(photo: AnyImage) -> None:
    with pytest.raises(ValueError, match="200x195 and 199x195"):
        psnr(photo, photo[:, 1:])


def test_an_unknown_protocol_lists_the_known(photo: AnyImage) -> None:
    with pytest.raises(ValueError, match="'ycbcr'; known: y, y_float, rgb, dcsfn"):
        psnr(photo, photo, "ycbcr")
    assert get_protocol("y").channels == "y_uint8"
