import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from derain.engines.untracked import openvino
from derain.metrics import psnr
from derain.models.cost import cost
from derain.models.prenet import PReNet, PReNetConfig
from derain.weights.convert import load_authors

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
# PSNR Y of the authors' Rain100H weights, output clipped and truncated to 8 bits, f32 on a CPU;
# the mean over all 100 pairs is 29.448 dB, the value known from the authors' own code.
RECORDED = {"1": 33.2079, "100": 26.9101}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def tiny(**changes) -> PReNet:
    return PReNet(PReNetConfig(**{"stages": 2, "width": 4, "blocks": 2, **changes})).eval()


@pytest.mark.parametrize(("recursive", "parameters"), [(False, 168_963), (True, 94_979)])
def test_has_the_papers_parameters_and_cost(recursive, parameters):
    with torch.device("meta"):
        network = PReNet(PReNetConfig(recursive=recursive))
    per_stage = 9 * (6 * 32 + 64 * 128 + 10 * 32 * 32 + 32 * 3)  # multiply-adds per pixel
    assert cost(network, 64, 48) == (parameters, 6 * per_stage * 64 * 48)


def test_the_recursive_form_runs_one_block_as_often_as_there_would_be_blocks():
    once, often = tiny(blocks=3, recursive=True), tiny(blocks=3)
    assert len(once.blocks) == 1
    state = {k: v for k, v in once.state_dict().items() if not k.startswith("blocks.")}
    for block in range(3):
        state |= {f"blocks.{block}.{k}": v for k, v in once.blocks[0].state_dict().items()}
    often.load_state_dict(state)
    image = torch.rand(1, 3, 12, 9)
    with torch.no_grad():
        assert torch.equal(once(image), often(image))


def test_estimates_are_those_of_fewer_stages_and_the_last_is_the_output():
    long, short = tiny(stages=4), tiny(stages=2)
    short.load_state_dict(long.state_dict())
    image = torch.rand(1, 3, 10, 10)
    with torch.no_grad():
        estimates = long.estimates(image)
        torch.testing.assert_close(estimates[:2], short.estimates(image))
        assert len(estimates) == 4
        assert torch.equal(estimates[-1], long(image))
    assert not torch.equal(estimates[2], estimates[3])


def test_every_stage_reads_the_rainy_image_the_last_estimate_and_the_memory():
    network = tiny(stages=3)
    inputs: list[Tensor] = []
    network.first.register_forward_hook(lambda _, args, __: inputs.append(args[0]))
    states: list[tuple[Tensor, Tensor]] = []
    network.lstm.register_forward_hook(lambda _, __, result: states.append(result))  # type: ignore
    memories: list[Tensor | None] = []
    network.lstm.register_forward_pre_hook(lambda _, args: memories.append(args[1]))
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        estimates = network.estimates(image)
    for stage, before in enumerate([image, *estimates[:-1]]):
        assert torch.equal(inputs[stage], torch.cat([image, before], dim=1))
    assert memories == [None, states[0], states[1]]


def test_adds_what_it_predicts_to_the_rainy_image():
    network = tiny()
    nn.init.zeros_(network.last.weight)
    nn.init.constant_(network.last.bias, -0.25)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(image), image - 0.25)


@pytest.mark.parametrize("recursive", [False, True])
def test_gradients_reach_every_weight(recursive):
    network = tiny(recursive=recursive).train()
    network(torch.rand(1, 3, 16, 16)).square().mean().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 3), (17, 20)])
def test_takes_every_size(size):
    network = tiny()
    with torch.no_grad():
        output = network(torch.rand(2, 3, *size))
    assert output.shape == (2, 3, *size)
    assert output.isfinite().all()


def test_far_pixels_do_not_matter():
    # Seven 3x3 convolutions in a row: first, LSTM, two in each of two blocks, last.
    network = tiny(stages=1)
    image = torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        torch.testing.assert_close(
            network(image[..., :16])[..., :9], network(image)[..., :9], atol=1e-6, rtol=0
        )
        assert not torch.allclose(network(image[..., :16])[..., 9:], network(image)[..., 9:16])


def test_a_batch_equals_its_images_one_by_one():
    network = tiny()
    images = torch.rand(3, 3, 13, 11)
    with torch.no_grad():
        single = torch.cat([network(image[None]) for image in images])
        torch.testing.assert_close(network(images), single, atol=1e-6, rtol=0)


def test_channels_last_and_bfloat16_agree_with_float32():
    network = tiny(stages=6)
    image = torch.rand(1, 3, 24, 17)
    with torch.no_grad():
        expected = network(image)
        last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore
        torch.testing.assert_close(
            last(image.to(memory_format=torch.channels_last)), expected, atol=1e-6, rtol=0
        )
        with torch.autocast("cpu", torch.bfloat16):
            coarse = last(image)
    assert (coarse - expected).abs().max() < 0.02


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("stages", 0, "at least 1"),
        ("width", 0, "at least 1"),
        ("blocks", -2, "at least 1"),
        ("blocks", "5", "at least 1"),
        ("recursive", 1, "one of True, False"),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(field, value, allowed):
    with pytest.raises(ValueError, match=f"{field} must be {allowed}.*{value}"):
        PReNetConfig(**{field: value})


@pytest.mark.slow
def test_exported_graph_agrees_in_openvino_at_every_size(tmp_path):
    pytest.importorskip("onnxscript")
    network = tiny()
    rows, columns = (torch.export.Dim(name, min=1, max=4096) for name in ("h", "w"))
    program = torch.onnx.export(
        network, (torch.rand(1, 3, 9, 12),), dynamo=True, dynamic_shapes=({2: rows, 3: columns},)
    )
    assert program is not None
    program.save(tmp_path / "prenet.onnx")
    compiled = openvino.Core().compile_model(
        tmp_path / "prenet.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for height, width in ((1, 1), (31, 17), (40, 64)):
        image = torch.rand(1, 3, height, width)
        with torch.no_grad():
            expected = network(image)
        output = torch.from_numpy(compiled(image.numpy())[0])
        assert (expected - image).abs().max() > 0.01
        assert (output - expected).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "data/peers/prenet").is_dir(),
    reason=f"the authors' weights and Rain100H are not at {SHARED}",
)
@pytest.mark.parametrize("name", RECORDED)
def test_the_authors_weights_score_on_rain100h_as_recorded(name):
    network = load_authors(SHARED / "data/peers/prenet/Rain100H.pth")
    rainy, clean = (
        np.array(Image.open(SHARED / f"data/test/rain100h/{kind}/{name}.png").convert("RGB"))
        for kind in ("rainy", "clean")
    )
    image = torch.from_numpy(rainy).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        output = network(image)[0].permute(1, 2, 0).clamp(0, 1)
    truncated = (output * 255).to(torch.uint8).numpy()
    assert psnr(truncated, clean, protocol="y") == pytest.approx(RECORDED[name], abs=0.005)
