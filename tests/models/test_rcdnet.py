import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from derain.models.cost import cost
from derain.models.rcdnet import RCDNet, RCDNetConfig, fall, rain_kernels
from derain.weights.convert import convert, load_authors

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared/fixtures/baselines"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason=f"the authors' outputs are not at {FIXTURES}"
)
TINY = RCDNetConfig(stages=3, rain_maps=4, dual_channels=3)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def stored() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The authors' weights, and their input and outputs."""
    content = np.load(FIXTURES / "rcdnet.npz")
    tensors = {name: torch.from_numpy(content[name]) for name in content.files}
    weights = {name[2:]: value for name, value in tensors.items() if name.startswith("w/")}
    return weights, tensors


def in_simple_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same checkpoint as RCDNet_simple names it."""
    simple = {
        "C0": weights["weight0"], "C": weights["conv"][1], "C_z": weights["w_z_f"],
        "tau": weights["tau"], "etaM_S": weights["eta11"],
        "etaB_S": torch.cat([weights["eta2"][:, None], weights["eta12"]]),
    }  # fmt: skip
    parts = {"xnet": "proxNet_B_0", "x_stage": "proxNet_B_S", "m_stage": "proxNet_M_S",
             "fxnet": "proxNet_B_last_layer"}  # fmt: skip
    for name, value in weights.items():
        part, _, rest = name.partition(".")
        if part in parts:
            rest = re.sub(r"res[xm](\d)", lambda m: f"layer.{int(m[1]) - 1}", rest)
            simple[f"{parts[part]}.{rest}"] = value
    return simple


def test_has_the_specifications_parameters_and_cost():
    with torch.device("meta"):
        network = RCDNet()
        large, small = (cost(network, *size) for size in ((384, 512), (256, 256)))
    assert large.parameters == 2_975_186
    proximal = 19 * 8 * 9 * 35**2 + 17 * 8 * 9 * 32**2
    per_pixel = proximal + 9 * 3 * 32 + 2 * 17 * 81 * 3 * 32  # multiply-adds
    assert large.macs == per_pixel * 384 * 512
    assert large.gmacs == pytest.approx(628.1, abs=0.06)  # 628.05
    assert small.gmacs == pytest.approx(209.4, abs=0.06)  # 209.35


@needs_fixtures
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_gives_what_the_authors_code_gives(mode, tmp_path):
    weights, tensors = stored()
    torch.save({f"module.{k}": v for k, v in weights.items()}, tmp_path / "net.pth")
    assert convert(tmp_path / "net.pth")[:2] == ("rcdnet", TINY)
    network = load_authors(tmp_path / "net.pth").train(mode == "train")
    assert isinstance(network, RCDNet)
    with torch.no_grad():
        backgrounds, rains = network.estimates(tensors["input"] / 255)
    assert (len(backgrounds), len(rains)) == (TINY.stages + 2, TINY.stages)
    for name, ours in (("B0", backgrounds[0]), ("B", backgrounds[-1]), ("R", rains[-1])):
        torch.testing.assert_close(ours, tensors[f"{mode}_{name}"] / 255, atol=1e-5, rtol=0)


@needs_fixtures
def test_the_simple_names_hold_the_same_network(tmp_path):
    weights, tensors = stored()
    torch.save(weights, tmp_path / "net.pth")
    torch.save(in_simple_names(weights), tmp_path / "simple.pth")
    image = tensors["input"] / 255
    network = load_authors(tmp_path / "net.pth")
    with torch.no_grad():
        expected = network(image)
        same = load_authors(tmp_path / "simple.pth", order="rgb")
        assert torch.equal(same(image), expected)
        # As published it reads BGR.
        swapped = load_authors(tmp_path / "simple.pth")
        torch.testing.assert_close(swapped(image.flip(1)).flip(1), expected, atol=1e-5, rtol=0)
    assert (swapped(image) - expected).abs().max() > 1e-3


def test_finding_rain_maps_is_the_transpose_of_making_rain():
    kernels = torch.randn(3, 4, 9, 9)
    maps, rain = torch.randn(1, 4, 11, 13), torch.randn(1, 3, 11, 13)
    made = torch.nn.functional.conv2d(maps, kernels / 10, padding=4)
    torch.testing.assert_close((made * rain).sum(), (maps * fall(rain, kernels)).sum())


def test_starting_kernels_are_vertical_streaks_that_grow():
    kernels = rain_kernels(32)
    assert kernels.shape == (3, 32, 9, 9)
    torch.testing.assert_close(kernels.sum((2, 3)), torch.ones(3, 32))
    assert torch.equal(kernels, kernels.flip(2))
    assert torch.equal(kernels, kernels.flip(3))
    y = torch.arange(-4.0, 5)
    height, width = (torch.sqrt((kernels[0].sum(axis) * y**2).sum(-1)) for axis in (2, 1))
    assert (height > width).all()
    assert (height[1:12] >= height[:11]).all()


def test_images_and_maps_are_never_negative():
    backgrounds, _ = RCDNet(TINY).eval().estimates(torch.rand(1, 3, 12, 12))
    assert all(background.min() >= 0 for background in backgrounds)


@pytest.mark.parametrize(("field", "value"), [("stages", 1), ("rain_maps", 0)])
def test_a_wrong_argument_is_named(field, value):
    with pytest.raises(ValueError, match=f"{field} must be at least"):
        RCDNetConfig(**{field: value})
