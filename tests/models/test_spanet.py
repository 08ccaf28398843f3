from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from derain.models.cost import cost
from derain.models.spanet import Recurrence, SPANet, SPANetConfig, recur, recur_in_graph
from derain.weights.convert import convert, load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURES = SHARED / "fixtures/baselines"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the authors' outputs are not at {FIXTURES}"
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("direction_weights", "parameters", "gmacs"),
    [(True, 283_716, 108.7), (False, 283_716 - 7_012, 103.2)],
)
def test_has_the_specifications_parameters_and_cost(direction_weights, parameters, gmacs):
    with torch.device("meta"):
        counted = cost(SPANet(SPANetConfig(direction_weights=direction_weights)), 384, 512)
    assert counted.parameters == parameters
    assert round(counted.gmacs, 1) == gmacs


@needs_fixtures
@pytest.mark.parametrize("name", ["spa", "rain200h", "rain200l"])
def test_gives_what_the_authors_code_gives(name):
    stored = np.load(FIXTURES / f"spanet_{name}.npz")
    image, output, mask = (torch.from_numpy(stored[k]) for k in ("input", "output", "mask1"))
    path = SHARED / f"data/peers/spanet/spanet_{name}.pth"
    if not path.is_file():
        pytest.skip(f"the authors' weights are not at {path}")
    assert convert(path)[:2] == ("spanet", SPANetConfig())
    network = load_authors(path)
    assert isinstance(network, SPANet)
    with torch.no_grad():  # theirs is BGR, and ours was converted to RGB
        derained, maps = network.derain(image.flip(1))
    torch.testing.assert_close(derained.flip(1), output, atol=1e-5, rtol=0)
    torch.testing.assert_close(maps[0], mask, atol=1e-5, rtol=0)


@needs_fixtures
def test_the_recurrences_give_what_the_authors_kernel_gives():
    stored = np.load(FIXTURES / "spanet_irnn.npz")
    weight, bias = (torch.from_numpy(stored[key]) for key in ("weight", "bias"))
    recurrence = Recurrence(weight.shape[1])
    recurrence.load_state_dict({"weight": weight, "bias": bias})
    with torch.no_grad():
        output = recurrence(torch.from_numpy(stored["input"]))
    expected = torch.cat(list(torch.from_numpy(stored["output"])), dim=1)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)


def test_a_recurrence_is_what_its_formula_says():
    u, weight, bias = torch.randn(3, 2), torch.tensor([[-0.5]]), torch.tensor([[0.25]])
    expected = [u[0].relu()]
    for row in u[1:]:
        expected.append((-0.5 * expected[-1] + 0.25 + row).relu())
    torch.testing.assert_close(recur(u[None, None], weight, bias)[0, 0], torch.stack(expected))


@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_the_form_for_graphs_gives_the_same(length):
    u, weight, bias = (
        torch.randn(2, 6, length, 3),
        torch.linspace(-1, 1, 6)[:, None],
        torch.randn(6, 1),
    )
    torch.testing.assert_close(recur_in_graph(u, weight, bias), recur(u, weight, bias))


def test_each_direction_sees_its_side_alone():
    recurrence = Recurrence(1)
    recurrence.bias.data.fill_(0.5)
    image = torch.rand(1, 1, 9, 9)
    image.requires_grad_()
    for k, (rows, columns) in enumerate([  # what is seen from the middle
        (slice(4, 9), slice(4, 5)), (slice(4, 5), slice(0, 5)),
        (slice(0, 5), slice(4, 5)), (slice(4, 5), slice(4, 9)),
    ]):  # fmt: skip
        (gradient,) = torch.autograd.grad(recurrence(image)[0, k, 4, 4], image)
        seen = torch.zeros(9, 9, dtype=torch.bool)
        seen[rows, columns] = True
        assert torch.equal(gradient[0, 0] != 0, seen)


def test_the_maps_weight_the_blocks_between():
    network = SPANet(SPANetConfig(width=8)).eval()
    image = torch.rand(1, 3, 16, 16)

    def nothing(_: nn.Module, __: tuple[Tensor], weights: Tensor) -> Tensor:
        return torch.zeros_like(weights)

    with torch.no_grad():
        derained, maps = network.derain(image)
        assert [m.shape for m in maps] == 4 * [(1, 1, 16, 16)]
        assert all(m.min() >= 0 and m.max() <= 1 for m in maps)
        # Where the maps are 0, only the blocks before and after count.
        network.attention.register_forward_hook(nothing)  # type: ignore[arg-type]
        expected = torch.relu(network.first(image))
        for body in [*network.before, *network.after]:
            expected = torch.relu(expected + body(expected))
        expected = network.last(expected)
        torch.testing.assert_close(network(image), expected)
        assert (derained - expected).abs().max() > 1e-5
