"""What holds of every network that the papers compare with, in a small form of each."""

import copy

import pytest
import torch
from torch import Tensor, nn

from derain.models import build

# Changes that make a small form of each.
NETWORKS: dict[str, dict] = {
    "nledn": {"width": 4, "growth": 3, "layers": 2},
    "rescan": {"width": 6, "stages": 2, "depth": 5},
    "rescan-add": {"width": 6, "stages": 2, "depth": 5, "excitation": False},
    "rescan-lstm": {"width": 6, "stages": 2, "depth": 5},
    "rescan-rnn": {"width": 6, "stages": 2, "depth": 5},
    "rescan-conv": {"width": 6, "stages": 2, "depth": 5},
    "rcdnet": {"stages": 3, "rain_maps": 4, "dual_channels": 3},
    "ddn": {"width": 4, "blocks": 2},
    "ddn-running": {"width": 4, "blocks": 2},
    "ddn-matlab": {"width": 4, "blocks": 2},
    "umrl": {"width": 8},
    "jorder-e": {"width": 4, "units": 1},
    "did-mdn-known": {"density": 2},
    "drdnet": {"width": 4, "blocks": 2},
    "drdnet-paper": {"width": 4, "blocks": 2},
    "rehen": {"width": 8, "stages": 2, "units": 3},
    "spanet": {"width": 8},
    "spanet-directions": {"width": 8},
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    built = build(request.param, **NETWORKS[request.param])
    for parameter in built.parameters():  # what starts at zero hides what lies behind it
        if not parameter.any():
            nn.init.normal_(parameter, std=0.01)
    return built.eval()


def least(network: nn.Module) -> int:
    return network.minimum_size  # type: ignore[return-value]


def tolerance(expected: Tensor) -> float:
    """What rounding may change; networks with random weights may leave [0, 1] far behind."""
    return 1e-5 * max(1.0, expected.abs().max().item())


def test_takes_every_size_from_the_least_up(network):
    for size in ((least(network), least(network)), (least(network) + 4, 33), (97, 131)):
        with torch.no_grad():
            output = network(torch.rand(1, 3, *size))
        assert output.shape == (1, 3, *size)
        assert output.isfinite().all()


def test_changes_the_image_by_what_is_around(network):
    image = torch.rand(1, 3, 40, 48)
    other = image.clone()
    other[..., 20, 24] = 1 - other[..., 20, 24]
    with torch.no_grad():
        change = (network(other) - network(image)).abs().amax(dim=1)[0]
    assert change[20, 24] > 0
    assert change[18:23, 22:27].count_nonzero() > 1


def test_a_batch_equals_its_images_one_by_one(network):
    images = torch.rand(2, 3, 32, 40)
    with torch.no_grad():
        single = torch.cat([network(image[None]) for image in images])
        together = network(images)
    assert (together - single).abs().max() <= tolerance(single)


def test_gradients_reach_every_weight(network):
    network.train()
    network(torch.rand(2, 3, 32, 32)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_channels_last_agrees(network):
    image = torch.rand(1, 3, 32, 40)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = network(image)
        output = last(image.to(memory_format=torch.channels_last))
    assert (output - expected).abs().max() <= tolerance(expected)


# Changes under which a network reads no further than it says, and whether it reads that far.
LOCAL: dict[str, tuple[dict, bool]] = {
    "rescan": ({"width": 4, "stages": 2, "depth": 5, "excitation": False}, True),
    "rescan-lstm": ({"width": 4, "stages": 2, "depth": 5, "excitation": False}, True),
    "rcdnet": ({"stages": 2, "rain_maps": 3, "dual_channels": 2}, True),
    "ddn-running": ({"width": 4, "blocks": 2}, True),
    "umrl": ({"width": 8, "statistics": "running"}, False),
    "jorder-e": ({"width": 4, "units": 2}, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCAL)
def test_reads_as_far_as_its_receptive_radius_says(name, monkeypatch):
    def rectify(x: Tensor, *_: object, **__: object) -> Tensor:  # which stops no gradient
        return torch.where(x > 0, x, 0.9 * x)

    monkeypatch.setattr(nn.functional, "relu", rectify)
    monkeypatch.setattr(nn.ReLU, "forward", lambda _, x: rectify(x))
    monkeypatch.setattr(nn.LeakyReLU, "forward", lambda _, x: rectify(x))
    changes, exactly = LOCAL[name]
    network = build(name, **changes).eval().double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    radius = network.receptive_radius
    assert radius is not None
    height = -(-(2 * radius + 80) // 16) * 16
    image = torch.rand(1, 3, height, 64, dtype=torch.float64, requires_grad=True)
    reach = 0
    for row in range(height // 2, height // 2 + 16, 3):  # cells of 16 pixels begin at some of them
        (gradient,) = torch.autograd.grad(network(image)[:, :, row, 32].sum(), image)
        read = gradient.abs().amax(dim=(0, 1, 3)).nonzero().flatten()
        reach = max(reach, int((read - row).abs().max()))
    assert reach == radius if exactly else reach <= radius
