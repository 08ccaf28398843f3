from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from derain.models.cost import cost
from derain.models.nledn import (
    NLEDN,
    NLEDNConfig,
    NonLocal,
    join_regions,
    pool,
    split_regions,
    unpool,
)
from derain.weights.convert import convert, load_authors

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes) -> NLEDN:
    network = NLEDN(NLEDNConfig(**{"width": 4, "growth": 3, "layers": 2, **changes})).eval()
    for module in network.modules():
        if isinstance(module, NonLocal):
            nn.init.normal_(module.last.weight)  # else it does nothing yet
    return network


@pytest.mark.parametrize(("height", "width", "gmacs"), [(384, 512, 82.2), (256, 256, 23.9)])
def test_has_the_specifications_parameters_and_cost(height, width, gmacs):
    with torch.device("meta"):
        network = NLEDN()
    parameters, convolutions = cost(network, height, width)
    assert parameters == 1_005_379
    # Every pixel times the keys of its region, twice: to compare and to take the mean. Regions
    # are 1/64 of the image, at the coarsest level too. Five levels: two blocks below the first.
    keys = height * width // 64 // 4
    pixels = height * width * (1 + 2 / 4 + 2 / 16 + 1 / 64)
    attention = 2 * keys * 32 * pixels
    assert round((convolutions + attention) / 1e9, 1) == gmacs


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"the authors' outputs are not at {FIXTURES}")
def test_gives_what_the_authors_code_gives(tmp_path):
    stored = np.load(FIXTURES / "nledn.npz")
    state = {k[2:]: torch.from_numpy(stored[k]) for k in stored if k.startswith("w/")}
    torch.save(state, tmp_path / "net.pth")
    image, residual, clipped = (
        torch.from_numpy(stored[key]) for key in ("input", "residual", "output")
    )
    assert convert(tmp_path / "net.pth")[:2] == ("nledn", NLEDNConfig(16, 8, 2))
    with torch.no_grad():
        output = load_authors(tmp_path / "net.pth")(image)
    torch.testing.assert_close(image - output, residual, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.clamp(0, 1), clipped, atol=1e-5, rtol=0)


def test_regions_come_back_where_they_were():
    x = torch.rand(2, 3, 12, 20)
    regions = split_regions(x, 4)
    assert regions.shape == (2 * 16, 3, 3, 5)
    assert torch.equal(regions[16 + 6], x[1, :, 3:6, 10:15])
    assert torch.equal(join_regions(regions, 4), x)


def test_pooling_keeps_the_first_of_equal_values_in_its_place_as_torch_does():
    x = torch.randint(0, 3, (2, 3, 8, 10)).float()  # with many equal neighbours
    largest, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
    ours, where = pool(x)
    assert torch.equal(ours, largest)
    values = torch.rand_like(largest)
    assert torch.equal(unpool(values, where), nn.functional.max_unpool2d(values, indices, [2, 2]))


def test_non_local_compares_without_a_scale_and_starts_as_the_identity():
    block = NonLocal(4)
    x = torch.rand(1, 4, 6, 8)
    assert torch.equal(block(x), x)
    nn.init.normal_(block.last.weight)
    q = block.query(x).flatten(2)
    k, v = (nn.functional.max_pool2d(f(x), 2).flatten(2) for f in (block.key, block.value))
    weights = torch.einsum("ncp,ncq->npq", q, k).softmax(dim=2)
    mean = torch.einsum("npq,ncq->ncp", weights, v).reshape(1, 2, 6, 8)
    torch.testing.assert_close(block(x), x + block.last(mean))


def test_a_region_sees_nothing_of_another():
    network = tiny()
    block = network.encoders[0].get_submodule("non_local")
    x = torch.rand(1, 4, 32, 32)
    changed = x.clone()
    changed[..., 20:, 20:] += 1
    with torch.no_grad():
        before, after = (join_regions(block(split_regions(each, 8)), 8) for each in (x, changed))
    assert torch.equal(before[..., :20, :], after[..., :20, :])
    assert (before[..., 20:, 20:] - after[..., 20:, 20:]).abs().min() > 0


def test_subtracts_rain_between_minus_one_and_one():
    network = tiny()
    nn.init.zeros_(network.last.weight)
    nn.init.constant_(network.last.bias, 0.5)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(image), image - np.tanh(0.5))


def test_an_image_too_small_for_its_regions_is_refused():
    with pytest.raises(ValueError, match="at least 9 x 9: 8 x 30"):
        tiny()(torch.rand(1, 3, 8, 30))
    assert tiny()(torch.rand(1, 3, 9, 30)).shape == (1, 3, 9, 30)
