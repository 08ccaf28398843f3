"""MSPFN's losses, from their definition."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain.losses import charbonnier, edge, laplacian, mspfn_loss  # noqa: E402


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, 3, 12, 17, generator=generator)


def test_charbonnier_is_eps_for_equal_pictures_and_absolute_for_distant_ones(pictures):
    x, _ = pictures
    assert charbonnier(x, x).item() == pytest.approx(1e-3, rel=1e-5)
    assert charbonnier(x, x + 5).item() == pytest.approx(5, rel=1e-6)


def test_charbonnier_takes_the_root_of_each_element_before_the_mean(pictures):
    x, y = pictures
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


def test_edge_loss_does_not_see_a_constant_inside(pictures):
    x, _ = pictures
    inside = laplacian(x + 0.3)[..., 1:-1, 1:-1] - laplacian(x)[..., 1:-1, 1:-1]
    assert inside.abs().max() < 1e-5
    assert edge(x, x).item() == pytest.approx(1e-3, rel=1e-5)


def test_total_is_taken_in_minus_one_to_one_in_float32(pictures):
    x, y = pictures
    a, b = 2 * x - 1, 2 * y - 1
    expected = charbonnier(a, b) + 0.05 * edge(a, b)
    assert mspfn_loss(x, y).item() == pytest.approx(expected.item(), rel=1e-6)
    assert mspfn_loss(x.bfloat16(), y).dtype == torch.float32
    assert mspfn_loss(x, y, edge_weight=0).item() == pytest.approx(charbonnier(a, b).item())
