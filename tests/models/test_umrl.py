from pathlib import Path

import numpy as np
import pytest
import torch

from derain.models.cost import cost
from derain.models.umrl import UMRL, UMRLConfig
from derain.weights.convert import convert, load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURE = SHARED / "fixtures/baselines/umrl_jorder.npz"
WEIGHTS = SHARED / "data/peers/umrl/umrl_jorder.pth"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_has_the_specifications_parameters_and_cost():
    with torch.device("meta"):
        network = UMRL()
        assert cost(network, 384, 512).parameters == 981_994
        assert round(cost(network, 384, 512).gmacs, 1) == 43.5
        network.forward = lambda image: network.estimates(2 * image - 1)[0]  # type: ignore
        assert round(cost(network, 384, 512).gmacs, 1) == 48.9


@pytest.mark.skipif(
    not (FIXTURE.is_file() and WEIGHTS.is_file()),
    reason=f"the authors' weights and outputs are not at {SHARED}",
)
@pytest.mark.parametrize(("statistics", "suffix"), [("image", "batch"), ("running", "running")])
def test_gives_what_the_authors_code_gives(statistics, suffix):
    stored = np.load(FIXTURE)
    x = torch.from_numpy(stored["input"])
    name, config, state = convert(WEIGHTS)
    assert (name, config) == ("umrl", UMRLConfig())
    network = UMRL(UMRLConfig(statistics=statistics)).eval()
    network.load_state_dict(state)
    with torch.no_grad():
        results = network.estimates(x)
        derained = network((x + 1) / 2)
    names = ("residual1", "output", "clean4", "clean2", "conf4", "conf2", "conf1")
    for name, ours in zip(names, results, strict=True):
        expected = torch.from_numpy(stored[f"{name}_{suffix}"])
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(derained, (results.clean1 + 1) / 2, atol=1e-5, rtol=0)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"the authors' weights are not at {WEIGHTS}")
def test_its_channels_cannot_be_swapped():
    with pytest.raises(ValueError, match="umrl cannot be converted from BGR to RGB"):
        load_authors(WEIGHTS, order="bgr")


def test_one_estimator_serves_the_lower_scales():
    network = UMRL(UMRLConfig(width=8)).eval()
    heights: list[int] = []
    network.rain.register_forward_hook(lambda _, args, __: heights.append(args[0].shape[2]))
    with torch.no_grad():
        result = network.residuals(torch.rand(1, 3, 32, 48))
    assert heights == [8, 16]
    assert [r.shape[2] for r in result] == [32, 16, 8, 16, 8, 32]


def test_statistics_of_the_image_ignore_the_stored_ones():
    image = torch.rand(1, 3, 32, 32)
    for config, same in (
        (UMRLConfig(width=8), True),
        (UMRLConfig(width=8, statistics="running"), False),
    ):
        network = UMRL(config).eval()
        with torch.no_grad():
            before = network(image)
            for name, value in network.named_buffers():
                if name.endswith("running_var"):
                    value.fill_(4.0)
            assert torch.equal(network(image), before) is same
