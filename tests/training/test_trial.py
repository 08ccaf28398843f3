"""What would fail in the end of a run fails before its first step."""

import dataclasses
import sys

import pytest

torch = pytest.importorskip("torch")

from derain.models.mspfn import MSPFN  # noqa: E402
from derain.models.prenet import PReNet  # noqa: E402
from derain.training.loop import TrainingSettings, train  # noqa: E402

CHEAP = {"width": 4, "stages": 2, "blocks": 1}  # of PReNet, which torch exports in a second
EXPORTED = TrainingSettings("cpu", workers=0)
PLAIN = TrainingSettings("cpu", workers=0, onnx=False)


def fails_at_once(recipe, data, run, settings, words):
    steps = []
    with pytest.raises((ValueError, OSError), match=words) as caught:
        train(recipe, data, run, settings, on_step=steps.append)
    assert not steps
    assert "\n" not in str(caught.value)
    assert not run.exists() or not list(run.iterdir())  # the next try finds an empty folder


def test_a_network_that_does_not_say_how_it_tiles(data, recipe, tmp_path, monkeypatch):
    monkeypatch.delattr(MSPFN, "receptive_radius")
    fails_at_once(recipe, data, tmp_path / "run", PLAIN, "MSPFN.receptive_radius is missing")


@pytest.fixture
def exported(recipe):
    """A recipe whose export takes little time."""
    pytest.importorskip("onnxscript")
    return dataclasses.replace(recipe, network="prenet", options=CHEAP)


def test_a_network_that_cannot_be_exported(data, exported, tmp_path, monkeypatch):
    forward = PReNet.forward

    def unusual(network, rainy):
        result = forward(network, rainy)
        return result + 0 * torch.special.airy_ai(result)  # ONNX has no such function

    monkeypatch.setattr(PReNet, "forward", unusual)
    fails_at_once(exported, data, tmp_path / "run", EXPORTED, "prenet: its export would fail")
    train(exported, data, tmp_path / "run", PLAIN)
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


def test_a_network_that_cannot_be_validated(data, recipe, tmp_path, monkeypatch):
    forward = MSPFN.forward

    def training_only(network, rainy):
        if not network.training:
            raise NotImplementedError("no evaluation yet")
        return forward(network, rainy)

    monkeypatch.setattr(MSPFN, "forward", training_only)
    words = "its validation would fail in the end: NotImplementedError: no evaluation yet"
    fails_at_once(recipe, data, tmp_path / "run", PLAIN, words)


def test_a_missing_package_is_said_at_the_start_and_costs_the_file_alone(
    data, recipe, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "derain.export", raising=False)
    seen = []
    train(recipe, data, tmp_path / "run", EXPORTED, on_step=seen.append)
    assert "no .onnx will be written: onnx is missing (`pip install derain" in seen[0].remark
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


def test_a_run_ends_with_the_file_that_was_tried(data, exported, tmp_path):
    train(exported, data, tmp_path / "run", EXPORTED)
    assert (tmp_path / "run" / "tiny.onnx").is_file()
    assert not (tmp_path / "run" / "trial").exists()
