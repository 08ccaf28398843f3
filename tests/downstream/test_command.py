"""`derain downstream` on coloured squares, and what it says of mistakes."""

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from derain.downstream.decoders import FORMATS

MODEL = """
from tests.downstream.conftest import Squares

def squares(order="rgb"):
    return Squares(order)

def broken():
    raise RuntimeError("no weights")
"""


@pytest.fixture
def arguments(world, tmp_path):
    model = tmp_path / "mine.py"
    model.write_text(MODEL)
    return [
        "downstream", "--task", "detect", "--model", f"python:{model}:squares",
        "--ann", world / "boxes.json", "--clean", world / "clean", "--rain", "preset:rain100h",
        "--bootstrap", 20, "--out", tmp_path / "out",
    ]  # fmt: skip


def test_a_report_is_written_and_continued(derain, arguments, tmp_path):
    code, out, err = derain(*arguments)
    assert code == 0
    assert "| nafnet-small " in out
    assert "report.html" in err
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    row = found["inputs"][1]
    assert row["name"] == "nafnet-small"
    assert "sha256" in row["about"]
    assert "f32" in row["about"]
    assert found["command"].startswith("derain downstream --task detect")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<before-after>") >= 1
    assert "http" not in page.replace("http://www.w3.org", "")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "cache").rglob("*.png")}
    assert len(kept) == 8
    again = derain(*arguments)
    assert again[1] == out
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_derained_folders_are_compared(derain, arguments, world, tmp_path):
    folder = tmp_path / "by-hand"
    folder.mkdir()
    for path in (world / "clean").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) // 2 + 60).save(folder / path.name)
    code, out, _ = derain(*arguments, "--derain", folder)
    assert code == 0
    assert "| by-hand " in out


def test_settings_that_are_wrong_are_told(derain, arguments):
    arguments[4] += ":bgr"
    code, _, err = derain(*arguments, "--limit", 3)
    assert code == 0
    assert "warning: squares: AP of the clean images is" in err
    assert "the other colour order (RGB or BGR)" in err


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--task", "find", "--task must be detect or segment: find"),
        ("--model", "yolo.onnx", "a model is onnx:FILE:KIND or python:FILE:FUNCTION"),
        ("--model", "onnx:yolo.onnx", "say what kind of detector it is"),
        ("--model", "onnx:yolo.onnx:yolox", "yolo.onnx: no such file"),
        ("--rain", "preset:hail", "unknown preset 'hail'"),
        ("--rain", "nowhere", "nowhere: no such file or folder"),
        ("--ann", "nowhere.json", "nowhere.json: No such file"),
        ("--derain", "nothing", "nothing: neither a model file nor a known name"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(derain, arguments, option, value, words):
    code, _, err = derain(*arguments, option, value)
    assert code == 1
    assert words in err.strip().splitlines()[-1]


def test_what_a_users_own_file_raises_is_one_line(derain, arguments):
    arguments[4] = arguments[4].replace(":squares", ":broken")
    code, _, err = derain(*arguments)
    assert code == 1
    assert "mine.py: broken: no weights; --traceback shows more" in err


def test_the_help_names_every_kind_of_detector(derain):
    words = set(re.findall(r"\w+", derain("downstream", "--help")[1]))
    assert words >= set(FORMATS)


@pytest.mark.parametrize("package", ["pycocotools", "onnxruntime"])
def test_without_the_extra_one_line_names_it(derain, arguments, monkeypatch, package):
    for name in [n for n in sys.modules if n.startswith("derain.downstream")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = derain(*arguments)
    assert code == 1
    assert err == (
        f"error: a downstream evaluation needs {package}: `pip install derain[downstream]`\n"
    )
