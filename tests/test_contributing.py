"""The walks of CONTRIBUTING.md, followed word by word in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from skimage import data

from derain.weights.record import Record

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
STEP = re.compile(
    r"^(?:Write `(?P<new>[^`]+)`|In `(?P<old>[^`]+)`, below `(?P<line>[^`]+)`):\n\n"
    r"```(?:python)?\n(?P<code>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


def follow(root: Path) -> None:
    for step in STEP.finditer(TEXT):
        path = root / (step["new"] or step["old"])
        if step["new"]:
            assert not path.exists(), path
            path.write_text(step["code"])
        else:
            text = path.read_text()
            assert text.count(step["line"] + "\n") == 1, step["line"]
            path.write_text(text.replace(step["line"] + "\n", f"{step['line']}\n{step['code']}"))


class Copy:
    """A copy of the package in which every walk was followed."""

    def __init__(self, root: Path) -> None:
        shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        follow(root)
        self.environment = {**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"}

    def python(self, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, *arguments: object) -> str:
        return self.python("-m", "derain", *arguments)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("walks"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for folder, offset in (("rainy", 3), ("clean", 0)):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        image = data.coffee()[:64, :96] // 2 + offset
        cv2.imwrite(str(tmp_path / "mine" / folder / "a.png"), image)
    return tmp_path


def test_every_walk_has_its_steps():
    assert len(re.findall(r"^(?:Write|In) `", TEXT, re.MULTILINE)) == len(STEP.findall(TEXT)) == 12


def test_the_network_is_in_the_table_and_exports(run, pairs):
    torch = pytest.importorskip("torch")
    code = (
        "from derain.models import MODELS, build; from derain.weights.files import *\n"
        "network = build('shallow'); assert MODELS['shallow'].source == 'an example'\n"
        "record = describe(network, 'tiny', 'shallow', {}); assert record.parameters == 443\n"
        "save_weights('tiny.safetensors', network.state_dict(), record)"
    )
    assert torch
    run.python(
        "-c",
        "from pathlib import Path\n" + code.replace("'tiny.safe", f"Path('{pairs}') / 'tiny.safe"),
    )
    run("export", pairs / "tiny.safetensors", "-o", pairs / "tiny.onnx")
    run("restore", pairs / "mine" / "clean", "--model", pairs / "tiny.onnx", "-o", pairs / "out")
    assert (pairs / "out" / "a.png").is_file()


def test_the_metric_is_measured_and_reported(run, pairs):
    mine = pairs / "mine"
    assert "|mae" in run("metrics", "--help") or "[mae" in run("metrics", "--help")
    assert "3.00" in run("metrics", mine / "rainy", mine / "clean", "-m", "mae")
    out = pairs / "out"
    run("evaluate", "--data", pairs, "--set", "mine", "-m", "mae", "-o", out)
    for report in ("summary.md", "summary.csv", "report.html"):
        assert "mae" in (out / report).read_text().lower(), report


def test_the_preset_makes_rain(run, pairs):
    assert "lighter than Rain100L" in run("synthesize", "--presets")
    assert "drizzle" in run("synthesize", "--help")
    run("synthesize", pairs / "mine" / "clean", "-o", pairs / "out", "--preset", "drizzle")
    assert '"drizzle"' in (pairs / "out" / "manifest.jsonl").read_text()


def test_the_engine_runs_its_files(run, pairs):
    model, image = pairs / "same.identity", pairs / "mine" / "clean" / "a.png"
    model.write_text(Record("same", "prenet").to_json())
    out = pairs / "b.png"
    run("restore", image, "--model", model, "-o", out)
    assert (cv2.imread(str(out)) == cv2.imread(str(image))).all()
    for command in ("restore", "evaluate", "benchmark"):
        assert "identity" in run(command, "--help")


def test_the_command_is_listed_and_runs(run, pairs):
    assert "Print the height and width of an image." in run("--help")
    assert run("size", pairs / "mine" / "clean" / "a.png").strip() == "64x96"
