"""Every family of networks goes the whole way: weights, export, both engines, any picture size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import derain  # noqa: E402
from derain.export import to_onnx  # noqa: E402
from derain.models import build  # noqa: E402
from derain.weights.files import save_weights  # noqa: E402
from derain.weights.record import Record  # noqa: E402

FAMILIES = {
    "mspfn": {"fine_modules": 1, "width": 8, "lstm_widths": (8, 8, 8)},
    "dcsfn": {"width": 4, "blocks": 1, "convolutions": 1},
    "mh2fnet": {"extraction_blocks": 2, "width": 8},
    "prenet": {"stages": 2, "width": 8, "blocks": 1},
    "nafnet-small": {"width": 8},
    "rescan": {"width": 6, "stages": 2, "depth": 5},
    "spanet": {"width": 4},
    "rcdnet": {"stages": 3, "rain_maps": 4, "dual_channels": 3},
    "ddn": {"width": 4, "blocks": 2},
    "ddn-matlab": {"width": 4, "blocks": 2},
    "umrl": {"width": 8},
    "jorder-e": {"width": 4, "units": 1},
    "did-mdn-known": {"density": 2},
    "drdnet": {"width": 4, "blocks": 1},
    "rehen": {"width": 4, "stages": 2, "units": 2},
    "nledn": {"width": 8, "growth": 4, "layers": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_agree_on_any_size(family, tmp_path):
    torch.manual_seed(0)
    network = build(family, **FAMILIES[family]).eval()
    record = Record(
        "tiny",
        family,
        FAMILIES[family],
        network.size_multiple,  # type: ignore[arg-type]
        network.minimum_size,  # type: ignore[arg-type]
    )
    save_weights(tmp_path / "tiny.safetensors", network.state_dict(), record)
    assert to_onnx(tmp_path / "tiny.onnx", network, record) < 1e-4
    engines = [
        derain.load(tmp_path / f"tiny{suffix}", device="cpu", precision="f32")
        for suffix in (".onnx", ".safetensors")
    ]
    assert [r.engine.name for r in engines] == ["OpenVINO", "torch"]
    for size in ((64, 96), (37, 61), (5, 90), (1, 1), (97, 131)):
        picture = np.random.default_rng(0).random((*size, 3), np.float32)
        a, b = (restorer(picture) for restorer in engines)
        assert a.shape == picture.shape
        assert np.abs(a - b).max() < 1e-4
