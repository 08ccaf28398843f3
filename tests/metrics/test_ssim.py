from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data
from skimage.metrics import structural_similarity

from derain.metrics import PROTOCOLS, psnr, ssim
from derain.metrics.colour import luma, luma_uint8

AnyImage = NDArray[np.uint8]
SETTINGS = {
    "gaussian_weights": True,
    "sigma": 1.5,
    "use_sample_covariance": False,
    "data_range": 255,
}


def scikit_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """scikit-image's map, without the border of 5 that it fills by mirroring."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    result: Any = structural_similarity(x, y, full=True, **SETTINGS)
    return result[1][5:-5, 5:-5].mean()


def test_agrees_with_scikit_image(photo: AnyImage, noisy: list[AnyImage]) -> None:
    for image in noisy:
        y = scikit_ssim(luma_uint8(image), luma_uint8(photo))
        y_float = scikit_ssim(luma(image), luma(photo))
        rgb = np.mean([scikit_ssim(image[..., c], photo[..., c]) for c in range(3)])
        assert ssim(image, photo, "y") == pytest.approx(y, rel=0, abs=1e-10)
        assert ssim(image, photo, "y_float") == pytest.approx(y_float, rel=0, abs=1e-10)
        assert ssim(image, photo, "rgb") == pytest.approx(rgb, rel=0, abs=1e-10)


def test_y_float_looks_at_large_images_from_afar() -> None:
    photo = data.astronaut()  # 512x512, halved by means of 2x2
    image = np.clip(photo.astype(int) + 20 * (photo % 3), 0, 255).astype(np.uint8)
    small = [luma(x).reshape(256, 2, 256, 2).mean(axis=(1, 3)) for x in (image, photo)]
    assert ssim(image, photo, "y_float") == pytest.approx(scikit_ssim(*small), abs=1e-10)
    assert ssim(image, photo, "y_float") != pytest.approx(ssim(image, photo, "y"), abs=1e-3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_images_give_one(photo: AnyImage, protocol: str) -> None:
    assert ssim(photo, photo, protocol) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_falls_with_noise_and_is_symmetric(
    photo: AnyImage, noisy: list[AnyImage], protocol: str
) -> None:
    values = [ssim(image, photo, protocol) for image in noisy]
    assert values == sorted(values, reverse=True)
    swapped = [ssim(photo, image, protocol) for image in noisy]
    assert values == pytest.approx(swapped, abs=1e-12)


def test_an_inverted_image_is_unlike(photo: AnyImage) -> None:
    assert ssim(255 - photo, photo) < 0


def test_dcsfn_does_not_clip_floats(photo: AnyImage, noisy: list[AnyImage]) -> None:
    output = noisy[0] / 255
    assert ssim(output, photo, "dcsfn") == pytest.approx(ssim(noisy[0], photo, "dcsfn"))
    output[:50] += 1
    assert psnr(output, photo, "dcsfn") == psnr(np.clip(output, 0, 1), photo, "dcsfn")
    assert ssim(output, photo, "dcsfn") != ssim(np.clip(output, 0, 1), photo, "dcsfn")


def test_the_window_must_fit_unless_the_border_is_padded(photo: AnyImage) -> None:
    assert ssim(photo[:11, :11], photo[:11, :11]) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 11x11 pixels, this image is 30x10"):
        ssim(photo[:10, :30], photo[:10, :30])
    assert ssim(photo[:3, :4], photo[:3, :4], "dcsfn") == pytest.approx(1)


def test_other_sizes_are_named(photo: AnyImage) -> None:
    with pytest.raises(ValueError, match="200x195 and 200x194"):
        ssim(photo, photo[1:])
