"""MSPFN (Jiang et al., CVPR 2020) against its paper and the authors' released graph."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from derain.engines.untracked import openvino
from derain.models import MODELS, build
from derain.models.mspfn import (
    MSPFN,
    RRU,
    URAB,
    ChannelAttention,
    ConvLSTM,
    Down,
    MSPFNConfig,
    Reconstruction,
    SeparateReconstruction,
    Up,
    image_pyramid,
)

SMALL: dict[str, Any] = {"fine_modules": 2, "width": 8, "lstm_widths": (8, 6, 4)}
LITE: dict[str, Any] = {"strides": 2, "lstm_widths": (4, 4, 4), "attention_units": (2, 1, 1)}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "lite": LITE,
    "lite-no-outer-skip": {**LITE, "outer_skip": False},
    "torch-alignment": {"align": "torch", "strides": 2},
    "gaussian": {"pyramid": "gaussian"},
    "released": {"lstm_widths": (12, 8, 4), "rru_widths": (5, 5, 5)},
    "one-level": {"levels": 1, "lstm_widths": (8,)},
    "two-levels": {"levels": 2, "lstm_widths": (8, 4)},
    "four-levels": {"levels": 4, "lstm_widths": (8, 6, 4, 2)},
    "no-coarse": {"coarse_fusion": False},
    "no-fine": {"fine_modules": 0},
    "no-cross": {"cross_scale": False},
}


def lively(net: nn.Module) -> Any:  # tests reach into parts that types hide
    """The network with ConvLSTMs away from zero and PReLUs that are no ReLUs, as if trained."""
    torch.manual_seed(0)
    for part in net.modules():
        if isinstance(part, ConvLSTM):
            nn.init.normal_(part.conv.weight, std=0.2)
            nn.init.normal_(part.conv.get_parameter("bias"), std=0.2)
        if isinstance(part, nn.PReLU):
            nn.init.uniform_(part.weight, 0.1, 0.5)
    return net


def network(**changes: Any) -> Any:
    torch.manual_seed(0)
    return lively(MSPFN(MSPFNConfig(**{**SMALL, **changes})))


# Size ------------------------------------------------------------------------------------------

PARAMETERS = {  # of our implementations
    "mspfn": 13_702_976,
    "mspfn-gaussian": 13_702_976,
    "mspfn-recurrent": 13_702_976,
    "mspfn-lite": 1_656_656,
    "mspfn-m30n1": 22_427_744,
    "mspfn-m17n2": 17_582_240,
    "mspfn-m13n2": 13_984_928,
    "mspfn-m10n3": 13_568_864,
    "mspfn-m8n5": 14_964_896,
    "mspfn-model1": 4_811_840,
    "mspfn-model2": 11_650_432,
    "mspfn-model3": 2_293_664,
    "mspfn-model4": 12_259_744,
    "mspfn-model5": 5_649_344,
    "mspfn-model6": 9_058_784,
    "mspfn-released": 15_823_424,
    "mspfn-released-train": 20_995_776,
}


def test_every_system_of_the_paper_has_a_name() -> None:
    assert {name for name in MODELS if name.startswith("mspfn")} == set(PARAMETERS)


def count(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_exact(name: str) -> None:
    with torch.device("meta"):
        assert count(build(name)) == PARAMETERS[name]


def test_parts_have_their_share_of_the_parameters() -> None:
    with torch.device("meta"):
        net: Any = MSPFN()
    assert count(net.initial) == 5_376
    assert [count(block) for block in net.coarse.blocks] == [1_327_808, 369_024, 110_816]
    assert count(net.coarse) == 1_918_432
    assert {count(module) for module in net.fine} == {671_136}
    assert {count(block) for module in net.fine for block in module.blocks} == {186_784}
    assert {count(p) for p in net.modules() if isinstance(p, ChannelAttention)} == {76_064}
    assert count(net.reconstruction) == 369_856


def test_units_per_level_follow_the_levels() -> None:
    net = network(attention_units=(3, 2, 1))
    for module in net.fine:
        assert [len(block.attention) for block in module.blocks] == [3, 2, 1]


# Layers ----------------------------------------------------------------------------------------


def padded_down(x: NDArray, weight: NDArray, align: str) -> NDArray:
    """Explicit zeros, then every second window, for one map and one kernel."""
    pads = [((1, 1) if align == "torch" or n % 2 else (0, 1)) for n in x.shape]
    x = np.pad(x, pads)
    rows, columns = (x.shape[0] - 3) // 2 + 1, (x.shape[1] - 3) // 2 + 1
    return np.array(
        [
            [(x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * weight).sum() for j in range(columns)]
            for i in range(rows)
        ]
    )


def cropped_up(x: NDArray, weight: NDArray, target: tuple[int, int], align: str) -> NDArray:
    """The full transposed result of 2n + 1 samples, then rows and columns dropped."""
    full = np.zeros((2 * x.shape[0] + 1, 2 * x.shape[1] + 1))
    for i, j in np.ndindex(*x.shape):
        full[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += weight * x[i, j]
    for axis, size in enumerate(target):
        first = 1 if size % 2 or align == "torch" else 0
        full = full.take(range(first, first + size), axis)
    return full


SIDES = [1, 2, 3, 6, 7]


@pytest.mark.parametrize("align", ["tf", "torch"])
@pytest.mark.parametrize("height", SIDES)
@pytest.mark.parametrize("width", SIDES)
def test_strided_layers_meet_the_pixels_of_their_alignment(
    align: Any, height: int, width: int
) -> None:
    down, up = Down(1, 1, align).double(), Up(1, 1, align).double()
    for act in (down.act, up.act):
        nn.init.constant_(act.weight, 0.3)
    x = torch.randn(1, 1, height, width, dtype=torch.double)
    y = torch.randn(1, 1, -(-height // 2), -(-width // 2), dtype=torch.double)

    def prelu(z: NDArray) -> NDArray:
        return np.where(z > 0, z, 0.3 * z)

    with torch.no_grad():
        kernel, transposed = down.conv.weight[0, 0].numpy(), up.conv.weight[0, 0].numpy()
        lowered, raised = down(x)[0, 0].numpy(), up(y, like=x)[0, 0].numpy()
    expected = prelu(padded_down(x[0, 0].numpy(), kernel, align))
    np.testing.assert_allclose(lowered, expected, atol=1e-12)
    expected = prelu(cropped_up(y[0, 0].numpy(), transposed, (height, width), align))
    np.testing.assert_allclose(raised, expected, atol=1e-12)


@pytest.mark.parametrize("align", ["tf", "torch"])
@pytest.mark.parametrize("size", [(6, 8), (7, 8), (7, 5)])
def test_up_is_the_transpose_of_down(align: Any, size: tuple[int, int]) -> None:
    down, up = Down(2, 3, align).double(), Up(3, 2, align).double()
    with torch.no_grad():
        up.conv.weight.copy_(down.conv.weight)
        for act in (down.act, up.act):
            act.weight.fill_(1)  # linear
        x = torch.randn(1, 2, *size, dtype=torch.double)
        lowered = down(x)
        y = torch.randn_like(lowered)
        assert abs((lowered * y).sum() - (x * up(y, like=x)).sum()) < 1e-10


def published_lstm(cell: ConvLSTM, x: Tensor) -> Tensor:
    """A ConvLSTM, one step: gates i, j, f, o, forget bias 1, from an explicit zero state."""
    state = torch.zeros(x.shape[0], cell.hidden, *x.shape[2:], dtype=x.dtype)
    gates = F.conv2d(torch.cat([x, state], 1), cell.conv.weight, cell.conv.bias, padding=1)
    i, j, f, o = gates.split(cell.hidden, dim=1)
    memory = state * torch.sigmoid(f + 1) + torch.sigmoid(i) * torch.tanh(j)
    return torch.tanh(memory) * torch.sigmoid(o)


def test_the_lstm_is_the_published_one_and_its_dead_weights_stay_dead() -> None:
    cell, x = lively(ConvLSTM(5, 3)), torch.randn(2, 5, 6, 7)
    output, expected = cell(x), published_lstm(cell, x)
    assert (output - expected).abs().max() < 1e-6
    probe = torch.randn_like(output)
    parameters = (cell.conv.weight, cell.conv.bias)
    gradients = torch.autograd.grad((output * probe).sum(), parameters)
    references = torch.autograd.grad((expected * probe).sum(), parameters)
    for gradient, reference in zip(gradients, references, strict=True):
        assert (gradient - reference).abs().max() < 1e-5
        assert gradient[6:9].count_nonzero() == 0  # the forget gate
    assert gradients[0][:, 5:].count_nonzero() == 0  # what reads the hidden state
    live = torch.cat([gradients[0][:6, :5], gradients[0][9:, :5]])
    assert live.count_nonzero() == live.numel()


def test_channel_attention_is_the_table_of_section_3() -> None:
    unit, x = lively(ChannelAttention(8, 4)), torch.randn(2, 8, 5, 6)
    weights = unit.state_dict()

    def conv(name: str, x: Tensor) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv2d(x, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def prelu(name: str, x: Tensor) -> Tensor:
        return x.clamp(min=0) + weights[f"{name}.weight"].view(1, -1, 1, 1) * x.clamp(max=0)

    f = conv("body.2", prelu("body.1", conv("body.0", x)))
    g = f.mean((2, 3), keepdim=True)
    g = torch.sigmoid(conv("gate.2", prelu("gate.1", conv("gate.0", g))))
    assert (unit(x) - (x + f * g)).abs().max() < 1e-6


@pytest.mark.parametrize("outer_skip", [True, False])
def test_a_block_strided_twice_concatenates_where_section_3_says(outer_skip: bool) -> None:
    config = MSPFNConfig(**{**SMALL, **LITE, "outer_skip": outer_skip})
    block, x = lively(URAB(config, level=0)), torch.randn(1, 8, 9, 10)
    first, second = block.downs
    outer, inner = block.ups
    s1 = first(x)
    s2 = second(s1)
    z = inner(torch.cat([s2, block.attention(s2)], 1), like=s1)
    expected = outer(torch.cat([s1, z], 1) if outer_skip else z, like=x)
    assert torch.equal(block(x), expected)


def test_box_pyramid_averages_blocks_of_the_full_image() -> None:
    image = torch.rand(2, 3, 8, 12)
    levels = image_pyramid(image, 3, "box")
    assert torch.equal(levels[0], image)
    for level, block in ((1, 2), (2, 4)):
        blocks = image.numpy().reshape(2, 3, 8 // block, block, 12 // block, block)
        np.testing.assert_allclose(levels[level], blocks.mean((3, 5)), atol=1e-6)


def test_gaussian_pyramid_smooths_then_takes_every_second_pixel() -> None:
    image = torch.rand(1, 3, 12, 20)
    levels = image_pyramid(image, 3, "gaussian")
    expected = image[0].numpy()
    line = np.array([1, 4, 6, 4, 1]) / 16
    for level in (1, 2):
        for axis in (1, 2):
            expected = ndimage.correlate1d(expected, line, axis, mode="mirror")
        expected = expected[:, ::2, ::2]
        np.testing.assert_allclose(levels[level][0], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["box", "gaussian"])
def test_pyramids_keep_a_flat_image_at_any_size(kind: str) -> None:
    for x in image_pyramid(torch.full((1, 3, 4, 8), 0.6), 3, kind):
        torch.testing.assert_close(x, torch.full_like(x, 0.6))


# The start -------------------------------------------------------------------------------------


def test_the_authors_start() -> None:
    torch.manual_seed(0)
    net = MSPFN(MSPFNConfig(fine_modules=1, width=32, lstm_widths=(32, 32, 32)))
    cells = {id(p.conv) for p in net.modules() if isinstance(p, ConvLSTM)}
    for part in net.modules():
        if isinstance(part, nn.PReLU):
            assert part.weight.count_nonzero() == 0
        if not isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            continue
        if part.bias is not None:
            assert part.bias.count_nonzero() == 0
        if id(part) in cells:
            assert 8e-4 < part.weight.std() < 1e-3  # a normal of 1e-3, cut at two deviations
            assert part.weight.abs().max() <= 2e-3
        else:
            bound = (6 / (part.kernel_size[0] ** 2 * sum(part.weight.shape[:2]))) ** 0.5
            assert 0.9 * bound < part.weight.abs().max() <= bound
            assert abs(part.weight.std() * 3**0.5 / bound - 1) < 0.1


def test_only_attention_and_lstm_have_biases() -> None:
    net = network()
    biased = {name for name, p in net.named_parameters() if name.endswith("bias")}
    allowed = {
        f"{name}.{inner}"
        for name, part in net.named_modules()
        if isinstance(part, ChannelAttention | ConvLSTM)
        for inner, _ in part.named_parameters()
    }
    assert biased
    assert biased <= allowed


def test_coarse_features_start_as_the_initial_ones() -> None:
    torch.manual_seed(0)
    net = MSPFN(MSPFNConfig(**SMALL))
    features = [torch.randn(1, 8, 16 // 2**level, 16 // 2**level) for level in range(3)]
    for start, coarse in zip(features, net.coarse(features), strict=True):
        assert (coarse - start).abs().max() < 0.02 * start.abs().max()
        assert not torch.equal(coarse, start)


# The graph -------------------------------------------------------------------------------------


def published_fusion(module: Any, old: list[Tensor]) -> list[Tensor]:
    """Coarse and fine fusion: level l + 1 of the text is index l, `up[l][i]` brings the i-th of the
    coarser outputs, the coarsest first, to level l."""
    levels = len(old)
    new: dict[int, Tensor] = {}
    raised: dict[tuple[int, int], Tensor] = {}  # (from, to)
    for level in reversed(range(levels)):
        for i, k in enumerate(reversed(range(level + 1, levels))):
            below = new[k] if k == level + 1 else raised[k, level + 1]
            raised[k, level] = module.ups[level][i](below, like=old[level])
        e = old[level] + sum(raised[k, level] for k in range(level + 1, levels))
        new[level] = old[level] + module.blocks[level](e)
    return [new[level] for level in range(levels)]


def published(net: Any, image: Tensor) -> Tensor:
    """The whole network from image to image, for the networks with progressive fusion."""
    config = net.config
    pyramid = image_pyramid(2 * image - 1, config.levels, config.pyramid)
    x = [conv(level) for conv, level in zip(net.initial, pyramid, strict=True)]
    C = published_fusion(net.coarse, x) if config.coarse_fusion else x
    fine = C
    for module in net.fine:
        fine = published_fusion(module, fine)
    end, last = net.reconstruction, config.levels - 1
    r = [end.joins[k](torch.cat([fine[k], C[k]], 1)) for k in range(config.levels)]
    q = r[0]
    if last:
        t = end.ups[last - 1](r[last], like=r[last - 1])
        for level in range(last - 1, 0, -1):
            t = end.ups[level - 1](torch.cat([t, r[level]], 1), like=r[level - 1])
        q = torch.cat([r[0], t], 1)
    residual = end.last(end.narrow(q))
    derained = (2 * image - 1) - residual  # in [-1, 1]
    return (derained + 1) / 2


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "no-cross"])
def test_the_graph_is_the_published_one(variant: str) -> None:
    net, image = network(**VARIANTS[variant]), torch.rand(2, 3, 24, 16)
    with torch.no_grad():
        expected = published(net, image)
        assert (net(image) - expected).abs().max() < 1e-5
        assert (expected - image).abs().max() > 0.05  # else the comparison says nothing


def states(net: Any, image: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Initial, coarse and fine features of every level in one forward pass."""
    initial: list[Tensor] = []
    ends: list[tuple[list[Tensor], list[Tensor]]] = []
    for conv in net.initial:
        conv.register_forward_hook(lambda _, __, output: initial.append(output))
    net.reconstruction.register_forward_pre_hook(lambda _, inputs: ends.append(inputs))
    with torch.no_grad():
        net(image)
    ((fine, coarse),) = ends
    return initial, coarse, fine


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("strides", [1, 2])
def test_residuals_add_to_the_old_state(strides: int) -> None:
    """With silent blocks the state stays, although everything coarser was added before them."""
    net = network(strides=strides)
    last = (".2.0.weight", ".ups.0.conv.weight")  # of a block of coarse, of fine fusion
    for name, weight in net.named_parameters():
        if ".blocks." in name and name.endswith(last):
            nn.init.zeros_(weight)
    initial, coarse, fine = states(net, torch.rand(1, 3, 16, 16))
    assert all(x.count_nonzero() > 0 for x in initial)
    assert same(coarse, initial)
    assert same(fine, coarse)


