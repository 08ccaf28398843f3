import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from derain.cli import data as data_command
from derain.cli.evaluate import evaluate
from derain.evaluation.pipeline import FILES

LITE = "mspfn-lite"  # whose network has published figures

app = typer.Typer()
app.command()(evaluate)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def check(*arguments: object) -> Result:
    return CliRunner().invoke(data_command.app, [str(argument) for argument in arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pairs of Rain100H and one of Test100, side by side, all 48x32."""
    photo = data.astronaut()
    clean = rainy = photo
    for n in range(1, 4):
        clean = np.ascontiguousarray(photo[32 * n : 32 * n + 32, 100:148])
        rainy = clean.copy()
        rainy[:, :: 12 // n] = 240
        for kind, image in (("rainy", rainy), ("clean", clean)):
            (tmp_path / "sets" / "Rain100H" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "sets" / "Rain100H" / kind / f"{n}.png")
    (tmp_path / "sets" / "Test100").mkdir()
    both = np.hstack([clean, rainy])
    Image.fromarray(both).save(tmp_path / "sets" / "Test100" / "1.png")
    return tmp_path / "sets"


@pytest.mark.slow
def test_from_sets_to_files(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--data", root, "--model", LITE, "--model", "published", "--device", "cpu",
                 "-m", "psnr", "-m", "ssim", "-o", out)  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.exception
    assert all((out / name).is_file() for name in FILES)
    assert result.stdout == (out / "summary.md").read_text() + "\n"
    assert result.stdout.index("## Rain100H") < result.stdout.index("## Test100")
    assert "| MSPFN " in result.stdout
    assert "3 instead of 100" in result.stdout
    assert str(out) in result.stderr

    content = json.loads((out / "results.json").read_text())
    rain100h, test100 = content["sets"]
    names = [model["name"] for model in rain100h["models"][:2]]
    assert names == ["rainy input", LITE]
    where = rain100h["models"][1]["where"]
    assert where.startswith("openvino cpu f32, ")  # never half precision unasked
    own = next(model for model in test100["models"] if model["name"] == LITE)
    assert own["published"] == {"psnr": 24.99, "ssim": 0.85, "fsim": 0.916}
    rows = list(csv.DictReader((out / "images.csv").read_text().splitlines()))
    assert len(rows) == 2 * (3 + 1)

    again = run(*arguments)  # nothing new: byte for byte the same, from the cache
    assert again.stdout == result.stdout
    fewer = run(*arguments, "--set", "rain100h", "--limit", 2)
    assert "only the first 2 of 3 images" in fewer.stdout
    assert "Test100" not in fewer.stdout


def test_mistakes_are_one_line_that_names_them(root: Path, tmp_path: Path) -> None:
    def error(*arguments: object) -> str:
        result = run("--device", "cpu", "-o", tmp_path / "out", *arguments)
        assert isinstance(result.exception, ValueError)  # main() makes one line of it
        assert "\n" not in str(result.exception)
        return str(result.exception)

    assert "unknown set 'rain7'; known:" in error("--data", root, "--set", "rain7")
    assert "no Rain12 in it" in error("--data", root, "--set", "rain12")
    assert "neither a model file nor a known name" in error("--data", root, "--model", "best")
    assert "unknown precision" in error("--data", root, "--set", "rain100h", "--precision", "f8")
    assert "asked for twice" in error("--data", root, "--set", "rain100h", "--set", "Rain100H")
    assert "no public test set" in error("--data", tmp_path / "sets" / "Rain100H" / "rainy")
    assert "no such folder" in error("--data", tmp_path / "none")


def test_data_check(root: Path) -> None:
    result = check("check", root)
    assert result.exit_code == 1  # neither set is whole
    lines = result.stdout.splitlines()
    assert lines[0].startswith("problem Rain100H: 3 pairs, 48x32, input PSNR ")
    assert lines[1].strip() == "3 instead of 100: not the whole set, or another"
    assert lines[2].strip().startswith("mean input PSNR ")
    assert "known is 13.55" in lines[2]
    assert any("side by side, clean on the left" in line for line in lines)
    (root / "Rain100H" / "rainy" / "2.png").unlink()
    broken = check("check", root)
    assert "2.png: no matching image" in broken.stderr + broken.stdout
    assert "Rain100H" not in check("check", root, "--set", "test100").stdout
    assert "no public set in it" in str(
        check("check", root.parent / "sets" / "Rain100H" / "clean").exception
    )


def test_data_list_says_what_is_known_of_every_set() -> None:
    text = check("list").stdout
    blocks = text.strip().split("\n\n")
    assert len(blocks) == 24
    for block in blocks:
        for fact in ("what", "count", "from", "licence", "overlaps"):
            assert f"\n  {fact} " in block
    assert "1,000 pairs" in text
    assert "PSNR 22.59 dB, Y" in text
