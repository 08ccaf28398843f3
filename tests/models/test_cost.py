import pytest
import torch
from torch import Tensor, nn

from derain.models import build
from derain.models.cost import cost
from derain.models.mh2fnet import MH2FNet, MH2FNetConfig
from derain.models.mspfn import MSPFN, MSPFNConfig


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(3, 5, 3, padding=1), 12 * 20 * 9 * 3 * 5),
        (nn.Conv2d(3, 5, 3, stride=2, padding=1), 6 * 10 * 9 * 3 * 5),
        (nn.Conv2d(3, 6, 3, padding=1, groups=3), 12 * 20 * 9 * 1 * 6),
        (nn.Conv2d(3, 5, 3), 10 * 18 * 9 * 3 * 5),
        (nn.ConvTranspose2d(3, 5, 3, stride=2), 12 * 20 * 9 * 3 * 5),
    ],
    ids=["same", "strided", "groups", "valid", "transposed"],
)
def test_one_layer_costs_what_the_pencil_says(layer: nn.Module, macs: int) -> None:
    counted = cost(layer, 12, 20)
    assert counted.macs == macs
    assert counted.gmacs == macs / 1e9
    assert counted.parameters == sum(p.numel() for p in layer.parameters())


class Mixed(nn.Module):
    """One 1x1 convolution called as a function, then things that do not count."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3, 1, 1))
        self.scale = nn.Buffer(torch.ones(1, 4, 1, 1))
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.conv2d(x, self.weight) * self.scale
        return self.linear(torch.tanh(y) @ y.transpose(2, 3) @ y)


def test_only_convolutions_count_and_functional_ones_do() -> None:
    assert cost(Mixed(), 5, 6).macs == 5 * 6 * 3 * 4


def test_networks_stay_as_they_are() -> None:
    network = MSPFN(MSPFNConfig(fine_modules=1, width=8, lstm_widths=(4, 4, 4)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost(network, 16, 16)
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_without_memory_or_in_half_precision_costs_the_same() -> None:
    config = MSPFNConfig(fine_modules=1, width=8, lstm_widths=(4, 4, 4))
    with torch.device("meta"):
        empty = MSPFN(config)
    assert cost(empty, 24, 16) == cost(MSPFN(config), 24, 16)
    assert cost(MSPFN(config).bfloat16(), 24, 16) == cost(MSPFN(config), 24, 16)


def test_padding_inside_a_network_is_paid_for() -> None:
    network = MSPFN(MSPFNConfig(fine_modules=1, width=8, lstm_widths=(4, 4, 4)))
    assert cost(network, 13, 14) == cost(network, 16, 16)
    assert cost(network, 13, 17).macs > cost(network, 16, 16).macs


def test_folding_makes_mspfn_cheaper_in_numbers_but_not_in_work() -> None:
    network = MSPFN(MSPFNConfig(fine_modules=1, width=8, lstm_widths=(4, 4, 4)))
    full, folded = cost(network, 16, 16), cost(network.fold(), 16, 16)
    assert folded.parameters < full.parameters
    assert folded.macs == full.macs  # the dead part is never computed, folded or not


def test_mspfn_lite_costs_what_its_experiment_says() -> None:
    with torch.device("meta"):
        assert round(cost(build("mspfn-lite"), 384, 512).gmacs, 1) == 38.5


def test_a_size_the_network_refuses_is_refused_here() -> None:
    network = MH2FNet(MH2FNetConfig(extraction_blocks=2, width=4))
    with pytest.raises(ValueError, match="3 x 16"):
        cost(network, 3, 16)