def test_fine_fusion_leaves_the_coarse_features_to_the_reconstruction() -> None:
    initial, coarse, fine = states(network(), torch.rand(1, 3, 16, 16))
    assert not same(coarse, initial)
    assert not same(fine, coarse)


def test_model1_has_one_scale() -> None:
    with torch.device("meta"):
        net: Any = build("mspfn-model1")
    assert net.size_multiple == 2
    assert sum(isinstance(part, RRU) for part in net.modules()) == 1
    assert sum(isinstance(part, URAB) for part in net.modules()) == 10
    assert sum(isinstance(part, Up) for part in net.modules()) == 10  # the URABs' own


def test_model2_starts_fine_fusion_from_the_initial_features() -> None:
    net = network(coarse_fusion=False)
    initial, coarse, _ = states(net, torch.rand(1, 3, 16, 16))
    assert same(coarse, initial)
    assert not any(isinstance(part, ConvLSTM) for part in net.modules())


def test_model3_reconstructs_from_the_coarse_features_twice() -> None:
    net = network(fine_modules=0)
    _, coarse, fine = states(net, torch.rand(1, 3, 16, 16))
    assert same(fine, coarse)
    assert not any(isinstance(part, URAB) for part in net.modules())
    assert isinstance(net.reconstruction, Reconstruction)


