"""Backends compute the same, whatever they cost."""

import numpy as np
import pytest

from derain.benchmark.backends import scene
from derain.benchmark.measure import agreement, spread
from derain.benchmark.models import ModelFiles
from derain.weights.record import Record


def test_cells_in_full_change_nothing_but_the_work():
    torch = pytest.importorskip("torch")
    from derain.benchmark.backends import in_full
    from derain.models import build
    from derain.models.cost import cost

    torch.manual_seed(0)
    network = build("mspfn", fine_modules=1, width=8, lstm_widths=(16, 8, 8)).eval()
    for name, weight in network.named_parameters():
        if ".conv.bias" in name:
            torch.nn.init.normal_(weight)  # so that gates differ
    folded = network.fold()
    image = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        ours = folded(image)
        lean = cost(network, 32, 48).macs
        torch.testing.assert_close(in_full(network)(image), ours, atol=1e-6, rtol=0)
    # The forget gate's rows and the hidden state's columns, at each level.
    extra = sum(9 * (4 * 2 * h * h - 3 * h * h) * 32 * 48 // 4**i for i, h in enumerate((16, 8, 8)))
    assert cost(network, 32, 48).macs - lean == extra


def test_agreement_is_a_psnr_of_values_up_to_one():
    zeros = np.zeros((1, 3, 4, 4), np.float32)
    assert agreement(zeros + np.float32(0.1), zeros) == pytest.approx(20)
    assert agreement(zeros, zeros) == 200


def test_spread_leaves_out_the_outer_quarters():
    assert spread([1.0, 9.0, 10.0, 11.0, 99.0]) == pytest.approx(0.1)
    assert spread([2.0, 2.0, 2.0]) == 0


def test_the_work_of_a_file_without_a_torch_form_follows_its_record(tmp_path):
    record = Record("x", "mspfn-lite", size_multiple=16, gmacs=38.5)
    model = ModelFiles("x", {".onnx": tmp_path / "x.onnx"}, record)
    assert model.flop(384, 512) == 77e9
    assert model.flop(760, 512) == 2 * 77e9  # padded to 768
    assert model.file("openvino") == model.file("onnxruntime") == tmp_path / "x.onnx"
    assert model.file("torch") is None


def test_the_image_is_a_image():
    image = scene(40, 60)
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.float32
    assert 0 <= image.min() < image.max() <= 1
    assert image.std() > 0.05
