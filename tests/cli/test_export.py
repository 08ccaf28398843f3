"""`derain export` as a user types it."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("onnx")


@pytest.mark.slow
def test_what_is_exported_restores(derain, tmp_path, monkeypatch):
    import torch

    from derain.models import build
    from derain.weights.files import save_weights
    from derain.weights.record import Record

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    options = {"fine_modules": 1, "width": 8, "lstm_widths": (8, 8, 8)}
    state = build("mspfn-lite", **options).state_dict()
    save_weights(Path("tiny.safetensors"), state, Record("tiny", "mspfn-lite", options, 16))
    code, out, err = derain("export", "tiny.safetensors", "--to", "openvino", "--precision", "f16",
                            "--size", "45x70")  # fmt: skip
    assert code == 0, err
    assert out.startswith("tiny.xml: 45 high, 70 wide, weights in f16, ")
    assert float(re.search(r"\(([\d.]+) dB\)", out)[1]) > 60  # type: ignore[index]
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.bin", "tiny.xml", "tiny.safetensors"}
    pixels = np.random.default_rng(0).integers(0, 256, (45, 70, 3), np.uint8)
    Image.fromarray(pixels).save("a.png")
    for suffix in (".xml", ".safetensors"):
        code, _, err = derain("restore", "a.png", "-o", f"{suffix}.png", "--model", f"tiny{suffix}",
                              "--device", "cpu", "--precision", "f32")  # fmt: skip
        assert code == 0, err
    ours, torchs = (
        np.asarray(Image.open(f"{s}.png")).astype(int) for s in (".xml", ".safetensors")
    )
    assert np.abs(ours - torchs).max() <= 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mspfn-lite", "--to", "tflite"], "unknown format 'tflite'; known: onnx, openvino"),
        (
            ["mspfn-lite", "--to", "onnx", "-o", "a.xml"],
            "--to onnx writes a file that ends in .onnx",
        ),
        (["mspfn-lite", "-o", "a.gguf"], "a.gguf: must end in .onnx, .xml, .pt2"),
        (["mspfn-lite", "--size", "big"], "--size must be dynamic or HEIGHTxWIDTH"),
        (["mspfn-lite", "--size", "0x8"], "--size must be dynamic or HEIGHTxWIDTH"),
        (["best"], "best: neither a model file nor a known name"),
    ],
)
def test_mistakes_are_one_line(derain, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = derain("export", *arguments)
    assert code == 1
    assert words in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())
