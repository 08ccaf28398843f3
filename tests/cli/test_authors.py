"""An authors' checkpoint is a model file to every command that runs or writes one."""

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from derain.weights.convert import load_authors  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A small checkpoint of DDN, and an image."""
    torch.manual_seed(0)
    state = {}
    for i in range(6):
        outputs, inputs = 3 if i == 5 else 4, 3 if i == 0 else 4
        state[f"conv.{i}.weight"] = torch.randn(outputs, inputs, 3, 3) / 9
        state[f"conv.{i}.bias"] = torch.randn(outputs) / 9
        state[f"norm.{i}.weight"] = torch.rand(outputs) / 9
        state[f"norm.{i}.bias"] = torch.randn(outputs) / 9
    torch.save(state, tmp_path / "theirs.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (37, 45, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_restores_and_exports(derain, folder):
    code, _, err = derain("restore", "a.png", "-o", "torch.png", "--model", "theirs.pth",
                          "--device", "cpu")  # fmt: skip
    assert code == 0, err
    assert "theirs (0.00 M parameters), torch on CPU (as asked), f32" in err
    rainy, ours = (np.asarray(Image.open(name)) for name in ("a.png", "torch.png"))
    image = torch.from_numpy(rainy.copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        output = load_authors(folder / "theirs.pth")(image).clamp(0, 1)
    expected = np.floor(255 * output[0].permute(1, 2, 0).numpy() + 0.5)
    assert np.abs(ours - expected).max() <= 1
    assert np.abs(ours.astype(int) - rainy).max() > 10

    pytest.importorskip("onnxscript")
    code, out, err = derain("export", "theirs.pth", "-o", "theirs.onnx")
    assert code == 0, err
    assert out.startswith("theirs.onnx: any size, weights in f32, ")
    code, _, err = derain("restore", "a.png", "-o", "openvino.png", "--model", "theirs.onnx",
                          "--device", "cpu", "--precision", "f32")  # fmt: skip
    assert code == 0, err
    same = np.asarray(Image.open("openvino.png")).astype(int)
    assert np.abs(same - ours).max() <= 1


def test_mistakes_are_one_line(derain, folder):
    (folder / "other.pth").write_bytes(b"rain")
    for arguments, words in (
        (["--model", "theirs.pth", "--engine", "openvino"], "theirs.pth: .pth runs with --engine"),
        (["--model", "theirs.pth", "--precision", "bf16"], "checkpoints run in f32 alone"),
        (["--model", "other.pth"], "other.pth: torch.load(weights_only=True) does not read it"),
        (["--model", "absent.pth"], "absent.pth: neither a model file nor a known name"),
    ):
        code, _, err = derain("restore", "a.png", "-o", "b.png", *arguments)
        assert code == 1
        assert words in err
        assert err.count("\n") == 1
    assert not (folder / "b.png").exists()