def test_model4_joins_levels_in_image_space_only() -> None:
    net, image = network(cross_scale=False), torch.rand(1, 3, 16, 24)
    inside = {id(p) for part in net.modules() if isinstance(part, URAB) for p in part.modules()}
    assert not [p for p in net.modules() if isinstance(p, Up) and id(p) not in inside]
    initial, coarse, fine = states(net, image)
    assert isinstance(net.reconstruction, SeparateReconstruction)
    with torch.no_grad():
        for x, c, f, level in zip(initial, coarse, fine, range(3), strict=True):
            expected = x + net.coarse.blocks[level](x)
            torch.testing.assert_close(c, expected)
            for module in net.fine:
                expected = expected + module.blocks[level](expected)
            torch.testing.assert_close(f, expected)
        heads = [
            head(torch.cat([f, c], 1))
            for head, f, c in zip(net.reconstruction.heads, fine, coarse, strict=True)
        ]
        rain = heads[2]
        for head in (heads[1], heads[0]):
            twice = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            rain = head + twice(rain)
        torch.testing.assert_close(net(image), image - rain / 2)


# Folding and gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["default", "released", "lite"])
@pytest.mark.parametrize("size", [(16, 24), (13, 18)])
def test_folding_changes_no_bit_and_drops_the_dead_weights(
    variant: str, size: tuple[int, int]
) -> None:
    net, image = network(**VARIANTS[variant]), torch.rand(2, 3, *size)
    folded = net.fold()
    with torch.no_grad():
        assert torch.equal(folded(image), net(image))
    cells = [p for p in net.modules() if isinstance(p, ConvLSTM)]
    assert len(cells) == 3
    dead = sum(9 * (p.inputs + 4 * p.hidden) * p.hidden + p.hidden for p in cells)
    assert count(net) - count(folded) == dead
    assert count(net) == count(network(**VARIANTS[variant]))  # the original keeps its weights


