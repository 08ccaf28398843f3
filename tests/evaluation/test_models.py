import hashlib
from pathlib import Path

import numpy as np
import pytest

from derain.evaluation.models import (
    PUBLISHED,
    InferenceSettings,
    evaluation_model,
    evaluation_models,
    rainy_input,
)
from derain.weights.catalog import DEFAULT, WEIGHTS

CPU = InferenceSettings(device="cpu")


def test_a_name_is_the_file_that_the_engine_runs() -> None:
    for engine, suffix in (("openvino", ".onnx"), ("torch", ".safetensors")):
        one = evaluation_model(DEFAULT, InferenceSettings("cpu", engine))
        file = WEIGHTS[DEFAULT].file(suffix)
        assert (one.name, one.path) == (DEFAULT, file)
        assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert one.where.startswith(f"{engine} cpu f32, tiles of ")


def test_a_file_says_its_engine() -> None:
    file = WEIGHTS[DEFAULT].file(".safetensors")
    one = evaluation_model(str(file), CPU)
    assert one.name == file.name
    other = [
        InferenceSettings("cpu", precision="bf16"),
        InferenceSettings("cpu", tile="off"),
        InferenceSettings("cpu", tile="256"),
    ]
    where = [evaluation_model(str(file), settings).where for settings in (CPU, *other)]
    assert where[0].startswith("torch cpu f32, tiles of ")
    assert where[1].startswith("torch cpu bf16, tiles of ")
    assert where[2:] == ["torch cpu f32, whole images", "torch cpu f32, tiles of 256"]


def test_the_rainy_input_does_nothing() -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    one = rainy_input()
    assert one(image) is image
    assert one.path is None
    assert not one.tiles(image)


def test_several_models_have_names_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / place / "best.onnx" for place in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text("no network")
    names = [DEFAULT, str(files[0]), PUBLISHED, str(files[1]), DEFAULT]
    assert [one.name for one in evaluation_models(names, CPU)] == [DEFAULT, *map(str, files)]
    assert evaluation_models([PUBLISHED]) == []


def test_what_cannot_be_evaluated_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"rainnet: neither a model file nor .*{DEFAULT}"):
        evaluation_model("rainnet", CPU)
    with pytest.raises(ValueError, match=r"gone.pth: neither a model file nor "):
        evaluation_model(str(tmp_path / "gone.pth"), CPU)
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        evaluation_model(DEFAULT, InferenceSettings("tpu"))
    (tmp_path / "x.pth").write_text("no checkpoint")
    with pytest.raises(ValueError, match="f32 alone"):
        _ = evaluation_model(
            str(tmp_path / "x.pth"), InferenceSettings("cpu", precision="bf16")
        ).restorer
    with pytest.raises(ValueError, match=r"x.pth"):
        _ = evaluation_model(str(tmp_path / "x.pth"), CPU).restorer


@pytest.mark.slow
def test_prenet_by_its_authors(shared: Path) -> None:
    one = evaluation_model(str(shared / "data" / "peers" / "prenet" / "Rain100H.pth"), CPU)
    assert one.name == "prenet/Rain100H.pth"
    assert one.record.network == "prenet"
    assert one.record.parameters == 168_963
    assert one.record.gmacs == pytest.approx(198.7, abs=0.1)
    image = np.random.default_rng(0).integers(0, 256, (33, 50, 3), np.uint8)
    restored = one(image)
    assert restored.shape == image.shape
    assert restored.dtype == np.uint8
    floats = one(image / np.float32(255))
    assert np.array_equal(restored, np.floor(255 * floats + 0.5).astype(np.uint8))


@pytest.mark.slow
def test_the_default_says_its_cost() -> None:
    from derain.models import build
    from derain.models.cost import cost

    record = evaluation_model(DEFAULT, CPU).record
    assert record.name == DEFAULT
    assert record.gmacs == pytest.approx(cost(build(record.network), 384, 512).gmacs, abs=0.1)
