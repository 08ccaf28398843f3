"""A new engine is one file and one row: everything that names engines follows."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import derain as library
from derain import engines
from derain.benchmark.backends import available_backends
from derain.engines import ENGINES, EngineSpec
from derain.weights.catalog import DEFAULT
from derain.weights.record import Record

FILE = """
from derain.weights.record import parse_record

class Toy:
    name, device, precision = "Toy", "CPU", "f32"

    def __init__(self, path):
        self.record = parse_record(path.read_text(), path)

    def __call__(self, batch):
        return batch / 2

def load(path, device, precision, threads):
    return Toy(path)

def missing(device):
    return "no such chip here"

def computes(device, precision):
    return device == "cpu"
"""
ROW = EngineSpec(
    "toy",
    "toy_engine",
    package="toy_engine",
    suffixes=(".toy",),
    devices=("cpu", "npu"),
    precisions=("f32",),
    extra="toy",
)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file for an engine that has just been added."""
    (tmp_path / "toy_engine.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_engine", raising=False)
    monkeypatch.setitem(ENGINES, "toy", ROW)
    path = tmp_path / "half.toy"
    path.write_text(Record("half", "prenet").to_json())
    return path


def test_keys_are_the_names():
    assert all(name == spec.name for name, spec in ENGINES.items())


def test_a_file_of_its_suffix_runs(toy):
    restorer = library.load(toy)
    assert (restorer.choice.engine, restorer.engine.name) == ("toy", "Toy")
    assert (restorer(np.full((8, 8, 3), 200, np.uint8)) == 100).all()


def test_messages_and_help_name_it(toy, derain):
    with pytest.raises(ValueError, match="known: auto, openvino, torch, onnxruntime, toy"):
        engines.choose(engine="tvm")
    with pytest.raises(ValueError, match=r"\.toy runs with --engine toy"):
        engines.find_model(str(toy), "openvino")
    with pytest.raises(ValueError, match=f"{DEFAULT}: has no .toy file for toy"):
        library.load(engine="toy")
    with pytest.raises(ValueError, match="no npu: no such chip here; --device auto falls back"):
        engines.choose("npu")
    with pytest.raises(ValueError, match="openvino runs on the CPU here; npu needs --engine toy"):
        engines.choose("npu", "openvino")
    for command in ("restore", "evaluate", "benchmark"):
        shown = "".join(derain(command, "--help")[1].split())
        assert "|onnxruntime|toy" in shown
        assert "|npu|" in shown


def test_the_doctor_and_the_benchmark_know_it(toy, derain):
    code, out, _ = derain("doctor", "--megapixels", 1)
    assert code == 0
    assert "toy_engine not installed" in out  # as a distribution, which it is not
    assert "npu: no such chip here" in out
    assert f"cpu, toy: {DEFAULT}: has no .toy file for toy" in out
    assert [tuple(b) for b in available_backends(["toy"], [], ["cpu"])] == [("toy", "f32", "cpu")]


def test_without_its_package_the_install_line_is_named(toy, monkeypatch):
    monkeypatch.setitem(ENGINES, "toy", dataclasses.replace(ROW, package="absent_toy"))
    with pytest.raises(ValueError, match=r"--engine toy needs `pip install derain\[toy\]`"):
        library.load(toy)
    with pytest.raises(ValueError, match="no npu: absent_toy is not installed"):
        engines.choose("npu")
