from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from derain.models.cost import cost
from derain.models.sirr import (
    SIRR,
    Mixture,
    SIRRConfig,
    divergence,
    losses,
    refit,
    responsibilities,
    update,
)

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize(("shared", "parameters"), [(True, 57_369), (False, 58_578)])
def test_has_the_specifications_parameters_and_cost(shared, parameters):
    with torch.device("meta"):
        counted = cost(SIRR(SIRRConfig(shared_affine=shared)), 384, 512)
    assert counted.parameters == parameters
    assert round(counted.gmacs, 1) == 11.0


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"the authors' outputs are not at {FIXTURES}")
def test_network_mixture_and_losses_are_those_of_the_published_graph():
    content = np.load(FIXTURES / "sirr.npz")
    stored = {name: torch.from_numpy(content[name]) for name in content.files}
    network = SIRR(SIRRConfig(width=8, shared_affine=False)).train()
    state: dict[str, Tensor] = {}
    for i, (conv, norm) in enumerate(layers(network), 1):
        kernel = stored[f"w/conv_{i}/weights_{i}"].permute(3, 2, 0, 1)
        state[f"{conv}.weight"] = kernel
        for ours, theirs in ((f"{conv}.bias", "biases"), (f"{norm}.weight", "scale"),
                             (f"{norm}.bias", "beta")):  # fmt: skip
            state[ours] = stored[f"w/conv_{i}/{theirs}_{i}"]
            state[f"of_real.{ours.replace('.', '-')}"] = stored[f"w/conv_{i}_1/{theirs}_{i}"]
    network.load_state_dict(state)
    rainy, clean, real = (stored[key] for key in ("input", "clean", "real"))
    with torch.no_grad():
        torch.testing.assert_close(network(rainy), stored["output"], atol=1e-5, rtol=0)
        derained = network.derain_real(real)
        torch.testing.assert_close(derained, stored["real_output"], atol=1e-5, rtol=0)
        # From here on the stored output, so that differences of it do not add up.
        errors = (real - stored["real_output"]).permute(0, 2, 3, 1)
        before = Mixture(stored["sigma0"].double(), stored["weight0"].double())
        mixture, shares = update(errors, before)
        for ours, key in ((mixture.variances, "sigma1"), (mixture.weights, "weight1"),
                          (shares[:64], "resp")):  # fmt: skip
            torch.testing.assert_close(ours, stored[key].double(), atol=1e-5, rtol=0)
        in_our_order = shares.view(*errors.shape, 3).permute(0, 3, 1, 2, 4).reshape(-1, 3)
        terms = losses(network, rainy, clean, real, mixture, in_our_order)
        ours = torch.stack([*terms, terms.total()]).float()
    torch.testing.assert_close(ours, stored["losses"], atol=1e-5, rtol=1e-5)


def layers(network: SIRR) -> list[tuple[str, str]]:
    """Names of the convolutions and of the normalisation of each, in their order."""
    inside = [
        (f"blocks.{k}.body.{i}", f"blocks.{k}.body.{i + 1}") for k in range(12) for i in (0, 3)
    ]
    return [("first.0", "first.1"), *inside, ("last.0", "last.1")]


def test_fitting_finds_the_gaussians_that_errors_came_from():
    errors = torch.cat([0.01 * torch.randn(30_000), 0.3 * torch.randn(10_000)]).double()
    mixture = Mixture(torch.tensor([0.5, 0.001]).double(), torch.tensor([0.5, 0.5]).double())
    for _ in range(200):
        mixture, _ = update(errors, mixture)
    shares = responsibilities(errors, mixture)
    torch.testing.assert_close(
        mixture.variances.sqrt(), torch.tensor([0.3, 0.01]).double(), rtol=0.05, atol=0
    )
    torch.testing.assert_close(
        mixture.weights, torch.tensor([0.25, 0.75]).double(), rtol=0.05, atol=0
    )
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(40_000).double())


def test_one_gaussian_has_all_responsibility():
    errors = torch.randn(50).double()
    shares = responsibilities(errors, Mixture(torch.ones(1).double(), torch.ones(1).double()))
    assert torch.equal(shares, torch.ones(50, 1).double())
    fitted = refit(errors, shares)
    torch.testing.assert_close(fitted.variances[0], errors.square().mean() + 1e-6)


def test_rain_like_the_mixture_diverges_least():
    rain = torch.randn(100_000).double()
    near, far = (
        divergence(rain, Mixture(torch.tensor([s]).double(), torch.ones(1).double()))
        for s in (1.0, 3.0)
    )
    assert abs(near) < 1e-3 < far


@pytest.mark.parametrize("shared", [True, False])
def test_real_images_train_the_kernels_and_their_own_affine_weights_alone(shared):
    network = SIRR(SIRRConfig(width=4, blocks=1, shared_affine=shared)).train()
    network.derain_real(torch.rand(2, 3, 16, 16)).square().sum().backward()
    trained = {n for n, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert "blocks.0.body.0.weight" in trained
    assert ("blocks.0.body.1.weight" in trained) is shared
    assert ("of_real.blocks-0-body-1-weight" in trained) is not shared
