from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from derain.models.cost import cost
from derain.models.did_mdn import DIDMDN, DensityNet, DerainNet, DIDMDNConfig, ResidualNet
from derain.models.norms import Statistics
from derain.weights.convert import convert
from derain.weights.convert.checkpoint import to_state
from derain.weights.convert.did_mdn import reading_of

FIXTURE = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines/did_mdn.npz"
needs_fixture = pytest.mark.skipif(
    not FIXTURE.is_file(), reason=f"the authors' outputs are not at {FIXTURE}"
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


class Told(nn.Module):
    """A network of streams that is told a density, so that its cost can be counted."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        rain = self.network(image, image.new_zeros(1))
        return self.network.clean(image, rain) if isinstance(self.network, DerainNet) else rain


@pytest.mark.parametrize(
    ("kind", "parameters", "large", "square"),
    [(DerainNet, 365_236, 21.7, 28.9), (ResidualNet, 103_609, 7.9, 10.6)],
)
def test_streams_have_the_specifications_parameters_and_cost(kind, parameters, large, square):
    with torch.device("meta"):
        network = Told(kind("image"))
        assert cost(network, 384, 512).parameters == parameters
        assert cost(network, 384, 512).gmacs == pytest.approx(large, abs=0.06)  # 7.95: cut
        assert round(cost(network, 512, 512).gmacs, 1) == square


def test_the_density_network_has_the_specifications_parameters_and_cost():
    with torch.device("meta"):
        counted = cost(DensityNet("image"), 512, 512)
        whole = cost(DIDMDN(), 512, 512)
    assert counted.parameters == 65_501_084
    assert round(counted.gmacs, 1) == 4.1
    assert whole.parameters == 65_501_084 + 365_236 + 103_609
    assert round(whole.gmacs, 1) == 43.6  # 28.9 + 10.6 + 4.1


def stored_weights(stored: np.lib.npyio.NpzFile, kind: str) -> dict[str, Tensor]:
    """The authors' tensors, which the fixture holds as integers."""
    flat, position, tensors = stored[f"{kind}_q"].astype(np.float32), 0, {}
    names, shapes = stored[f"{kind}_names"], stored[f"{kind}_shapes"]
    for name, shape, scale in zip(names, shapes, stored[f"{kind}_scales"], strict=True):
        shape = [int(length) for length in shape if length]
        values = flat[position : position + int(np.prod(shape))] * scale
        tensors[str(name)] = torch.from_numpy(values.reshape(shape))
        position += len(values)
    return tensors


@needs_fixture
@pytest.mark.parametrize("kind", ["derain", "residual"])
@pytest.mark.parametrize(("statistics", "mode"), [("image", "train"), ("running", "eval")])
def test_gives_what_the_authors_code_gives(kind, statistics: Statistics, mode):
    stored = np.load(FIXTURE)
    network: Any = (DerainNet if kind == "derain" else ResidualNet)(statistics).eval()
    network.load_state_dict(to_state(stored_weights(stored, kind), reading_of(network)))
    x, label = torch.from_numpy(stored["input"]), torch.from_numpy(stored["label"])
    with torch.no_grad():
        rain = network(x, label.view(1))
        expected = torch.from_numpy(stored[f"{kind}_{mode}_residual"])
        torch.testing.assert_close(rain, expected, atol=1e-5, rtol=0)
        if isinstance(network, DerainNet):
            expected = torch.from_numpy(stored[f"{kind}_{mode}_clean"])
            torch.testing.assert_close(network.clean(x, rain), expected, atol=1e-5, rtol=0)


@needs_fixture
def test_the_derain_network_is_read_as_one_that_is_told_the_density(tmp_path):
    stored = np.load(FIXTURE)
    torch.save(stored_weights(stored, "derain"), tmp_path / "net.pth")
    name, config, state = convert(tmp_path / "net.pth")
    assert (name, config) == ("did-mdn-known", DIDMDNConfig(density=1))
    network = DIDMDN(DIDMDNConfig(density=2)).eval()
    network.load_state_dict(state)
    x = torch.from_numpy(stored["input"])
    with torch.no_grad():
        output = network((x + 1) / 2)
    expected = (torch.from_numpy(stored["derain_train_clean"]) + 1) / 2
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
    torch.save(stored_weights(stored, "residual"), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth: holds DID-MDN's residual network"):
        convert(tmp_path / "other.pth")


class Judge(DensityNet):
    """A density network that says what it is told."""

    def __init__(self, best: int) -> None:
        nn.Module.__init__(self)
        self.best = best

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (512, 512)
        return nn.functional.one_hot(torch.full((len(x),), self.best), 4).float()


def test_the_estimated_density_is_what_the_derain_network_is_told():
    told = DIDMDN(DIDMDNConfig(density=3)).eval()
    with torch.device("meta"):
        network = DIDMDN()
    network.derain_net, network.density_net = told.derain_net, Judge(2)
    network.residual_net = ResidualNet("image")
    image = torch.rand(1, 3, 40, 33)
    with torch.no_grad():
        output = network.eval()(image)
        torch.testing.assert_close(output, told(image))
        network.density_net = Judge(0)
        assert (network(image) - output).abs().max() > 1e-6


def test_an_image_too_small_for_the_pyramid_is_refused():
    network = DIDMDN(DIDMDNConfig(density=1)).eval()
    with pytest.raises(ValueError, match="at least 25 x 25: 24 x 60"):
        network(torch.rand(1, 3, 24, 60))
    assert network(torch.rand(1, 3, 25, 60)).shape == (1, 3, 25, 60)
