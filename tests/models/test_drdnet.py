from pathlib import Path

import numpy as np
import pytest
import torch

from derain.models.cost import cost
from derain.models.drdnet import DRDNet, DRDNetConfig, HardSigmoid
from derain.weights.convert.checkpoint import Reading, linear_as_convolution, renamed, to_state

FIXTURE = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines/drd_net.npz"
LAYERS = ("a", "na", "p", "b", "nb")  # of a block, as the fixture names them


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes) -> DRDNet:
    return DRDNet(DRDNetConfig(**{"width": 4, "blocks": 2, **changes})).eval()


def test_has_the_specifications_parameters_and_cost():
    with torch.device("meta"):
        network = DRDNet()
        large, small = (cost(network, *size) for size in ((384, 512), (256, 256)))
        rain = cost(network.rain, 384, 512)
    assert (large.parameters, rain.parameters) == (5_221_766, 1_235_651)
    assert (round(large.gmacs, 1), round(rain.gmacs, 1)) == (1020.9, 239.9)
    assert round(small.gmacs, 1) == 340.3
    running = sum(b.numel() for n, b in network.named_buffers() if "running" in n)
    assert running == 5_230_214 - 5_221_766


@pytest.mark.skipif(not FIXTURE.is_file(), reason=f"the authors' outputs are not at {FIXTURE}")
def test_gives_what_the_authors_program_gives():
    stored = np.load(FIXTURE)
    tensors = {k[2:]: torch.from_numpy(stored[k]) for k in stored if k.startswith("w/")}
    network = DRDNet(DRDNetConfig(width=16, blocks=2)).eval()
    names = renamed(network, [
        (r"\.first\.0\.", ".h."), (r"\.first\.1\.", ".p."), (r"\.last\.", ".l."),
        (r"\.blocks\.2\.", ".t."), (r"\.blocks\.3\.", ".n."), (r"\.blocks\.", ".b."),
        (r"\.body\.(\d)\.", lambda m: f".{LAYERS[int(m[1])]}."),
        (r"\.gate\.0\.", ".s."), (r"\.gate\.2\.", ".e."),
        (r"\.paths\.", ".c."), (r"\.merge\.", ".f."),
    ])  # fmt: skip
    reading = Reading("drdnet", network, names, layout=linear_as_convolution)
    network.load_state_dict(to_state(tensors, reading))
    with torch.no_grad():
        smooth, output = network.estimates(torch.from_numpy(stored["input"]))
    torch.testing.assert_close(smooth, torch.from_numpy(stored["stage1"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(output, torch.from_numpy(stored["output"]), atol=1e-5, rtol=0)


def test_the_gate_is_keras_and_not_torchs():
    x = torch.tensor([-3.0, -2.5, 0.0, 1.0, 2.5, 4.0])
    torch.testing.assert_close(HardSigmoid()(x), torch.tensor([0.0, 0.0, 0.5, 0.7, 1.0, 1.0]))


@pytest.mark.parametrize("detail_input", ["sum", "rainy"])
def test_the_second_part_sees_what_it_should(detail_input):
    network = tiny(detail_input=detail_input)
    seen = []
    network.detail.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    image = torch.rand(1, 3, 12, 14)
    with torch.no_grad():
        smooth, output = network.estimates(image)
        torch.testing.assert_close(smooth, image - network.rain(image))
        torch.testing.assert_close(output, smooth + network.detail(seen[0]))
    assert torch.equal(seen[0], smooth + image if detail_input == "sum" else image)
