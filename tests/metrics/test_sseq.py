from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.metrics import sseq, sseq_features
from derain.metrics.sseq import couple, load_model, spatial_entropy, spectral_entropy

AnyImage = NDArray[np.uint8]


def test_noise_is_worse_than_the_photograph(
    photo: AnyImage, noisy: list[AnyImage], iqa: Path
) -> None:
    model = load_model(iqa)
    assert sseq(noisy[-1], model) > sseq(photo, model) + 10


def test_model_has_the_published_shape(iqa: Path) -> None:
    model = load_model(iqa)
    assert model.classifier.vectors.shape == (445, 12)
    assert [len(svm.vectors) for svm in model.regressors] == [127, 140, 102, 94, 97]
    assert model.classifier.counts.sum() == 445


def test_spatial_entropy_of_known_histograms() -> None:
    blocks = np.zeros((4, 8, 8))
    blocks[1] = np.arange(64).reshape(8, 8)  # all different
    blocks[2, :4] = 7  # half and half
    blocks[3, 0, 0] = 9  # one in 64
    one = 1 / 64
    odd = -one * np.log2(one) - (1 - one) * np.log2(1 - one)
    np.testing.assert_allclose(spatial_entropy(blocks), [0, 6, 1, odd], atol=1e-12)


def test_spatial_entropy_equals_that_of_the_histogram() -> None:
    blocks = np.random.default_rng(0).integers(0, 40, (50, 8, 8)).astype(np.float64)
    fractions = np.array([np.bincount(b.astype(int).ravel(), minlength=256) for b in blocks]) / 64
    bits = np.where(fractions > 0, -fractions * np.log2(np.where(fractions > 0, fractions, 1)), 0)
    np.testing.assert_allclose(spatial_entropy(blocks), bits.sum(axis=1), atol=1e-12)


def test_spectral_entropy_counts_the_frequencies() -> None:
    x = np.arange(8)
    wave = np.cos(np.pi / 8 * 2 * (x + 0.5))
    noise = np.random.default_rng(0).standard_normal((8, 8))
    one = np.broadcast_to(50 + 20 * wave, (8, 8))
    two = 50 + 20 * (wave + wave[:, None])
    values = spectral_entropy(np.stack([one, two, noise]))
    assert values[0] == pytest.approx(0, abs=1e-4)
    assert values[1] == pytest.approx(1, abs=1e-4)
    assert 4 < values[2] < 6


def test_spectral_entropy_agrees_with_scipys_dct() -> None:
    fft = pytest.importorskip("scipy.fft")
    blocks = np.random.default_rng(0).integers(0, 256, (20, 8, 8)).astype(np.float64)
    energy = fft.dctn(blocks, axes=(1, 2), norm="ortho") ** 2
    energy[:, 0, 0] = 1e-16
    fraction = energy / energy.sum(axis=(1, 2), keepdims=True)
    expected = -(fraction * np.log2(fraction)).sum(axis=(1, 2))
    np.testing.assert_allclose(spectral_entropy(blocks), expected, atol=1e-10)


def test_features_take_any_size(photo: AnyImage) -> None:
    assert np.isfinite(sseq_features(photo[:61, :83])).all()
    whole, filled = sseq_features(photo[:60, :84]), np.zeros((64, 88, 3), dtype=np.uint8)
    filled[:60, :84] = photo[:60, :84]
    np.testing.assert_allclose(sseq_features(filled)[:4], whole[:4])  # blocks are zero-padded


@pytest.mark.parametrize("size", [(64, 64), (8, 8)])
def test_flat_or_tiny_images_have_no_score(size: tuple[int, int], iqa: Path) -> None:
    with pytest.raises(ValueError, match="flat or too small"):
        sseq(np.full(size, 80, dtype=np.uint8), load_model(iqa))


def test_coupling_recovers_consistent_probabilities() -> None:
    p = np.array([0.5, 0.2, 0.15, 0.1, 0.05])
    wins = p[:, None] / (p[:, None] + p)
    np.fill_diagonal(wins, 0)
    found = couple(wins)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, p, atol=0.01)


def test_coupling_of_undecided_pairs_is_uniform() -> None:
    wins = np.full((5, 5), 0.5)
    np.fill_diagonal(wins, 0)
    np.testing.assert_allclose(couple(wins), 0.2)