def test_the_folded_form_trains_like_the_full_one() -> None:
    net = network()
    folded, image, target = net.fold(), torch.rand(2, 3, 12, 16), torch.rand(2, 3, 12, 16)
    for form in (net, folded):
        (form(image) - target).square().sum().backward()
    short = dict(folded.named_parameters())
    for name, parameter in net.named_parameters():
        gradient, expected = parameter.grad, short[name].grad
        assert gradient is not None
        assert expected is not None
        if gradient.shape != expected.shape:
            hidden = gradient.shape[0] // 4
            live = gradient[:, : expected.shape[1]] if gradient.ndim == 4 else gradient
            live = torch.cat([live[: 2 * hidden], live[3 * hidden :]])
            assert gradient.count_nonzero() == live.count_nonzero()  # exactly zero elsewhere
            gradient = live
        assert torch.equal(gradient, expected), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_parameter(variant: str) -> None:
    net = network(reduction=1, **VARIANTS[variant])  # two units may all lie on one side of zero
    net(torch.rand(2, 3, 16, 24)).square().sum().backward()
    unreached = [
        name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert unreached == []


# Sizes, formats, arguments ---------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["default", "lite", "gaussian", "torch-alignment", "no-cross"])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (37, 61)])
def test_any_size(variant: str, size: tuple[int, int]) -> None:
    output = network(**VARIANTS[variant])(torch.rand(1, 3, *size))
    assert output.shape == (1, 3, *size)
    assert output.isfinite().all()


def test_padding_is_the_images_own_reflection_to_a_multiple_of_four() -> None:
    net, image = network(), torch.rand(1, 3, 13, 18)
    with torch.no_grad():
        padded = net(F.pad(image, (0, 2, 0, 3), mode="reflect"))
        torch.testing.assert_close(net(image), padded[..., :13, :18])


def test_the_exported_multiple_leaves_no_odd_size_inside() -> None:
    assert (network().size_multiple, network(strides=2).size_multiple) == (8, 16)
    sizes: list[torch.Size] = []
    net = network(strides=2)
    for part in net.modules():
        if isinstance(part, Down):
            part.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[-2:]))
    net(torch.rand(1, 3, 16, 48))
    assert sizes
    assert all(length % 2 == 0 for size in sizes for length in size)


