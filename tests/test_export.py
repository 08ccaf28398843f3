"""What is exported computes what torch does and says what it is, or is not written."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from derain.engines import Choice  # noqa: E402
from derain.engines.onnxruntime import ONNXRuntimeEngine  # noqa: E402
from derain.engines.openvino import OpenVINOEngine  # noqa: E402
from derain.engines.torch import TorchEngine  # noqa: E402
from derain.export import export, write  # noqa: E402
from derain.models import build  # noqa: E402
from derain.restore import Restorer  # noqa: E402
from derain.weights.files import load_network, save_weights  # noqa: E402
from derain.weights.record import KEY, Record  # noqa: E402

OPTIONS = {"fine_modules": 1, "width": 8, "lstm_widths": (8, 8, 8)}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = build("mspfn-lite", **OPTIONS)
    path = tmp_path_factory.mktemp("source") / "tiny.safetensors"
    record = Record("tiny", "mspfn-lite", OPTIONS, size_multiple=16, scores={"set y psnr": 27.5})
    save_weights(path, network.state_dict(), record)
    return path


@pytest.fixture(scope="module")
def graph(source: Path) -> Path:
    export(source, source.with_suffix(".onnx"))
    return source.with_suffix(".onnx")


@pytest.fixture(scope="module")
def program(source: Path) -> Path:
    export(source, source.with_suffix(".pt2"))
    return source.with_suffix(".pt2")


def random(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).random((1, 3, height, width), np.float32)


def expected(source: Path, batch: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return load_network(source)[0](torch.from_numpy(batch)).numpy()


def run_program(path: Path, batch: np.ndarray) -> np.ndarray:
    return torch.export.load(path).module()(torch.from_numpy(batch)).detach().numpy()


def test_every_engine_computes_from_an_onnx_file_what_torch_does(source, graph):
    for size in ((16, 16), (48, 80)):
        batch = random(*size)
        for engine in (OpenVINOEngine(graph, "f32"), ONNXRuntimeEngine(graph)):
            assert np.abs(engine(batch) - expected(source, batch)).max() < 1e-5
            assert engine.record.scores == {"set y psnr": 27.5}


def test_openvino_reads_its_own_format_again(source, graph, tmp_path):
    """From either form of the weights: the `.onnx` needs no second export."""
    for origin, precision in ((source, "f32"), (graph, "f16")):
        path = tmp_path / f"{precision}.xml"
        export(origin, path, precision)
        engine = OpenVINOEngine(path, "f32")
        batch = random(32, 48)
        assert np.abs(engine(batch) - expected(source, batch)).max() < 2e-3
        assert engine.record == OpenVINOEngine(graph).record
    sizes = [(tmp_path / f"{precision}.bin").stat().st_size for precision in ("f32", "f16")]
    assert sizes[1] < 0.6 * sizes[0]
    assert len(list(tmp_path.iterdir())) == 4


def test_torch_loads_a_program_with_its_record(source, program):
    for size in ((32, 32), (48, 80)):
        batch = random(*size)
        assert np.abs(run_program(program, batch) - expected(source, batch)).max() < 1e-6
    extra = {KEY: ""}
    torch.export.load(program, extra_files=extra)
    assert json.loads(extra[KEY])["scores"] == {"set y psnr": 27.5}


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_for_one_size_gives_what_a_restorer_gives(source, suffix, tmp_path):
    """Sides that the network cannot take are padded inside just as `Restorer` pads them."""
    path = tmp_path / f"tiny{suffix}"
    export(source, path, "bf16" if suffix == ".pt2" else "f32", size=(45, 70))
    restorer = Restorer(TorchEngine(*load_network(source), precision="f32"), Choice("", "", ""))
    batch = random(45, 70)
    right = restorer(np.ascontiguousarray(batch[0].transpose(1, 2, 0)))
    run = OpenVINOEngine(path, "f32") if suffix != ".pt2" else lambda x: run_program(path, x)
    result = np.clip(run(batch)[0].transpose(1, 2, 0), 0, 1)
    assert np.abs(result - right).max() < (0.01 if suffix == ".pt2" else 1e-5)
    if suffix == ".onnx":
        engine = ONNXRuntimeEngine(path)
        assert engine.record.size_multiple == 1
        with pytest.raises(ValueError, match=r"45 high and 70 wide alone, not 48 and 80"):
            engine(random(48, 80))


def test_halves_are_stored_and_cost_little(source, graph, tmp_path):
    import onnx

    for precision, kind, worst in (("f16", 10, 60), ("bf16", 16, 45)):
        path = tmp_path / f"{precision}.onnx"
        agreement = export(graph, path, precision)
        assert worst < agreement.psnr < 140
        assert path.stat().st_size < 0.75 * graph.stat().st_size
        stored = {tensor.data_type for tensor in onnx.load(path).graph.initializer if
                  onnx.numpy_helper.to_array(tensor).size >= 100}  # fmt: skip
        assert stored == {kind}


def test_an_onnx_file_becomes_one_for_one_size(source, graph, tmp_path):
    export(graph, tmp_path / "fixed.onnx", size=(48, 80))
    batch = random(48, 80)
    for engine in (OpenVINOEngine, ONNXRuntimeEngine):
        result = engine(tmp_path / "fixed.onnx", precision="f32")(batch)
        assert np.abs(result - expected(source, batch)).max() < 1e-5


def test_a_file_that_disagrees_is_not_written(source, tmp_path):
    network, record = load_network(source)
    network.reconstruction.last.weight.data *= 3000  # type: ignore[union-attr]
    target = tmp_path / "tiny.pt2"
    target.write_text("as before")
    with pytest.raises(ValueError, match=r"tiny.pt2: with weights in bf16 it agrees with f32 to "):
        write(target, network, record, "bf16", (32, 48))
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.pt2"]
    assert target.read_text() == "as before"


def test_what_cannot_be_is_refused_in_one_line(source, graph, tmp_path):
    def refused(words: str, *arguments: Any) -> None:
        with pytest.raises(ValueError, match=words):
            export(*arguments)

    refused("must end in .onnx, .xml, .pt2", source, tmp_path / "tiny.tflite")
    refused("unknown precision 'int4'; known: f32, f16", source, tmp_path / "tiny.onnx", "int4")
    refused("there is no folder", source, tmp_path / "none" / "tiny.pt2")
    refused("made from the .safetensors file alone", graph, tmp_path / "tiny.pt2")
    refused("height and width must divide by 16", graph, tmp_path / "tiny.onnx", "f32", (45, 70))
    assert not list(tmp_path.iterdir())


def test_the_guides_samples_run(graph, program, tmp_path, monkeypatch):
    """With a small network under the names that the guide's commands would give."""
    guide = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
    samples = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for suffix, made in ((".onnx", graph), (".pt2", program)):
        shutil.copy(made, f"mspfn-lite{suffix}")
    export(graph, Path("mspfn-lite.xml"))
    rainy = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(rainy).save("rainy.png")
    assert len(samples) == 4
    batch = (rainy.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    derained = OpenVINOEngine(graph, "f32")(batch)[0].transpose(1, 2, 0)
    right = np.floor(np.clip(derained, 0, 1) * 255 + 0.5)
    for sample in samples[:3]:  # each saves its result
        exec(sample, {})
        assert np.abs(np.asarray(Image.open("clean.png")) - right).max() <= 1
        Path("clean.png").unlink()
    shown: dict[str, Any] = {}
    exec(samples[3], shown)
    assert shown["record"]["size_multiple"] == 16
