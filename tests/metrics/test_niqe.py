from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.metrics import niqe
from derain.metrics.niqe import NIQEModel, block_features, fit_aggd, load_model, mscn

AnyImage = NDArray[np.uint8]


@pytest.fixture(scope="module")
def unit() -> NIQEModel:
    """A made-up model, for what does not depend on the authors' file."""
    return NIQEModel(np.zeros(36), np.eye(36))


def test_noise_is_worse_than_the_photograph(
    photo: AnyImage, noisy: list[AnyImage], iqa: Path
) -> None:
    model = load_model(iqa)
    values = [niqe(image, model) for image in [photo, *noisy]]
    assert values == sorted(values)
    assert values[-1] > 2 * values[0]


def test_only_whole_blocks_count(photo: AnyImage, unit: NIQEModel) -> None:
    changed = photo.copy()
    changed[192:], changed[:, 192:] = 0, 255
    assert niqe(changed, unit) == niqe(photo, unit) == niqe(photo[:192, :192], unit)


def test_two_blocks_are_the_least(photo: AnyImage, unit: NIQEModel) -> None:
    assert niqe(photo[:96, :192], unit) > 0
    assert niqe(photo[:192, :96], unit) > 0
    with pytest.raises(ValueError, match="at least 192x96 pixels, this image is 191x191"):
        niqe(photo[:191, :191], unit)


def test_a_flat_image_has_no_statistics(unit: NIQEModel) -> None:
    with pytest.raises(ValueError, match="not flat"):
        niqe(np.full((192, 192), 255, dtype=np.uint8), unit)


def test_flat_blocks_do_not_enter_the_covariance(photo: AnyImage, unit: NIQEModel) -> None:
    image = np.pad(photo[:192, :192], ((0, 0), (0, 96), (0, 0)), "edge")
    image[:, 192:] = 128
    assert np.isfinite(niqe(image, unit))


def test_mscn_of_flat_areas_is_exactly_zero() -> None:
    plane = np.full((40, 40), 200.1)
    plane[:, 20:] = np.random.default_rng(0).integers(0, 256, (40, 20))
    normalised = mscn(plane)
    assert np.all(normalised[:, :17] == 0)
    assert np.abs(normalised[:, 20:]).mean() > 0.3


@pytest.mark.parametrize(("power", "shape"), [("laplace", 1), ("normal", 2)])
def test_aggd_recovers_shape_and_scales(power: str, shape: int) -> None:
    values = getattr(np.random.default_rng(0), power)(size=(1, 200_000))
    values = np.where(values < 0, 2 * values, 3 * values)
    # Sides of an asymmetric distribution occur in proportion to their scales
    values = values[:, np.flatnonzero((values[0] > 0) | (np.arange(200_000) % 3 < 2))]
    fit = fit_aggd(values)
    scale = 1 if shape == 1 else np.sqrt(2)
    assert fit.shape[0] == pytest.approx(shape, rel=0.03)
    assert fit.left[0] == pytest.approx(2 * scale, rel=0.03)
    assert fit.right[0] == pytest.approx(3 * scale, rel=0.03)
    assert fit.mean()[0] == pytest.approx(values.mean(), rel=0.05)


def test_aggd_finds_the_nearest_shape_of_the_grid() -> None:
    values = np.random.default_rng(0).normal(size=(20, 500)) ** 3
    fit = fit_aggd(values)
    for row, shape in zip(values, fit.shape, strict=True):
        assert fit_aggd(row[None]).shape[0] == shape
        assert shape * 1000 == pytest.approx(round(shape * 1000))


def test_aggd_without_one_side_is_not_a_number() -> None:
    fit = fit_aggd(np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]))
    assert fit.shape.tolist() == [0.2, 0.2]
    assert np.isnan(fit.left).all()


def test_features_of_a_block_do_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((96, 96))
    alone = block_features(plane[:48, 48:], 48)
    assert np.array_equal(block_features(plane, 48)[1], alone[0])
