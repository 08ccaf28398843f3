"""NAFNet (Chen et al., ECCV 2022) against the authors' layout and published sizes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.engines.untracked import openvino
from derain.models.cost import cost
from derain.models.nafnet import ChannelNorm, NAFBlock, NAFNet, NAFNetConfig

NAMED_SMALL = NAFNetConfig(encoder_blocks=(1, 1, 2), middle_blocks=4, decoder_blocks=(1, 1, 1))
SMALL: dict[str, Any] = {
    "width": 8,
    "encoder_blocks": (1, 2),
    "middle_blocks": 1,
    "decoder_blocks": (3, 1),
}


def network(**changes: Any) -> Any:  # tests reach into parts that types hide
    """A small network whose norms, beta and gamma have left their start."""
    torch.manual_seed(0)
    net = NAFNet(NAFNetConfig(**{**SMALL, **changes}))
    for part in net.modules():
        if isinstance(part, ChannelNorm):
            nn.init.normal_(part.weight, mean=1, std=0.3)
            nn.init.normal_(part.bias, std=0.3)
        if isinstance(part, NAFBlock):
            nn.init.normal_(part.beta)
            nn.init.normal_(part.gamma)
    return net


def test_size_and_cost() -> None:
    with torch.device("meta"):
        small, full = NAFNet(NAMED_SMALL), NAFNet()
    assert cost(small, 384, 512).parameters == 2_649_827
    assert round(cost(small, 384, 512).gmacs, 1) == 16.5
    assert round(cost(full, 384, 512).parameters / 1e6, 1) == 17.1
    assert round(cost(full, 384, 512).gmacs) == 48


def reference_block(block: NAFBlock, x: Tensor) -> Tensor:
    """The layers of one block, by their authors' names."""
    weights = block.state_dict()
    channels = x.shape[1]

    def norm(name: str, x: Tensor) -> Tensor:
        mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        x = (x - mean) / (variance + 1e-6).sqrt()
        return x * weights[f"{name}.weight"].view(1, -1, 1, 1) + weights[f"{name}.bias"].view(
            1, -1, 1, 1
        )

    def conv(name: str, x: Tensor, groups: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        padding = weight.shape[-1] // 2
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=padding, groups=groups)

    y = conv("conv2", conv("conv1", norm("norm1", x)), groups=2 * channels)
    y = y[:, :channels] * y[:, channels:]
    y = y * conv("sca.1", y.mean((2, 3), keepdim=True))
    x = x + weights["beta"] * conv("conv3", y)
    y = conv("conv4", norm("norm2", x))
    y = y[:, :channels] * y[:, channels:]
    return x + weights["gamma"] * conv("conv5", y)


