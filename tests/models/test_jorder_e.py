from pathlib import Path

import numpy as np
import pytest
import torch

from derain.models.cost import cost
from derain.models.jorder_e import JORDERE, JORDEREConfig
from derain.weights.convert import convert, load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURE = SHARED / "fixtures/baselines/jorder_e_practical.npz"
WEIGHTS = SHARED / "data/peers/jorder_e/jorder_e_practical.pth"
needs_weights = pytest.mark.skipif(
    not (FIXTURE.is_file() and WEIGHTS.is_file()),
    reason=f"the authors' weights and outputs are not at {SHARED}",
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny() -> JORDERE:
    return JORDERE(JORDEREConfig(width=4, units=2)).eval()


@pytest.mark.parametrize(
    ("config", "parameters", "gmacs"),
    [(JORDEREConfig(), 4_169_024, 818.1), (JORDEREConfig(32, 3), 406_784, 79.6)],
)
def test_has_the_specifications_parameters_and_cost(config, parameters, gmacs):
    with torch.device("meta"):
        counted = cost(JORDERE(config), 384, 512)
    assert counted.parameters == parameters
    assert round(counted.gmacs, 1) == gmacs


@needs_weights
def test_gives_what_the_authors_code_gives():
    stored = np.load(FIXTURE)
    x, output, output1, mask, level = (
        torch.from_numpy(stored[k]) for k in ("input", "output", "output1", "mask", "level")
    )
    assert convert(WEIGHTS)[:2] == ("jorder-e-practical", JORDEREConfig(32, 3))
    network = load_authors(WEIGHTS)
    assert isinstance(network, JORDERE)
    with torch.no_grad():
        first, second = network.estimates(x / 255)
        derained = network(x / 255)
    # Values up to 255, of which f32 resolves 1.5e-5: the bound is for [0, 1].
    for ours, theirs in ((first.clean, output1), (second.clean, output), (second.level, level)):
        torch.testing.assert_close(ours / 255, theirs / 255, atol=1e-5, rtol=0)
    torch.testing.assert_close(second.mask / 255, mask / 255, atol=1e-5, rtol=0)
    torch.testing.assert_close(derained, output / 255, atol=1e-5, rtol=0)


@needs_weights
def test_may_be_read_as_bgr():
    image = torch.rand(1, 3, 20, 24)
    rgb, bgr = (load_authors(WEIGHTS, order=order) for order in ("rgb", "bgr"))
    with torch.no_grad():
        torch.testing.assert_close(bgr(image.flip(1)).flip(1), rgb(image), atol=1e-5, rtol=0)
        assert (bgr(image) - rgb(image)).abs().max() > 1e-3


def test_the_second_pass_goes_on_from_the_first():
    network = tiny()
    image = torch.rand(1, 3, 10, 12)
    with torch.no_grad():
        first, second = network.estimates(image)
        again = network.passes[1](255 * image, first)
        torch.testing.assert_close(again.clean, second.clean)
        # With layers that give nothing, it keeps the mask and level that it is given.
        for part in ("mask", "level"):
            for parameter in network.passes[1].get_submodule(part).parameters():
                parameter.zero_()
        kept = network.passes[1](255 * image, first)
    assert torch.equal(kept.mask, first.mask)
    assert torch.equal(kept.level, first.level)


def test_the_result_is_the_rainy_image_plus_something_in_both_passes():
    network = tiny()
    image = torch.rand(1, 3, 10, 12)
    with torch.no_grad():
        for each, shift in zip(network.passes, (25.5, 51.0), strict=True):
            last = each.get_submodule("last.1")
            last.get_parameter("weight").zero_()
            last.get_parameter("bias").fill_(shift)
        first, second = network.estimates(image)
    torch.testing.assert_close(first.clean / 255, image + 0.1)
    torch.testing.assert_close(second.clean / 255, image + 0.2)


def test_a_fresh_network_multiplies_by_one():
    network = tiny()
    with torch.no_grad():
        for factor, channels in (("mask_factor", 2), ("level_factor", 3)):
            given = network.passes[0].get_submodule(factor)(torch.rand(1, channels, 6, 6))
            assert torch.equal(given, torch.ones(1, 4, 6, 6))
