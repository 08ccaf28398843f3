from pathlib import Path

import numpy as np
import pytest
import torch

from derain.models.cost import cost
from derain.models.rescan import RESCAN, RESCANConfig
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


def tiny(**changes) -> RESCAN:
    return RESCAN(RESCANConfig(**{"width": 6, "stages": 3, "depth": 5, **changes})).eval()


@pytest.mark.parametrize(
    ("unit", "parameters", "plain", "gmacs"),
    [
        ("conv", 28_695, 26_787, 21.0),
        ("rnn", 54_735, 52_827, 36.2),
        ("gru", 149_823, 147_915, 96.2),
        ("lstm", 197_367, 195_459, 128.4),
    ],
)
def test_has_the_specifications_parameters_and_cost(unit, parameters, plain, gmacs):
    with torch.device("meta"):
        counted = cost(RESCAN(RESCANConfig(unit=unit)), 384, 512)
        without = cost(RESCAN(RESCANConfig(unit=unit, excitation=False)), 384, 512)
    assert (counted.parameters, without.parameters) == (parameters, plain)
    assert round(counted.gmacs, 1) == gmacs


@needs_fixtures
@pytest.mark.parametrize("name", ["rain200h", "rain200l"])
def test_gives_what_the_authors_code_gives(name):
    stored = np.load(FIXTURES / f"rescan_{name}.npz")
    image, rain, output = (torch.from_numpy(stored[k]) for k in ("input", "rain", "output"))
    path = SHARED / f"data/peers/rescan/rescan_gru_full_{name}.pth"
    if not path.is_file():
        pytest.skip(f"the authors' weights are not at {path}")
    assert convert(path)[:2] == ("rescan", RESCANConfig())
    network = load_authors(path)
    assert isinstance(network, RESCAN)
    with torch.no_grad():  # theirs is BGR, and ours was converted to RGB
        rains = torch.cat(network.rains(image.flip(1))).flip(1)
        torch.testing.assert_close(rains, rain, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(image.flip(1)).flip(1), output, atol=1e-5, rtol=0)


@needs_fixtures
@pytest.mark.parametrize("name", ["conv_add", "rnn_full", "gru_add", "lstm_full"])
def test_every_unit_and_frame_gives_what_the_authors_code_gives(name, tmp_path):
    stored = np.load(FIXTURES / "rescan_variants.npz")
    unit, frame = name.split("_")
    state = {
        key.partition("/")[2]: torch.from_numpy(stored[key])
        for key in stored
        if key.startswith(f"{name}/")
    }
    torch.save({"net": state, "clock": 3}, tmp_path / "net.pth")
    _, config, ours = convert(tmp_path / "net.pth", order="rgb")
    assert config == RESCANConfig(width=6, unit=unit)
    network = RESCAN(RESCANConfig(width=6, unit=unit, frame=frame))
    network.load_state_dict(ours)
    with torch.no_grad():
        rains = torch.cat(network.rains(torch.from_numpy(stored["input"])))
    torch.testing.assert_close(rains, torch.from_numpy(stored[f"{name}.rain"]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("unit", ["conv", "rnn", "gru", "lstm"])
def test_stages_share_weights_and_the_last_one_is_the_output(unit):
    long, short = tiny(unit=unit), tiny(unit=unit, stages=2)
    short.load_state_dict(long.state_dict())
    image = torch.rand(1, 3, 14, 11)
    with torch.no_grad():
        rains = long.rains(image)
        torch.testing.assert_close(rains[:2], short.rains(image))
        assert torch.equal(image - rains[2], long(image))
    assert not torch.equal(rains[1], rains[2])


def test_the_gradient_of_a_sum_stops_at_the_stage_before():
    network = tiny(frame="add", stages=2, unit="conv")
    image = torch.rand(1, 3, 8, 8)
    first, second = network.rains(image)
    first.retain_grad()
    second.sum().backward()
    # What reaches the first rain comes through the second stage's input alone.
    others = tiny(frame="full", stages=2, unit="conv")
    others.load_state_dict(network.state_dict())
    one, two = others.rains(image)
    one.retain_grad()
    two.sum().backward()
    assert first.grad is not None
    assert one.grad is not None
    torch.testing.assert_close(first.grad, one.grad)


def test_memory_makes_the_second_stage_differ():
    image = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        for unit in ("rnn", "gru", "lstm"):
            network = tiny(unit=unit, stages=2)
            second = network.rains(image)[1]
            forgetful = tiny(unit=unit, stages=1)
            forgetful.load_state_dict(network.state_dict())
            (alone,) = forgetful.rains(network.rains(image)[0].neg() + image)
            assert (second - alone).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("stages", 0, "at least 1"),
        ("depth", 2, "at least 3"),
        ("unit", "mlp", "one of conv, rnn, gru, lstm"),
        ("frame", "half", "one of full, add"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} must be {allowed}.*{value}"):
        RESCANConfig(**{field: value})
