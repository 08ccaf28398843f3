"""The losses, from their definitions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain import metrics  # noqa: E402
from derain.losses import LOSSES, charbonnier, edge, fft, laplacian, ssim, weighted  # noqa: E402


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, 3, 12, 17, generator=generator)


def test_charbonnier_is_eps_for_equal_images_and_absolute_for_distant_ones(images):
    x, _ = images
    assert charbonnier(x, x).item() == pytest.approx(1e-3, rel=1e-5)
    assert charbonnier(x, x + 5).item() == pytest.approx(5, rel=1e-6)


def test_charbonnier_takes_the_root_of_each_element_before_the_mean(images):
    x, y = images
    expected = np.sqrt((x - y).double().numpy() ** 2 + 1e-6).mean()
    assert charbonnier(x, y).item() == pytest.approx(expected, rel=1e-5)


def test_laplacian_has_eight_neighbours_and_zeros_around():
    x = torch.zeros(1, 3, 5, 5)
    x[0, 1, 2, 2] = 1
    kernel = -torch.ones(3, 3)
    kernel[1, 1] = 8
    assert torch.allclose(laplacian(x)[0, 1, 1:4, 1:4], kernel, atol=1e-6)
    assert not laplacian(x)[0, 0].any()
    corner = laplacian(torch.ones(1, 3, 4, 4))[0, 0, 0, 0].item()
    assert corner == pytest.approx(5)  # 8 - 3: outside counts as zero


def test_edge_loss_does_not_see_a_constant_inside(images):
    x, _ = images
    inside = laplacian(x + 0.3)[..., 1:-1, 1:-1] - laplacian(x)[..., 1:-1, 1:-1]
    assert inside.abs().max() < 1e-5
    assert edge(x, x).item() == pytest.approx(1e-3, rel=1e-5)


def test_mspfns_losses_are_taken_in_minus_one_to_one_in_float32(images):
    x, y = images
    a, b = 2 * x - 1, 2 * y - 1
    mspfn = weighted({"charbonnier": 1.0, "edge": 0.05})
    expected = charbonnier(a, b) + 0.05 * edge(a, b)
    assert mspfn(x, y).item() == pytest.approx(expected.item(), rel=1e-6)
    assert mspfn(x.bfloat16(), y).dtype == torch.float32


def test_weights_scale_their_losses_and_a_zero_takes_one_out(images):
    x, y = images
    alone = {name: weighted({name: 1.0})(x, y).item() for name in LOSSES}
    assert len(set(alone.values())) == len(LOSSES)
    total = weighted({"l1": 2.0, "ssim": 0.5, "mse": 0.0})(x, y).item()
    assert total == pytest.approx(2 * alone["l1"] + 0.5 * alone["ssim"], rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_named_loss_is_least_for_equal_images_and_grows_with_the_error(name, images):
    x, y = images
    loss = LOSSES[name]
    values = [loss(x + t * (y - x), x).item() for t in (0, 0.25, 0.5, 1)]
    assert values[0] < 0.003  # Charbonnier's eps
    assert values == sorted(values)
    assert loss(y.bfloat16(), x).dtype == torch.float32


def test_an_unknown_loss_lists_the_known():
    with pytest.raises(ValueError, match=r"unknown loss 'L1'; known: charbonnier, edge, l1"):
        weighted({"L1": 1.0})


def test_fft_loss_is_the_mean_distance_of_the_spectra(images):
    x, y = images
    spectra = [np.fft.rfft2(p.double().numpy(), norm="ortho") for p in (x, y)]
    difference = spectra[0] - spectra[1]
    expected = (np.abs(difference.real) + np.abs(difference.imag)).mean() / 2
    assert fft(x, y).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("protocol", "padding"), [("dcsfn", 5), ("rgb", 0)])
def test_ssim_agrees_with_the_metric(protocol, padding):
    rng = np.random.default_rng(0)
    smooth = np.cumsum(rng.normal(size=(40, 53, 3)), axis=1)
    clean = np.clip(128 + 20 * smooth, 0, 255).astype(np.uint8)
    rainy = np.clip(clean + rng.integers(0, 90, clean.shape), 0, 255).astype(np.uint8)
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None] / 255 for p in (rainy, clean))
    expected = metrics.ssim(rainy, clean, protocol=protocol)
    assert 0.1 < expected < 0.95
    assert ssim(x, y, padding).item() == pytest.approx(expected, abs=1e-5)
    assert ssim(x, x, padding).item() == pytest.approx(1, abs=1e-6)


def test_ssim_has_a_gradient_that_points_to_the_clean_image(images):
    x, y = images
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(ssim(x, y), x)
    with torch.no_grad():
        assert ssim(x + 10 * gradient, y) > ssim(x, y)