def reference(net: Any, image: Tensor) -> Tensor:
    """The U-net for two stages, without padding."""
    blocks = {name: part for name, part in net.named_modules() if isinstance(part, NAFBlock)}
    ran: list[str] = []

    def run(stage: str, count: int, x: Tensor) -> Tensor:
        for i in range(count):
            x = reference_block(blocks[f"{stage}.{i}"], x)
            ran.append(f"{stage}.{i}")
        return x

    def up(stage: int, x: Tensor) -> Tensor:
        weight = net.state_dict()[f"ups.{stage}.0.weight"]
        assert weight.shape == (2 * x.shape[1], x.shape[1], 1, 1)
        x = F.conv2d(x, weight)
        n, c, h, w = x.shape
        x = x.view(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
        return x.reshape(n, c // 4, 2 * h, 2 * w)

    x = net.intro(image)
    fine = run("encoders.0", 1, x)
    middle = run("encoders.1", 2, F.conv2d(fine, net.downs[0].weight, net.downs[0].bias, stride=2))
    x = run("middle_blks", 1, F.conv2d(middle, net.downs[1].weight, net.downs[1].bias, stride=2))
    x = run("decoders.0", 3, up(0, x) + middle)
    x = run("decoders.1", 1, up(1, x) + fine)
    assert set(ran) == set(blocks)
    return image + net.ending(x)


def test_the_network_is_what_the_specification_says() -> None:
    net, image = network(), torch.rand(2, 3, 16, 20)
    with torch.no_grad():
        expected = reference(net, image)
        assert (net(image) - expected).abs().max() < 1e-5
        assert (expected - image).abs().max() > 0.1  # else the comparison says nothing


def test_layers_have_the_authors_names() -> None:
    """So that a checkpoint of megvii-research/NAFNet fits: its names, written out."""
    block = [
        "beta", "gamma", *(f"conv{i}.{kind}" for i in range(1, 6) for kind in ("weight", "bias")),
        "sca.1.weight", "sca.1.bias", "norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias",
    ]  # fmt: skip
    stages = ["encoders.0.0", "encoders.1.0", "middle_blks.0", "decoders.0.0", "decoders.1.0"]
    plain = [f"{name}.{kind}" for name in ("intro", "ending", "downs.0", "downs.1")
             for kind in ("weight", "bias")]  # fmt: skip
    expected = {*plain, "ups.0.0.weight", "ups.1.0.weight"}
    expected |= {f"{stage}.{name}" for stage in stages for name in block}
    assert set(network(encoder_blocks=(1, 1), decoder_blocks=(1, 1)).state_dict()) == expected


def test_blocks_start_as_the_identity() -> None:
    block, x = NAFBlock(8), torch.randn(2, 8, 5, 7)
    assert torch.equal(block(x), x)


def test_the_output_is_the_input_plus_a_residual() -> None:
    net, image = network(), torch.rand(1, 3, 9, 14)
    nn.init.zeros_(net.ending.weight)
    nn.init.zeros_(net.ending.bias)
    assert torch.equal(net(image), image)


@pytest.mark.parametrize("form", ["fused", "plain"])
def test_both_forms_of_the_norm_are_the_layer_norm(form: str) -> None:
    norm, x = ChannelNorm(16).double(), torch.randn(2, 16, 5, 7, dtype=torch.double) * 3 + 1
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
    expected = expected * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    result = getattr(norm, form)(x, norm.weight, norm.bias)
    assert (result - expected).abs().max() < 1e-12
    assert (norm(x) - expected).abs().max() < 1e-12  # double stays double


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["fused", "plain"])
def test_half_precision_loses_nothing_inside_the_norm(
    half: torch.dtype, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: form == "plain")
    # A mean far above the deviation: in half precision nothing but noise would be left of it.
    norm, x = ChannelNorm(32), (torch.randn(1, 32, 6, 6) * 0.5 + 30).to(half)
    expected = F.layer_norm(x.double().permute(0, 2, 3, 1), (32,), eps=1e-6).permute(0, 3, 1, 2)
    with torch.autocast("cpu", half):
        result = norm(x)
    assert result.dtype == half
    assert (result - expected).abs().max() < 4 * torch.finfo(half).eps  # the last rounding


def test_mixed_precision_and_channels_last_give_the_same_image() -> None:
    net, image = network(), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        expected = net(image)
        last = net.to(memory_format=torch.channels_last)
        assert (last(image.to(memory_format=torch.channels_last)) - expected).abs().max() < 1e-5
        with torch.autocast("cpu", torch.bfloat16):
            assert (net(image) - expected).abs().max() < 0.03 * (expected - image).abs().max()


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (37, 61)])
def test_any_size(size: tuple[int, int]) -> None:
    output = network()(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.isfinite().all()


def test_padding_is_the_images_own_reflection() -> None:
    net, image = network(), torch.rand(1, 3, 14, 15)
    assert net.size_multiple == 4
    with torch.no_grad():
        padded = net(F.pad(image, (0, 1, 0, 2), mode="reflect"))
        assert (net(image) - padded[..., :14, :15]).abs().max() < 1e-6


def test_a_batch_gives_what_its_images_give_alone() -> None:
    net, images = network(), torch.rand(3, 3, 10, 12)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        assert (net(images) - alone).abs().max() < 1e-5


def test_gradients_reach_every_parameter_once_beta_and_gamma_have_moved() -> None:
    net = network()
    net(torch.rand(2, 3, 12, 12)).square().sum().backward()
    unreached = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert unreached == []


def test_beta_and_gamma_can_leave_zero() -> None:
    torch.manual_seed(0)
    net = NAFNet(NAFNetConfig(**SMALL))
    net(torch.rand(2, 3, 12, 12)).square().sum().backward()
    for name, parameter in net.named_parameters():
        if name.endswith(("beta", "gamma")):
            assert parameter.grad is not None
            assert parameter.grad.abs().min() > 0, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "width must be at least 1: 0"),
        ({"middle_blocks": -1}, "middle_blocks must be at least 0: -1"),
        ({"encoder_blocks": ()}, "encoder_blocks must be a tuple"),
        ({"encoder_blocks": 2}, "encoder_blocks must be a tuple"),
        ({"decoder_blocks": (1, -1)}, "decoder_blocks must be at least 0"),
        ({"decoder_blocks": (1, 1, 1)}, r"decoder_blocks must have one entry per .* \(2\)"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NAFNetConfig(**{**SMALL, **changes})


@pytest.mark.slow
def test_exported_graph_agrees_in_openvino_and_transposes_nothing(tmp_path: Path) -> None:
    net, file = network(decoder_blocks=(1,), encoder_blocks=(1,)).eval(), tmp_path / "net.onnx"
    multiple = net.size_multiple
    height, width = (multiple * torch.export.Dim(name, min=1, max=512) for name in "hw")
    torch.onnx.export(
        net,
        (torch.rand(1, 3, 12, 16),),
        file,
        dynamo=True,
        dynamic_shapes={"image": {2: height, 3: width}},
        external_data=False,
        verbose=False,
    )
    assert "Transpose" not in {node.op_type for node in onnx.load(file).graph.node}
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(file, "CPU", settings)
    for size in [(multiple, multiple), (20, 16), (32, 44)]:
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = net(image).numpy()
        result = compiled(image.numpy())[0]
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() < 1e-4
