import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from derain.rain.folder import synthesize_folder
from derain.rain.layers import read_layers
from derain.rain.presets import MIXTURES, PRESETS
from derain.rain.sheet import contact_sheet


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "more").mkdir(parents=True)
    Image.fromarray(data.coffee()[:60, :80]).save(folder / "coffee.png")
    Image.fromarray(data.chelsea()[:50, :70]).save(folder / "cat.jpg")
    Image.fromarray(data.camera()[:40, :40]).save(folder / "more" / "grey.png")
    return folder


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_writes_pairs_that_obey_the_law(clean, tmp_path):
    out = tmp_path / "out"
    result = synthesize_folder(clean, out, "rain100h", count=2, seed=3, save_rain=True)
    assert (result.written, result.present, result.failed) == (6, 0, {})
    records = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [r["file"] for r in records][-1] == "more/grey_2.png"
    assert len({r["index"] for r in records}) == 6
    assert {(r["preset"], r["seed"], r["target"]) for r in records} == {("rain100h", 3, "hazy")}
    for record in records:
        rainy, target, rain = (
            np.asarray(Image.open(out / folder / record["file"])).astype(int)
            for folder in ("rainy", "clean", "rain")
        )
        added = rain if target.ndim == 2 else rain[..., None]
        assert np.abs(rainy - np.minimum(target + added, 255)).max() <= 1
        assert record["mean"] > 0


def test_resume_gives_the_same_bytes(clean, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    synthesize_folder(clean, whole, "mspfn-train", count=2)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize_folder(clean, broken, "mspfn-train", count=2, progress=stop)
    manifest = broken / "manifest.jsonl"
    manifest.write_text(manifest.read_text() + '{"file": "torn')  # killed while writing a line
    (broken / "rainy" / "cat_1.png").unlink()
    result = synthesize_folder(clean, broken, "mspfn-train", count=2)
    assert (result.written, result.present) == (4, 2)
    again = contents(broken)
    lines = again.pop("manifest.jsonl").splitlines()
    expected = contents(whole)
    assert sorted(lines) == sorted(expected.pop("manifest.jsonl").splitlines())
    assert again == expected


def test_jobs_do_not_change_the_files(clean, tmp_path):
    synthesize_folder(clean, tmp_path / "one", "robust", count=3)
    synthesize_folder(clean, tmp_path / "two", "robust", count=3, jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_growing_folder_keeps_its_rain(clean, tmp_path):
    synthesize_folder(clean, tmp_path / "before")
    Image.fromarray(data.astronaut()[:40, :40]).save(clean / "a_new_one.png")
    synthesize_folder(clean, tmp_path / "after")
    before, after = contents(tmp_path / "before"), contents(tmp_path / "after")
    assert all(after[name] == code for name, code in before.items() if name.endswith(".png"))


def test_bad_images_are_listed_and_the_rest_is_done(clean, tmp_path):
    (clean / "broken.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((10, 200), np.uint8)).save(clean / "strip.png")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(clean / "deep.png")
    Image.fromarray(data.chelsea()[:50, :70]).save(clean / "cat.png")
    result = synthesize_folder(clean, tmp_path / "out")
    reasons = {Path(name).name: reason for name, reason in result.failed.items()}
    assert result.written == 4  # 16 bits are rounded to 8
    assert reasons.keys() == {"broken.png", "strip.png", "cat.png"}
    assert "200x10" in reasons["strip.png"]
    assert "broken.png: not an image" in reasons["broken.png"]
    assert "cat.jpg" in reasons["cat.png"]


def test_one_image_and_progress(clean, tmp_path):
    calls = []
    synthesize_folder(
        clean / "coffee.png", tmp_path / "out", count=3, progress=lambda *call: calls.append(call)
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_other_settings_need_another_folder(clean, tmp_path):
    synthesize_folder(clean, tmp_path / "out", seed=1)
    with pytest.raises(ValueError, match="seed 1, not 2"):
        synthesize_folder(clean, tmp_path / "out", seed=2)


def test_output_inside_the_input_is_refused(clean):
    with pytest.raises(ValueError, match="inside"):
        synthesize_folder(clean, clean / "rained")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        synthesize_folder(tmp_path / "nowhere", tmp_path / "out")


def test_layers_are_read_as_grey(clean):
    layers = read_layers(clean)
    assert [layer.shape for layer in layers] == [(50, 70), (60, 80), (40, 40)]


def test_contact_sheet_shows_every_preset():
    sheet = contact_sheet(data.coffee(), width=90)
    cells = 1 + len(PRESETS) + len(MIXTURES)
    assert sheet.shape == (-(-cells // 3) * (60 + 22), 270, 3)
    images = {
        sheet[y + 22 : y + 82, x : x + 90].tobytes()
        for y in range(0, sheet.shape[0], 82)
        for x in (0, 90, 180)
    }
    assert len(images) == cells
