import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from derain.models.dcsfn import DCSFN, DCSFNConfig
from derain.models.prenet import PReNet, PReNetConfig
from derain.weights.convert import authors_dcsfn_name, convert, load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
FIXTURES = ["gru_k3", "gru_k4", "lstm_k3", "nocross_k3", "rnn_k3", "single_k3"]
TINY = DCSFNConfig(width=4, blocks=2, scales=2, convolutions=1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def save(path: Path, content) -> Path:
    torch.save(content, path)
    return path


def authors_dcsfn(**changes) -> dict[str, Tensor]:
    """A checkpoint as the authors' code names it, for a fresh network."""
    config = dataclasses.replace(TINY, **changes)
    state = DCSFN(config).state_dict()
    return {authors_dcsfn_name(name, config): value for name, value in state.items()}


def authors_prenet(blocks: int, width: int = 4) -> dict[str, Tensor]:
    """A checkpoint as csdwren/PReNet names it, with random values."""
    shapes = {
        "conv0.0": (width, 6),
        **{f"conv_{gate}.0": (width, 2 * width) for gate in "ifgo"},
        **{f"res_conv{i + 1}.{layer}": (width, width) for i in range(blocks) for layer in (0, 2)},
        "conv.0": (3, width),
    }
    state = {f"{name}.weight": torch.randn(*shape, 3, 3) / 9 for name, shape in shapes.items()}
    return state | {f"{name}.bias": torch.randn(shape[0]) / 9 for name, shape in shapes.items()}


def prenet_by_hand(state: dict[str, Tensor], image: Tensor, stages: int, blocks: int) -> Tensor:
    """The network of Ren et al. from its description, on tensors under their names."""

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    own = sum(name.startswith("res_conv") for name in state) // 4
    h = c = torch.zeros(1, state["conv0.0.bias"].shape[0], *image.shape[2:])
    estimate = image
    for _ in range(stages):
        x = conv("conv0.0", torch.cat([image, estimate], dim=1)).relu()
        x = torch.cat([x, h], dim=1)
        i, f, o = (conv(f"conv_{gate}.0", x).sigmoid() for gate in "ifo")
        c = f * c + i * conv("conv_g.0", x).tanh()
        x = h = o * c.tanh()
        for block in range(blocks):
            name = f"res_conv{min(block, own - 1) + 1}"
            x = (x + conv(f"{name}.2", conv(f"{name}.0", x).relu()).relu()).relu()
        estimate = image + conv("conv.0", x)
    return estimate


@pytest.mark.skipif(
    not (SHARED / "fixtures").is_dir(), reason=f"the authors' outputs are not at {SHARED}/fixtures"
)
@pytest.mark.parametrize("name", FIXTURES)
def test_dcsfn_gives_what_the_authors_code_gives(name, tmp_path):
    stored = np.load(SHARED / f"fixtures/dcsfn_{name}.npz")
    state = {k[6:]: torch.from_numpy(stored[k]) for k in stored if k.startswith("state/")}
    path = save(tmp_path / "net.pth", {"net": {f"module.{k}": v for k, v in state.items()}})
    # The inputs are what the network saw, whatever its channels mean: no channels to swap.
    network = load_authors(path, order="rgb")
    inputs = [k for k in stored if k.startswith("input")]
    assert inputs
    for key in inputs:
        expected = torch.from_numpy(stored[key.replace("input", "output")])
        with torch.no_grad():
            output = network(torch.from_numpy(stored[key]))
        # Outputs reach 1400, where f32 resolves 1e-4: the bound is relative to the largest. With
        # two threads and AVX-512, as the outputs were made, the difference is 0.
        assert (output - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("changes", [
    {}, {"unit": "lstm"}, {"unit": "rnn"}, {"single": True}, {"scales": 4}, {"convolutions": 3},
    {"blocks": 1, "width": 3},
], ids=str)  # fmt: skip
def test_dcsfn_configuration_is_read_off_the_tensors(changes, tmp_path):
    path = save(tmp_path / "net.pth", authors_dcsfn(**changes))
    name, config, state = convert(path)
    assert name == "dcsfn"
    assert config == dataclasses.replace(TINY, **changes)
    DCSFN(config).load_state_dict(state)  # type: ignore[arg-type]


def test_dcsfn_names_are_the_authors():
    names = set(authors_dcsfn(scales=4, unit="lstm"))
    for name in (
        "convert.0.weight",
        "encoder_scale1.units.0.scale1.0.0.weight",
        "encoder_scale4.units.1.scale8.0.0.bias",
        "decoder_scale2.units.1.fusion84.0.weight",
        "decoder_scale1.units.0.fusion21.0.bias",
        "encoder_scale2.units.0.fusion_all.0.weight",
        "decoder_scale4.conv1x1.1.0.bias",
        "rec1_4.conv_xf.weight",
        "rec2_1.conv_hj.bias",
        "fusion_1_2_2.0.weight",
        "merge.0.bias",
        "merge.2.weight",
    ):
        assert name in names
    assert "encoder.units.0.scale1.0.0.weight" in authors_dcsfn(single=True)
    assert "rec1_2.conv_h.weight" in authors_dcsfn(unit="rnn")


def test_tensors_that_the_authors_code_never_uses_are_left_out(tmp_path):
    idle = {"fusion_1_2_2.0.weight": torch.rand(4, 8, 1, 1), "fusion_2_2_2.0.bias": torch.rand(4)}
    _, config, state = convert(save(tmp_path / "a.pth", authors_dcsfn() | idle))
    assert config == TINY
    assert set(state) == set(DCSFN(TINY).state_dict())
    cells = {k: v for k, v in authors_dcsfn().items() if k.startswith("rec")}
    without = authors_dcsfn(cross=False)
    _, config, state = convert(save(tmp_path / "b.pth", without | cells))
    assert config == dataclasses.replace(TINY, cross=False)
    assert len(state) == len(without)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_files_may_be_nested_prefixed_and_half_precision(nested, prefix, tmp_path):
    tensors = authors_dcsfn()
    content = {prefix + k: v.half() for k, v in tensors.items()}
    path = save(tmp_path / "net.pth", {"net": content, "clock_net": 7} if nested else content)
    state = convert(path, order="rgb").state
    assert all(value.dtype == torch.float32 for value in state.values())
    assert torch.equal(state["last.weight"], tensors["merge.2.weight"].half().float())


@pytest.mark.parametrize(("tensors", "default"), [
    (authors_dcsfn, "bgr"), (lambda: authors_prenet(2), "rgb")
])  # fmt: skip
def test_a_network_for_bgr_becomes_one_for_rgb(tensors, default, tmp_path):
    path = save(tmp_path / "net.pth", tensors())
    as_is, swapped = (load_authors(path, order=order) for order in ("rgb", "bgr"))
    image = torch.rand(1, 3, 16, 19)
    with torch.no_grad():
        torch.testing.assert_close(swapped(image), as_is(image.flip(1)).flip(1))
        assert (swapped(image) - as_is(image)).abs().max() > 1e-3
        assert torch.equal(
            load_authors(path)(image), (swapped if default == "bgr" else as_is)(image)
        )


@pytest.mark.parametrize(("blocks", "name"), [(3, "prenet"), (1, "prenet-r")])
def test_prenet_computes_what_its_authors_describe(blocks, name, tmp_path):
    tensors = authors_prenet(blocks)
    path = save(tmp_path / "net.pth", tensors)
    runs = blocks if name == "prenet" else 5
    assert convert(path)[:2] == (
        name, PReNetConfig(width=4, blocks=runs, recursive=name == "prenet-r")
    )  # fmt: skip
    image = torch.rand(1, 3, 11, 14)
    with torch.no_grad():
        expected = prenet_by_hand(tensors, image, stages=6, blocks=runs)
        torch.testing.assert_close(load_authors(path)(image), expected, atol=1e-5, rtol=0)


@pytest.mark.skipif(
    not (SHARED / "data/peers/prenet").is_dir(),
    reason=f"the authors' weights are not at {SHARED}/data/peers/prenet",
)
@pytest.mark.parametrize("name", ["Rain100H", "Rain100L", "Rain1400"])
def test_prenet_takes_the_files_its_authors_publish(name):
    path = SHARED / f"data/peers/prenet/{name}.pth"
    found, config, state = convert(path)
    assert (found, config) == ("prenet", PReNetConfig())
    assert set(state) == set(PReNet().state_dict())
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    image = torch.rand(1, 3, 15, 22)
    with torch.no_grad():
        expected = prenet_by_hand(tensors, image, stages=6, blocks=5)
        torch.testing.assert_close(load_authors(path)(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("tensors", "name"), [
    (authors_dcsfn(), "convert.0.weight"),
    (authors_dcsfn(), "encoder_scale2.units.0.scale2.0.0.bias"),
    (authors_dcsfn(), "fusion_1_2_1.0.weight"),
    (authors_dcsfn(), "rec1_1.conv_xz.weight"),
    (authors_dcsfn(unit="lstm"), "fusion_2_2_2.0.bias"),
    (authors_dcsfn(unit="lstm"), "rec1_1.conv_xf.weight"),
    (authors_prenet(2), "conv_g.0.bias"),
    (authors_prenet(2), "res_conv2.2.weight"),
    (authors_prenet(1), "conv.0.weight"),
])  # fmt: skip
def test_a_missing_tensor_is_named(tensors, name, tmp_path):
    path = save(tmp_path / "net.pth", {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(ValueError, match=f"net.pth: missing tensor {name}$"):
        convert(path)


@pytest.mark.parametrize(("tensors", "name"), [
    (authors_dcsfn(), "encoder_scale1.units.0.attention.weight"),
    (authors_dcsfn(), "rec3_1.conv_xz.weight"),
    (authors_dcsfn(single=True), "encoder_scale2.conv1x1.0.0.bias"),
    (authors_prenet(2), "conv_z.0.weight"),
])  # fmt: skip
def test_an_unexpected_tensor_is_named(tensors, name, tmp_path):
    path = save(tmp_path / "net.pth", tensors | {name: torch.zeros(4)})
    with pytest.raises(ValueError, match=f"net.pth: unexpected tensor {name}$"):
        convert(path)


@pytest.mark.parametrize(("tensors", "name", "shape", "right"), [
    (authors_dcsfn(), "merge.0.weight", (3, 4, 1, 1), (3, 12, 1, 1)),
    (authors_dcsfn(), "rec1_2.conv_hz.bias", (5,), (4,)),
    (authors_prenet(2), "conv_f.0.weight", (4, 4, 3, 3), (4, 8, 3, 3)),
])  # fmt: skip
def test_a_tensor_of_a_wrong_shape_is_named(tensors, name, shape, right, tmp_path):
    path = save(tmp_path / "net.pth", tensors | {name: torch.zeros(shape)})
    message = f"net.pth: {name} has the shape {shape}, it must be {right}"
    with pytest.raises(ValueError, match=re.escape(message)):
        convert(path)


class Code:
    """Runs when unpickled, if anyone lets it."""

    ran = False

    def __reduce__(self):
        return setattr, (Code, "ran", True)


@pytest.mark.parametrize(("content", "reason"), [
    ({"net": Code()}, "holds code, which derain does not run"),
    ({"weight": torch.zeros(2)}, "neither DCSFN .* nor PReNet"),
    ({"epoch": 3}, "'epoch' is no tensor"),
    ({}, "holds no state dict"),
    ([torch.zeros(2)], "holds no state dict"),
], ids=["code", "stranger", "numbers", "empty", "list"])  # fmt: skip
def test_anything_else_is_refused_by_name(content, reason, tmp_path):
    path = save(tmp_path / "net.pth", content)
    with pytest.raises(ValueError, match=f"net.pth: .*{reason}"):
        convert(path)
    assert not Code.ran


def test_files_that_are_no_checkpoint_are_refused_by_name(tmp_path):
    path = tmp_path / "net.pth"
    for content in (b"", b"rain", b"PK\x03\x04 cut off"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.pth: .* is no checkpoint"):
            convert(path)
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "absent.pth")


def test_the_network_asked_for_must_be_the_one_in_the_file(tmp_path):
    path = save(tmp_path / "net.pth", authors_prenet(1))
    assert isinstance(load_authors(path, "prenet-r"), PReNet)
    with pytest.raises(ValueError, match=r"net\.pth: holds prenet-r, not dcsfn"):
        convert(path, "dcsfn")
    with pytest.raises(ValueError, match=r"network must be one of auto, dcsfn, prenet, prenet-r"):
        convert(path, "mspfn")
    with pytest.raises(ValueError, match="order must be rgb, bgr"):
        convert(path, order="rbg")  # type: ignore[arg-type]
