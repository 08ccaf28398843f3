import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from derain.engines.untracked import openvino
from derain.models.cost import cost
from derain.models.dcsfn import (
    CELLS,
    DCSFN,
    Coder,
    DCSFNConfig,
    InnerScaleConnection,
    RecurrentPass,
)

# Of the networks in Tables 3 to 6: parameters, GMACs at 512x384 and at 256x256
SIZES = {
    "paper": ({}, 12_626_359, 547.9, 182.6),
    "k1": ({"scales": 1}, 4_826_551, 406.2, 135.4),
    "k2": ({"scales": 2}, 8_777_143, 516.2, 172.1),
    "k4": ({"scales": 4}, 16_475_575, 562.1, 187.4),
    "lstm": ({"unit": "lstm"}, 12_741_495, 555.9, 185.3),
    "rnn": ({"unit": "rnn"}, 12_404_407, 534.6, 178.2),
    "noinner": ({"inner": False}, 12_226_999, 526.7, 175.6),
    "m2": ({"dense": False}, 11_689_399, 467.5, 155.9),
    "m1": ({"skip": "none"}, 12_626_359, 547.9, 182.6),
    "m3": ({"single": True}, 4_097_079, 401.2, 133.8),
    "nocross": ({"cross": False}, 12_289_271, 526.6, 175.5),
    "code": ({"width": 20, "scales": 4}, 6_451_507, 219.7, 73.2),
    "c20": ({"width": 20}, 4_944_307, 214.1, 71.4),
    "small": ({"width": 16, "blocks": 8}, 1_578_247, 67.0, 22.3),
}
TINY = DCSFNConfig(width=4, blocks=2, convolutions=1)
# One of every option, and every unit in both directions.
VARIANTS = [
    *(
        {"unit": unit, "direction": direction}
        for unit, direction in itertools.product(CELLS, ("code", "figure"))
    ),
    {"skip": "output"},
    {"skip": "none", "dense": False},
    {"inner": False},
    {"scales": 1, "cross": False},
    {"scales": 4},
    {"single": True},
    {"order": "equation"},
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes) -> DCSFN:
    return DCSFN(dataclasses.replace(TINY, **changes)).eval()


