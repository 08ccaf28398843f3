"""`derain synthesize` as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def clean(tmp_path):
    folder = tmp_path / "clean"
    folder.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 200, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_pairs_a_manifest_and_going_on(derain, clean, tmp_path):
    out = tmp_path / "out"
    arguments = ("synthesize", clean, "-o", out, "--preset", "rain100h", "--count", 2, "--rain")
    code, _, err = derain(*arguments)
    assert code == 0
    assert "4 pairs written" in err
    names = {p.name for p in (out / "rainy").iterdir()}
    assert names == {"0_1.png", "0_2.png", "1_1.png", "1_2.png"}
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert {line["file"] for line in lines} == names
    before = (out / "rainy" / "1_2.png").read_bytes()
    (out / "rainy" / "1_2.png").unlink()
    code, _, err = derain(*arguments)
    assert "1 pairs written, 3 were there" in err
    assert (out / "rainy" / "1_2.png").read_bytes() == before


def test_ranges_can_be_set(derain, clean, tmp_path):
    arguments = ("--preset", "rain100l", "--set", "angle=60..61", "--set", "mean=0.02")
    assert derain("synthesize", clean, "-o", tmp_path / "out", *arguments)[0] == 0
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert all(60 <= json.loads(line)["angle"] <= 61 for line in lines)


def test_a_preview_is_one_sheet(derain, clean, tmp_path):
    assert derain("synthesize", clean, "-o", tmp_path / "sheet.png", "--preview")[0] == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 3 * 480


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "rain100x"], "unknown preset 'rain100x'; known"),
        (["--set", "angel=3"], "angel"),
        (["--set", "angle"], "NAME=NUMBER or NAME=LOW..HIGH"),
        (["--target", "wet"], "hazy or clean"),
        (["--preset", "rain100l", "--set", "mean=0.3..0.1"], "mean"),
    ],
)
def test_each_mistake_is_one_line(derain, clean, tmp_path, options, words):
    code, _, err = derain("synthesize", clean, "-o", tmp_path / "out", *options)
    assert code == 1
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_bad_image_is_listed_and_the_rest_is_done(derain, clean, tmp_path):
    (clean / "text.png").write_text("no image")
    Image.new("RGB", (8, 8)).save(clean / "tiny.png")
    code, _, err = derain("synthesize", clean, "-o", tmp_path / "out")
    assert code == 1
    assert "2 pairs written" in err
    assert "text.png: not an image" in err
    assert "tiny.png: 8x8 px is too small" in err


def test_a_damaged_manifest_is_named(derain, clean, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for text in ("nonsense\n", "[1]\n", '{"file": "a.png"}\n', "\xff\n"):
        (out / "manifest.jsonl").write_text(text, "latin-1")
        code, _, err = derain("synthesize", clean, "-o", out)
        assert code == 1
        assert "manifest.jsonl: line 1 is damaged" in err