def test_a_batch_gives_what_its_images_give_alone() -> None:
    net, images = network(), torch.rand(3, 3, 13, 16)
    with torch.no_grad():
        alone = torch.cat([net(image[None]) for image in images])
        assert (net(images) - alone).abs().max() < 1e-5


def test_channels_last_and_mixed_precision_give_the_same_image() -> None:
    net, image = network(), torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        expected = net(image)
        last = net.to(memory_format=torch.channels_last)
        assert (last(image.to(memory_format=torch.channels_last)) - expected).abs().max() < 1e-5
        with torch.autocast("cpu", torch.bfloat16):
            assert (net(image) - expected).abs().max() < 0.05 * (expected - image).abs().max()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fine_modules": -1}, "fine_modules must be at least 0: -1"),
        ({"width": 0}, "width must be at least 1: 0"),
        ({"width": 10}, r"width must divide by reduction \(4\): 10"),
        ({"levels": 0}, "levels must be at least 1: 0"),
        ({"levels": 2}, r"lstm_widths must be a tuple with one entry per level \(2\)"),
        ({"lstm_widths": (8, 0, 4)}, "lstm_widths must be at least 1"),
        ({"rru_widths": (8, 4)}, r"rru_widths must be a tuple with one entry per level \(3\)"),
        ({"attention_units": 0}, "attention_units must be at least 1"),
        (
            {"attention_units": (1, 1)},
            r"attention_units must be a tuple with one entry per level \(3\)",
        ),
        ({"strides": 0}, "strides must be at least 1: 0"),
        ({"reduction": 0}, "reduction must be at least 1: 0"),
        ({"reconstruction_width": 0}, "reconstruction_width must be at least 1: 0"),
        ({"pyramid": "laplace"}, "pyramid must be one of box, gaussian: 'laplace'"),
        ({"align": "jax"}, "align must be one of tf, torch: 'jax'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MSPFNConfig(**{**SMALL, **changes})


def test_unknown_names_and_arguments_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown network 'mspfm'; known: .*mspfn-lite"):
        build("mspfm")
    with pytest.raises(ValueError, match=r"mspfn has no argument 'deep'; it has: fine_modules"):
        build("mspfn", deep=3)
    with torch.device("meta"):
        changed: Any = build("mspfn-m10n3", fine_modules=3)
    assert len(changed.fine) == 3


@pytest.mark.slow
def test_exported_graph_agrees_in_openvino_at_any_allowed_size(tmp_path: Path) -> None:
    net = network(fine_modules=1).fold().eval()
    height, width = (net.size_multiple * torch.export.Dim(name, min=1, max=512) for name in "hw")
    torch.onnx.export(
        net,
        (torch.rand(1, 3, 16, 24),),
        tmp_path / "net.onnx",
        dynamo=True,
        dynamic_shapes={"image": {2: height, 3: width}},
        external_data=False,
        verbose=False,
    )
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(tmp_path / "net.onnx", "CPU", settings)
    for size in [(8, 8), (24, 16), (40, 56)]:
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = net(image).numpy()
        result = compiled(image.numpy())[0]
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() < 1e-4


def test_further_recurrent_steps_follow_the_equations() -> None:
    cell = ConvLSTM(3, 5, steps=3)
    nn.init.normal_(cell.conv.weight)
    nn.init.normal_(cell.conv.bias)  # type: ignore[arg-type]
    x = torch.rand(1, 3, 6, 7)
    memory = state = torch.zeros(1, 5, 6, 7)
    for _ in range(3):
        i, j, f, o = cell.conv(torch.cat([x, state], 1)).chunk(4, 1)
        memory = memory * (f + 1).sigmoid() + i.sigmoid() * j.tanh()
        state = memory.tanh() * o.sigmoid()
    assert torch.allclose(cell(x), state, atol=1e-6)


def test_recurrent_steps_cost_no_weights_and_folding_keeps_what_they_use() -> None:
    once, thrice = (network(fine_modules=1, recurrent_steps=steps) for steps in (1, 3))
    assert count(once) == count(thrice) == count(thrice.fold())
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(thrice.fold()(image), thrice(image))
