"""`derain benchmark` as a user types it. That it is quick is not asserted: machines differ."""

import json
import sys

import pytest

pytest.importorskip("torch")

from derain.benchmark.curve import MEGAPIXELS


@pytest.mark.slow
def test_its_numbers_fit_together(derain, tmp_path):
    from derain.models import build
    from derain.models.cost import cost

    pytest.importorskip("onnxruntime")
    pytest.importorskip("matplotlib")
    path, plot = tmp_path / "b.json", tmp_path / "b.svg"
    code, out, err = derain(
        "benchmark", "mspfn-lite", "--engine", "openvino", "--engine", "onnxruntime",
        "--precision", "f32",
        "--device", "cpu", "--size", "60x96", "--runs", 3, "--json", path, "--plot", plot,
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(path.read_text())
    assert [row["engine"] for row in report["rows"]] == ["openvino", "onnxruntime"]
    flop = 2 * cost(build("mspfn-lite").fold(), 64, 96).macs
    rate = report["matrix_gflop_per_second"]["cpu f32"]
    for row in report["rows"]:
        assert (row["height"], row["width"], row["runs"]) == (60, 96, 3)
        assert row["gflop_per_second"] * 1e9 * row["seconds"] == pytest.approx(flop)
        assert row["limit_fraction"] == pytest.approx(row["gflop_per_second"] / rate)
        assert row["megapixels_per_second"] == pytest.approx(60 * 96e-6 / row["seconds"])
        assert row["agreement_db"] > 90
        assert 50e6 < row["peak_bytes"] < 2e9
    assert "mspfn-lite, 60 high, 96 wide" in out
    assert "60x96" in plot.read_text()


@pytest.mark.slow
def test_without_torch_it_measures_what_there_is_and_says_so(derain, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "b.json"
    code, _, err = derain("benchmark", "--precision", "f32", "--device", "cpu", "--size", "64x96",
                          "--runs", 1, "--json", path)  # fmt: skip
    assert code == 0, err
    assert "without torch, which `pip install derain[torch]` adds" in err
    rows = json.loads(path.read_text())["rows"]
    assert {row["engine"] for row in rows} <= {"openvino", "onnxruntime"}
    assert rows[0]["agreement_db"] is None  # OpenVINO at f32 stands in as the reference
    assert all(row["gflop_per_second"] > 0 for row in rows)
    code, _, err = derain("benchmark", "mspfn", "--device", "cpu")
    assert code == 1
    assert "need `pip install derain[train]`" in err


@pytest.mark.slow
def test_the_curve_ends_when_its_time_is_over(derain, tmp_path):
    path = tmp_path / "c.json"
    code, out, err = derain(
        "benchmark", "--curve", "--seconds", 1, "--device", "cpu", "--json", path
    )
    assert code == 0, err
    curve = json.loads(path.read_text())["curve"]
    assert 1 <= len(curve) < len(MEGAPIXELS)  # how far one second goes depends on the machine
    assert f"stopped before {MEGAPIXELS[len(curve)]:g} megapixels" in err
    for point, asked in zip(curve, MEGAPIXELS, strict=False):
        megapixels = point["height"] * point["width"] / 1e6
        assert megapixels == pytest.approx(asked, rel=0.02)
        assert point["seconds"] == pytest.approx(point["seconds_per_megapixel"] * megapixels)
    assert "0.1" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "caffe"], "unknown engine 'caffe'; known: openvino, torch, onnxruntime"),
        (["--precision", "f8"], "unknown precision 'f8'; known: f32, bf16"),
        (["--size", "dynamic"], "--size must be HEIGHTxWIDTH here"),
        (["--engine", "onnxruntime", "--precision", "bf16", "--device", "cpu"], "nothing can run"),
        (["best"], "best: neither a model file nor a name"),
        (["--plot", "a.gif"], "a.gif: a plot must end in .png, .svg, .pdf"),
        (["--json", "none/a.json"], "there is no folder none"),
        (["--curve", "a.onnx", "b.onnx"], "--curve takes a model once"),
    ],
)
def test_mistakes_are_one_line(derain, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = derain("benchmark", *arguments)
    assert code == 1
    assert words in err
    assert not out
    assert err.count("error: ") == err.count("\n") == 1
