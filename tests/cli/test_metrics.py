import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from derain.cli.metrics import metrics
from derain.metrics import fsim, parameters, psnr, ssim

app = typer.Typer()
app.command()(metrics)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Three pairs under noise of 5, 20 and 0 grey levels; and no parameter files anywhere."""
    monkeypatch.setattr(parameters, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(parameters.ENVIRONMENT_VARIABLE, raising=False)
    clean = data.astronaut()[:64, 100:180]
    noise = np.random.default_rng(0).standard_normal(clean.shape)
    for name, sigma in (("a", 5), ("b", 20), ("c", 0)):
        noisy = np.clip(clean + sigma * noise, 0, 255).astype(np.uint8)
        for folder, image in (("out", noisy), ("clean", clean)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "out", tmp_path / "clean"


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_table_of_a_folder(folders: tuple[Path, Path]) -> None:
    out, clean = folders
    (out / "c.png").unlink()
    (clean / "c.png").unlink()
    result = run(out, clean, "--protocol", "rgb")
    assert result.exit_code == 0, result.output
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["PSNR", "(rgb)", "SSIM", "(rgb)"]
    assert [row[0] for row in rows] == ["a", "b", "mean"]
    values = [[f(pixels(out / f"{n}.png"), pixels(clean / f"{n}.png"), "rgb") for f in (psnr, ssim)]
              for n in "ab"]  # fmt: skip
    values.append(list(np.mean(values, axis=0)))
    assert [row[1:] for row in rows] == [[f"{v:.4f}" for v in row] for row in values]


def test_one_pair_needs_no_mean(folders: tuple[Path, Path]) -> None:
    out, clean = folders
    result = run(out / "b.png", clean / "a.png", "-m", "fsim")  # names need not agree
    expected = fsim(pixels(out / "b.png"), pixels(clean / "a.png"))
    assert result.stdout.split() == ["FSIM", "b", f"{expected:.4f}"]


def test_json_and_csv_say_the_same(folders: tuple[Path, Path]) -> None:
    content = json.loads(run(*folders, "--json", "--jobs", 2).stdout, parse_constant=pytest.fail)
    assert content["protocol"] == "y"
    assert content["mean"]["psnr"] == "inf"  # image c equals its reference
    assert content["infinite"]["psnr"] == 1
    rows = list(csv.DictReader(run(*folders, "--csv", "--jobs", 1).stdout.splitlines()))
    assert [row["image"] for row in rows] == ["a", "b", "c"]
    assert all(row["protocol"] == "y" for row in rows)
    for row, image in zip(rows, content["images"], strict=True):
        assert float(row["psnr"]) == float(image["psnr"])
        assert float(row["ssim"]) == image["ssim"]


def test_equal_images_are_counted_aloud(folders: tuple[Path, Path]) -> None:
    result = run(*folders)
    assert result.stdout.splitlines()[-1].split()[1] == "inf"
    assert "1 of 3 images equal their reference" in result.stderr


def test_mistakes_are_one_line_that_names_them(folders: tuple[Path, Path]) -> None:
    out, clean = folders
    (clean / "b.png").unlink()
    result = run(out, clean)
    assert isinstance(result.exception, ValueError)  # main() makes one line of it
    assert str(result.exception) == f"{out / 'b.png'}: no matching image in {clean}"
    assert "choose one" in str(run(out, clean, "--json", "--csv").exception)
    assert "unknown metric 'lpips'; known: psnr" in str(run(out, clean, "-m", "lpips").exception)
    assert "unknown protocol 'z'" in str(run(out, out, "--protocol", "z").exception)
    assert "psnr: needs references" in str(run(out, "-m", "psnr").exception)


def test_without_parameter_files(folders: tuple[Path, Path]) -> None:
    out, clean = folders
    result = run(out, clean, "-m", "psnr", "-m", "niqe")
    assert result.exit_code == 0
    assert "NIQE" not in result.stdout
    assert "left out: niqe needs niqe_modelparameters.mat" in result.stderr
    assert "or --fetch" in result.stderr
    alone = run(out)  # niqe and sseq, which need no clean images
    assert isinstance(alone.exception, ValueError)
    assert "\n" not in str(alone.exception)
    assert "--fetch" in str(alone.exception)


def test_fetch_asks_the_authors_for_what_is_needed(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def fetch(metric: str) -> Path:
        asked.append(metric)
        raise parameters.ParametersError(f"{metric}: cannot download it")

    monkeypatch.setattr("derain.metrics.fetch_parameters", fetch)
    assert "cannot download it" in str(run(*folders, "-m", "sseq", "--fetch").exception)
    run(*folders, "-m", "psnr", "--fetch")
    assert asked == ["sseq"]