def excite(network: DCSFN) -> DCSFN:
    """Undo the shrinking of fresh layers, so that a fault deep inside shows in the output."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 4:
                parameter.mul_(2)
    return network


def dead(network: DCSFN) -> set[str]:
    """The weights of gates that only ever see a zero state: they cannot change the output."""
    gates_of_state = {"gru": ["r"], "lstm": ["f"], "rnn": []}[network.config.unit]
    first_cells = [(2, 0), (0, 2)][network.config.direction == "figure"]
    prefixes = tuple(
        f"passes.{run}.cells.{scale}.{side}."
        for run, scale in enumerate(first_cells)
        for side in ("h", *(f"x.{gate}" for gate in gates_of_state))
    )
    return {name for name, _ in network.named_parameters() if name.startswith(prefixes)}


@pytest.mark.parametrize("name", SIZES)
def test_has_the_parameters_of_the_specification(name):
    changes, parameters, *_ = SIZES[name]
    with torch.device("meta"):
        network = DCSFN(DCSFNConfig(**changes))
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_costs_what_the_specification_says():
    changes, _, at_512x384, at_256x256 = SIZES["small"]
    with torch.device("meta"):
        network = DCSFN(DCSFNConfig(**changes))
    assert cost(network, 384, 512).gmacs == pytest.approx(at_512x384, abs=0.05)
    assert cost(network, 256, 256).gmacs == pytest.approx(at_256x256, abs=0.05)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_gradients_reach_all_weights_but_the_named_dead_ones(changes):
    network = excite(tiny(**changes)).train()
    size = max(32, network.minimum_size)
    network(torch.rand(1, 3, size, size + 5)).square().mean().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == dead(network)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_fold_is_bit_equal_without_the_dead_weights(changes):
    network = excite(tiny(**changes))
    folded = network.fold()
    image = torch.rand(1, 3, 37, 45)
    with torch.no_grad():
        assert torch.equal(folded(image), network(image))
        assert torch.equal(folded.fold()(image), network(image))
    names = {name for name, _ in network.named_parameters()}
    assert names - {name for name, _ in folded.named_parameters()} == dead(network)


def test_fold_of_the_paper_saves_what_the_specification_says():
    with torch.device("meta"):
        network = DCSFN()
    left = sum(p.numel() for p in network.fold().parameters())
    assert 12_626_359 - left == 73_984


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_takes_every_size_from_its_minimum(changes):
    network = tiny(**changes)
    least = network.minimum_size
    assert least == (1 if network.config.single else 4) * 2 ** (network.config.scales - 1)
    for height, width in ((least, least), (least + 1, least + 7), (2 * least + 3, least)):
        with torch.no_grad():
            output = network(torch.rand(1, 3, height, width))
        assert output.shape == (1, 3, height, width)
        assert output.isfinite().all()
    for height, width in ((least - 1, least), (least, least - 1)):
        message = f"at least {least} x {least}: {height} x {width}"
        with pytest.raises(ValueError, match=message):
            network(torch.rand(1, 3, height, width))


def test_a_batch_equals_its_images_one_by_one():
    network = excite(tiny())
    images = torch.rand(3, 3, 35, 41)
    with torch.no_grad():
        single = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), single, atol=1e-5, rtol=0)


@pytest.mark.parametrize("unit", CELLS)
def test_channels_last_and_bfloat16_agree_with_float32(unit):
    network = tiny(unit=unit)
    image = torch.rand(1, 3, 40, 33)
    with torch.no_grad():
        expected = network(image)
        last = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(
            last(image.to(memory_format=torch.channels_last)), expected, atol=1e-5, rtol=0
        )
        with torch.autocast("cpu", torch.bfloat16):
            coarse = last(image)
    assert (coarse - expected).abs().max() < 0.02


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ("input", lambda block, x, e: block(x + e)),
        ("output", lambda block, x, e: block(x) + e),
        ("none", lambda block, x, e: block(x)),
    ],
)
def test_skip_places_the_encoder_features(skip, expected):
    coder = Coder(dataclasses.replace(TINY, blocks=1, dense=False, skip=skip))
    x, e = torch.rand(2, 1, 4, 16, 16)
    torch.testing.assert_close(coder(x, [e])[0], expected(coder.blocks[0], x, e))


def test_dense_units_read_the_input_and_all_units_before_them():
    coder = Coder(dataclasses.replace(TINY, blocks=2))
    x = torch.rand(1, 4, 16, 16)
    one = coder.blocks[0](x)
    two = coder.blocks[1](coder.fuse[0](torch.cat([x, one], dim=1)))
    output, units = coder(x)
    torch.testing.assert_close(units, [one, two])
    torch.testing.assert_close(output, coder.fuse[1](torch.cat([x, one, two], dim=1)))


def nearest(x: Tensor, height: int, width: int) -> Tensor:
    rows = [i * x.shape[2] // height for i in range(height)]
    columns = [i * x.shape[3] // width for i in range(width)]
    return x[:, :, rows][..., columns]


@pytest.mark.parametrize("inner", [True, False])
def test_a_unit_joins_its_scales_as_equations_say(inner):
    unit = InnerScaleConnection(dataclasses.replace(TINY, inner=inner))
    x = torch.randn(1, 4, 21, 18)

    def block(layers, *features: Tensor) -> Tensor:
        y = torch.cat(features, dim=1)
        for layer in layers:
            size = layer.conv.kernel_size[0]
            y = F.conv2d(y, layer.conv.weight, layer.conv.bias, padding=size // 2)
            y = torch.where(y > 0, y, 0.2 * y)
        return y

    p1, p2 = F.max_pool2d(x, 2), F.max_pool2d(x, 4)
    y2 = block(unit.scales[2], p2)
    q1 = block(unit.links[1:], p1, nearest(y2, 10, 9)) if inner else p1
    y1 = block(unit.scales[1], q1)
    q0 = block(unit.links[:1], x, nearest(y1, 21, 18)) if inner else x
    y0 = block(unit.scales[0], q0)
    expected = block([unit.fuse], y0, nearest(y1, 21, 18), nearest(y2, 21, 18)) + x
    torch.testing.assert_close(unit(x), expected)


def test_one_scale_is_a_plain_residual_block():
    unit = InnerScaleConnection(dataclasses.replace(TINY, scales=1))
    x = torch.randn(1, 4, 9, 9)
    torch.testing.assert_close(unit(x), unit.scales[0](x.clone()) + x)


@pytest.mark.parametrize("unit", CELLS)
@pytest.mark.parametrize("order", [(2, 1, 0), (0, 1, 2)])
def test_a_pass_hands_states_on_in_its_order_only(unit, order):
    recurrent = RecurrentPass(dataclasses.replace(TINY, unit=unit), order)
    features = [torch.rand(1, 4, size, size) for size in (16, 8, 4)]
    before = recurrent(features)
    for position, scale in enumerate(order):
        changed = list(features)
        changed[scale] = changed[scale] + 1
        after = recurrent(changed)
        moved = [not torch.equal(after[other], before[other]) for other in order]
        assert moved == [other >= position for other in range(3)]


@pytest.mark.parametrize(("direction", "last"), [("code", 2), ("figure", 0)])
def test_direction_sets_where_the_passes_end(direction, last):
    network = tiny(direction=direction)
    assert [recurrent.order[-1] for recurrent in network.passes] == [2 - last, last]  # type: ignore


def test_predicts_the_rain_that_it_takes_off():
    network = tiny()
    nn.init.zeros_(network.last.weight)
    nn.init.constant_(network.last.bias, 0.25)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(image), image - 0.25)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("width", 0, "at least 1"),
        ("blocks", 0, "at least 1"),
        ("scales", 0, "at least 1"),
        ("convolutions", -1, "at least 1"),
        ("width", 2.5, "at least 1"),
        ("unit", "transformer", "gru, lstm, rnn"),
        ("skip", True, "input, output, none"),
        ("direction", "up", "code, figure"),
        ("cross", "no", "True, False"),
        ("single", 1, "True, False"),
        ("inner", None, "True, False"),
        ("dense", "yes", "True, False"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} must be .*{allowed}.*{value}"):
        DCSFNConfig(**{field: value})


@pytest.mark.slow
def test_exported_graph_agrees_in_openvino_at_every_size_it_allows(tmp_path):
    pytest.importorskip("onnxscript")
    network = excite(tiny(blocks=1, scales=2, width=3)).fold()
    multiple = network.size_multiple
    rows, columns = (multiple * torch.export.Dim(name, min=1, max=256) for name in ("h", "w"))
    example = torch.rand(1, 3, 3 * multiple, 2 * multiple)
    shapes = ({2: rows, 3: columns},)
    program = torch.onnx.export(network, (example,), dynamo=True, dynamic_shapes=shapes)
    assert program is not None
    program.save(tmp_path / "dcsfn.onnx")
    compiled = openvino.Core().compile_model(
        tmp_path / "dcsfn.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for height, width in ((multiple, multiple), (3 * multiple, 7 * multiple), (88, 40)):
        image = torch.rand(1, 3, height, width)
        with torch.no_grad():
            expected = network(image)
        output = torch.from_numpy(compiled(image.numpy())[0])
        assert (expected - image).std() > 0.01  # else rain could be wrong and not seen
        assert (output - expected).abs().max() < 1e-4


def test_equation_two_fuses_all_before_each_unit():
    """y_l = ISCB(conv1([y_0, ..., y_(l-1)])), and the last unit's output is the coder's."""
    coder = Coder(dataclasses.replace(TINY, blocks=3, order="equation"))
    widths = [part.in_channels for part in coder.fuse.modules() if isinstance(part, nn.Conv2d)]
    assert widths == [4, 8, 12]
    x = torch.rand(1, 4, 16, 16)
    first = coder.blocks[0](coder.fuse[0](x))
    second = coder.blocks[1](coder.fuse[1](x, first))
    third = coder.blocks[2](coder.fuse[2](x, first, second))
    output, outputs = coder(x)
    assert torch.equal(output, third)
    assert all(torch.equal(a, b) for a, b in zip(outputs, (first, second, third), strict=True))


def test_equation_two_costs_one_fused_map_less_per_unit():
    """Each of the 16 1x1 fusions of the 6 coders reads 32 channels less, into 32."""
    count = sum(p.numel() for p in DCSFN(DCSFNConfig(order="equation")).parameters())
    assert count == 12_626_359 - 6 * 16 * 32 * 32
