"""What is shown of a network is what its parts give."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from derain.evaluation.look_inside import look_inside, write_files  # noqa: E402
from derain.io.decode import read_rgb  # noqa: E402
from derain.models import build  # noqa: E402

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
TINY_MSPFN = {"fine_modules": 2, "width": 8, "lstm_widths": (8, 8, 8)}


def test_mspfn_shows_its_pyramid_its_levels_and_its_gates(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build("mspfn-lite", **TINY_MSPFN)
    inside = look_inside(network, IMAGE)
    sizes = [image.shape[:2] for _, image in inside.inputs]
    assert sizes == [(48, 64), (24, 32), (12, 16)]
    box = IMAGE.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3)) / 255
    assert np.allclose(inside.inputs[1][1], box, atol=1e-5)
    fine = [stage for stage in inside.stages if stage.name == "fine.1"]
    assert [stage.shape for stage in fine] == [(8, 48, 64), (8, 24, 32), (8, 12, 16)]
    assert len(inside.gates) == 2 * 3  # a unit in each level of both modules
    assert all(
        values.shape == (8,) and 0 < values.min() <= values.max() < 1 for _, values in inside.gates
    )
    with torch.inference_mode():
        x = torch.from_numpy(IMAGE.copy()).permute(2, 0, 1)[None].float() / 255
        expected = network(x).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(inside.derained, expected)
    assert not any(part._forward_hooks for part in network.modules())
    names = write_files(inside, tmp_path)
    assert names == ["rain.png", "stages.png", "gates.png", "stages.csv"]
    assert read_rgb(tmp_path / "stages.png").std() > 5
    assert len((tmp_path / "stages.csv").read_text().splitlines()) == 1 + len(inside.stages)


def test_mh2fnet_shows_its_spatial_and_channel_maps() -> None:
    inside = look_inside(build("mh2fnet", width=8, extraction_blocks=2), IMAGE)
    ((name, values),) = inside.maps
    assert name == "distillation.spatial"
    assert values.shape == (48, 64)
    assert [name for name, _ in inside.gates] == ["distillation.channel.weigh"]


def test_dcsfn_shows_the_states_of_its_sub_networks() -> None:
    inside = look_inside(build("dcsfn", width=8, blocks=2, convolutions=1), IMAGE)
    states = [stage for stage in inside.stages if stage.name == "passes.1"]
    assert [stage.shape for stage in states] == [(8, 48, 64), (8, 24, 32), (8, 12, 16)]
    encoders = [stage.shape for stage in inside.stages if stage.name.startswith("encoders")]
    assert encoders == [(8, 48, 64), (8, 24, 32), (8, 12, 16)]
