"""MH2F-Net (CVPR Workshops 2021) against its paper."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from derain.engines.untracked import openvino
from derain.models.cost import cost
from derain.models.mh2fnet import MH2FNet, MH2FNetConfig

SMALL: dict[str, Any] = {"extraction_blocks": 3, "width": 8}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "strided": {"down": "conv", "join": "add"},
    "pooled-add": {"join": "add"},
    "gradual": {"entry": "gradual", "distillation_width": 12},
    "parallel": {"attention": "parallel", "distillation_width": 4},
    "fuse-concat": {"fusion": "concat"},
    "fuse-add": {"fusion": "add"},
    "no-hadb": {"hadb": False},
    "residual": {"residual": True},
    "two-streams": {"streams": 2, "growth": 3},
}


def network(**changes: Any) -> Any:
    torch.manual_seed(0)
    return MH2FNet(MH2FNetConfig(**{**SMALL, **changes}))


@pytest.mark.parametrize(
    ("changes", "parameters", "gmacs", "gmacs_256"),
    [  # Table 3 and Figure 7
        ({}, 1_512_605, 135.1, 45.0),
        ({"extraction_blocks": 4}, 771_413, 70.4, 23.5),
        ({"extraction_blocks": 6}, 1_142_009, 102.8, 34.3),
        ({"extraction_blocks": 10}, 1_883_201, 167.4, 55.8),
        ({"fusion": "concat"}, 1_512_541, 135.1, 45.0),
        ({"fusion": "add"}, 1_484_861, 129.7, 43.2),
        ({"hadb": False}, 1_558_931, 144.3, 48.1),
        ({"entry": "gradual"}, 1_518_941, 136.3, 45.4),
        ({"join": "add"}, 1_479_325, 131.1, 43.7),
        ({"down": "conv", "join": "add"}, 1_627_293, 135.6, 45.2),
        ({"width": 48}, 3_398_897, 303.7, 101.2),
        ({"width": 64}, 6_038_597, 539.7, 179.9),
    ],
    ids=str,
)
def test_size_and_cost(
    changes: dict[str, Any], parameters: int, gmacs: float, gmacs_256: float
) -> None:
    with torch.device("meta"):
        net = MH2FNet(MH2FNetConfig(**changes))
    large, small = cost(net, 384, 512), cost(net, 256, 256)
    assert large.parameters == parameters
    assert (round(large.gmacs, 1), round(small.gmacs, 1)) == (gmacs, gmacs_256)


def reference(net: MH2FNet, image: Tensor) -> Tensor:
    """The network word by word, from the network's weights alone."""
    config, weights = net.config, net.state_dict()
    streams, blocks = config.streams, config.extraction_blocks

    def conv(name: str, *x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = weights[f"{name}.weight"], weights.get(f"{name}.bias")
        return F.conv2d(torch.cat(x, 1), weight, bias, stride, padding=weight.shape[-1] // 2)

    def prelu(name: str, x: Tensor) -> Tensor:
        return x.clamp(min=0) + weights[f"{name}.weight"] * x.clamp(max=0)

    def dcr(name: str, x: Tensor) -> Tensor:
        a = prelu(f"{name}.acts.0", conv(f"{name}.convs.0.conv", x))
        b = prelu(f"{name}.acts.1", conv(f"{name}.convs.1.conv", x, a))
        return x + prelu(f"{name}.acts.2", conv(f"{name}.convs.2.conv", x, a, b))

    def down(name: str, x: Tensor) -> Tensor:
        if config.down == "conv":
            return conv(name, x, stride=2)
        height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
        corners = [x[..., i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
        return torch.stack(corners).amax(0)

    def join(name: str, skip: Tensor, coarse: Tensor) -> Tensor:
        rows = torch.arange(skip.shape[-2]) * coarse.shape[-2] // skip.shape[-2]
        columns = torch.arange(skip.shape[-1]) * coarse.shape[-1] // skip.shape[-1]
        up = coarse[..., rows, :][..., columns]
        return skip + up if config.join == "add" else conv(f"{name}.mix.conv", skip, up)

    def mheb(name: str, x: Tensor) -> Tensor:
        t = [dcr(f"{name}.top_down.0", x)]
        for j in range(1, streams):
            t.append(dcr(f"{name}.top_down.{j}", down(f"{name}.downs.{j - 1}", t[-1])))
        u = dcr(f"{name}.bottom_up.{streams - 1}", t[-1])
        for j in range(streams - 2, -1, -1):
            u = dcr(f"{name}.bottom_up.{j}", join(f"{name}.joins.{j}", t[j], u))
        return u

    def spatial(x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        return x * torch.sigmoid(conv("distillation.spatial.weigh", pooled))

    def channel(x: Tensor) -> Tensor:
        pooled = conv("distillation.channel.weigh.0", x.mean((2, 3), keepdim=True))
        return x * torch.sigmoid(conv("distillation.channel.weigh.2", pooled.relu()))

    def hadb(outputs: list[Tensor]) -> Tensor:
        if config.entry == "concat":
            x = conv("distillation.head.conv", *outputs)
        else:
            x = conv("distillation.head.first", outputs[0])
            for i, output in enumerate(outputs[1:]):
                x = conv(f"distillation.head.rest.{i}.conv", x, output)
        if config.attention == "sequential":
            x = channel(spatial(x))
        else:
            x = conv("distillation.merge.conv", spatial(x), channel(x))
        return conv("distillation.end", x)

    low = conv("first", image)
    outputs = [mheb("extraction.0", low)]
    for i in range(1, blocks):
        outputs.append(mheb(f"extraction.{i}", outputs[-1]))
    if not config.hadb:
        fused = conv("fusion.conv", low, *outputs)
    else:
        deep, distilled = outputs[-1], hadb(outputs[:-1])
        if config.fusion == "rpff":
            projected = conv("fusion.project", deep - distilled) + deep
            fused = conv("fusion.fuse", low + conv("fusion.deepen", projected))
        elif config.fusion == "concat":
            fused = conv("fusion.conv", low, deep, distilled)
        else:
            fused = low + deep + distilled
    output = conv("last", fused)
    return image + output if config.residual else output


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("size", [(12, 16), (13, 19)])
def test_every_variant_is_what_the_specification_says(variant: str, size: tuple[int, int]) -> None:
    net = network(**VARIANTS[variant])
    image = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert (net(image) - reference(net, image)).abs().max() < 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_parameter(variant: str) -> None:
    net = network(reduction=1, **VARIANTS[variant])  # a gate of one or two ReLUs may start dead
    net(torch.rand(2, 3, 16, 20)).square().sum().backward()
    unreached = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert unreached == []


def rms_at_start(**changes: Any) -> list[float]:
    """Rms of Lo, L_1 ... L_8 at C = 32, N = 8, on uniform noise."""
    net = network(extraction_blocks=8, width=32, **changes)
    with torch.no_grad():
        low = net.first(torch.rand(1, 3, 32, 32))
        return [x.square().mean().sqrt().item() for x in [low, *net.extract(low)]]


@pytest.mark.parametrize(
    ("down", "join", "expected"),
    [  # Lo, L_1, L_2, L_4, L_8; not the output, which follows three random filters
        ("max", "concat", (0.31, 0.22, 0.17, 0.10, 0.08)),
        ("conv", "concat", (0.35, 0.23, 0.13, 0.09, 0.09)),
        ("conv", "add", (0.34, 0.54, 0.92, 2.4, 18)),
        ("max", "add", (0.39, 2.0, 9.4, 278, 2.1e5)),
    ],
)
def test_activations_at_the_start(down: str, join: str, expected: tuple[float, ...]) -> None:
    rms = rms_at_start(down=down, join=join)
    ratio = np.array([rms[i] for i in (0, 1, 2, 4, 8)]) / expected
    assert ratio.max() < 2
    assert ratio.min() > 0.5


def test_the_default_starts_bounded() -> None:
    rms = rms_at_start()
    assert max(rms) < 10 * min(rms)


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (37, 61), (4, 30)])
@pytest.mark.parametrize("down", ["max", "conv"])
def test_any_size_from_the_minimum(size: tuple[int, int], down: str) -> None:
    output = network(down=down)(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.isfinite().all()


@pytest.mark.parametrize("size", [(3, 9), (9, 3)])
def test_a_smaller_image_is_refused_by_name(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"at least 4 x 4: {size[0]} x {size[1]}"):
        network()(torch.rand(1, 3, *size))


def test_the_minimum_follows_the_streams() -> None:
    net = network(streams=2)
    assert (net.minimum_size, net.size_multiple) == (2, 2)
    assert net(torch.rand(1, 3, 2, 2)).shape == (1, 3, 2, 2)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    net, images = network(), torch.rand(3, 3, 11, 14)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        assert (net(images) - alone).abs().max() < 1e-6


def test_channels_last_and_mixed_precision_give_the_same_image() -> None:
    net, image = network(), torch.rand(2, 3, 20, 24)
    with torch.no_grad():
        expected = net(image)
        last = net.to(memory_format=torch.channels_last)
        assert (last(image.to(memory_format=torch.channels_last)) - expected).abs().max() < 1e-6
        with torch.autocast("cpu", torch.bfloat16):
            assert (net(image).float() - expected).abs().max() < 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extraction_blocks": 0}, "extraction_blocks must be at least 2"),
        ({"extraction_blocks": 1}, "extraction_blocks must be at least 2"),
        ({"extraction_blocks": 0, "hadb": False}, "extraction_blocks must be at least 1"),
        ({"width": 0}, "width must be at least 1"),
        ({"width": 1, "reduction": 1}, "width must be at least 2"),
        ({"width": 30}, r"width must divide by reduction \(4\): 30"),
        ({"distillation_width": 6}, r"distillation_width must divide by reduction \(4\): 6"),
        ({"distillation_width": 0}, "distillation_width must be at least 1"),
        ({"growth": 0}, "growth must be at least 1"),
        ({"streams": 0}, "streams must be at least 1"),
        ({"reduction": 0}, "reduction must be at least 1"),
        ({"down": "mean"}, "down must be one of max, conv: 'mean'"),
        ({"join": "sum"}, "join must be one of concat, add: 'sum'"),
        ({"entry": "late"}, "entry must be one of concat, gradual: 'late'"),
        ({"attention": "none"}, "attention must be one of sequential, parallel: 'none'"),
        ({"fusion": "mean"}, "fusion must be one of rpff, concat, add: 'mean'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MH2FNetConfig(**changes)


def test_one_extraction_block_needs_no_distillation() -> None:
    assert network(extraction_blocks=1, hadb=False)(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.slow
def test_exported_graph_agrees_in_openvino_at_any_allowed_size(tmp_path: Path) -> None:
    net = network(extraction_blocks=2).eval()
    multiple = net.size_multiple
    height, width = (multiple * torch.export.Dim(name, min=1, max=512) for name in "hw")
    torch.onnx.export(
        net,
        (torch.rand(1, 3, 12, 16),),
        tmp_path / "net.onnx",
        dynamo=True,
        dynamic_shapes={"image": {2: height, 3: width}},
        external_data=False,
        verbose=False,
    )
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(tmp_path / "net.onnx", "CPU", settings)
    for size in [(multiple, multiple), (20, 16), (32, 44)]:
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = net(image).numpy()
        result = compiled(image.numpy())[0]
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() < 1e-4
