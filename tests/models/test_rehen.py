from pathlib import Path

import numpy as np
import pytest
import torch

from derain.models.cost import cost
from derain.models.rehen import ReHEN, ReHENConfig
from derain.weights.convert import convert, load_authors

FIXTURE = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines/rehen.npz"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def test_has_the_specifications_parameters_and_cost():
    with torch.device("meta"):
        large, small = (cost(ReHEN(), *size) for size in ((384, 512), (256, 256)))
    assert large.parameters == 297_963
    assert (round(large.gmacs, 1), round(small.gmacs, 1)) == (210.9, 70.3)


@pytest.mark.skipif(not FIXTURE.is_file(), reason=f"the stored outputs are not at {FIXTURE}")
def test_gives_what_derain_toolbox_gives(tmp_path):
    stored = np.load(FIXTURE)
    path = tmp_path / "net.pth"
    torch.save({k[2:]: torch.from_numpy(stored[k]) for k in stored if k.startswith("w/")}, path)
    name, config, state = convert(path)
    assert (name, config) == ("rehen", ReHENConfig(width=8, units=3))
    network = ReHEN(ReHENConfig(width=8, stages=3, units=3)).eval()
    network.load_state_dict(state)
    image = torch.from_numpy(stored["input"])
    with torch.no_grad():
        estimates = network.estimates(image)
        rgb, bgr = (load_authors(path, order=order) for order in ("rgb", "bgr"))
        torch.testing.assert_close(bgr(image.flip(1)).flip(1), rgb(image), atol=1e-5, rtol=0)
    for stage, ours in enumerate(estimates, start=1):
        expected = torch.from_numpy(stored[f"stage{stage}"])
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_stages_share_weights_and_the_last_one_is_the_output():
    long, short = (ReHEN(ReHENConfig(8, stages, 3)).eval() for stages in (3, 2))
    short.load_state_dict(long.state_dict())
    image = torch.rand(1, 3, 14, 11)
    with torch.no_grad():
        estimates = long.estimates(image)
        torch.testing.assert_close(estimates[:2], short.estimates(image))
        assert torch.equal(estimates[2], long(image))
    assert not torch.equal(estimates[1], estimates[2])
