"""Where results go, and that one bad image stops nothing."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from benchmarks.mutations import corpus, mutated_file
from PIL import Image

import derain
from derain import batch
from derain.io.decode import read_image
from derain.io.formats import ImageError


@pytest.fixture
def tree(tmp_path):
    for name in ("a.jpg", "b.PNG", "deep/c.jpg", "deep/deeper/d.tif", "notes.txt", ".e.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "in"


def targets(*args, **options):
    jobs, failed = batch.plan(*args, **options)
    assert not failed
    return [str(job.target) for job in jobs]


def test_a_file_goes_beside_itself_under_another_name(tree):
    assert targets([str(tree / "a.jpg")]) == [str(tree / "a_derained.jpg")]
    assert targets([str(tree / "a.jpg")], suffix="-dry", format="PNG") == [str(tree / "a-dry.png")]


def test_a_folder_is_taken_whole_and_its_tree_mirrored(tree, tmp_path):
    out = tmp_path / "out"
    assert targets([str(tree)], str(out)) == [str(out / "a.jpg"), str(out / "b.PNG")]
    everything = {str(out / n) for n in ("a.jpg", "b.PNG", "deep/c.jpg", "deep/deeper/d.tif")}
    assert set(targets([str(tree)], str(out), recursive=True)) == everything


def test_a_glob_is_expanded(tree, tmp_path):
    out = tmp_path / "out"
    assert targets([str(tree / "**" / "*.jpg")], str(out)) == [
        str(out / "a.jpg"),
        str(out / "c.jpg"),
    ]


def test_out_is_a_file_only_for_one_image(tree, tmp_path):
    assert targets([str(tree / "a.jpg")], str(tmp_path / "x.png")) == [str(tmp_path / "x.png")]
    assert targets([str(tree)], str(tmp_path / "x.png"))[0] == str(tmp_path / "x.png" / "a.jpg")


def test_results_of_an_earlier_run_are_not_restored_again(tree):
    (tree / "a_derained.jpg").write_bytes(b"x")
    assert targets([str(tree)]) == [str(tree / "a_derained.jpg"), str(tree / "b_derained.PNG")]


def test_an_output_folder_inside_the_input_is_not_restored_again(tree):
    (tree / "dry").mkdir()
    (tree / "dry" / "a.jpg").write_bytes(b"x")
    found = targets([str(tree)], str(tree / "dry"), recursive=True)
    assert str(tree / "dry" / "dry" / "a.jpg") not in found
    assert len(found) == 4


def test_urls_and_pipes(tmp_path):
    url = "https://example.org/images/rain%20y.jpg?size=large"
    assert targets([url]) == ["rain y_derained.jpg"]
    assert targets([url], str(tmp_path)) == [str(tmp_path / "rain y.jpg")]
    jobs, _ = batch.plan(["-"])
    assert jobs[0].target is None
    jobs, _ = batch.plan(["-"], str(tmp_path / "x.png"))
    assert jobs[0].target == tmp_path / "x.png"


def test_two_images_for_one_place_are_a_failure_of_the_second(tree, tmp_path):
    jobs, failed = batch.plan([str(tree / "a.jpg"), str(tree / "b.PNG")], "-")
    assert [job.source for job in jobs] == [str(tree / "a.jpg")]
    assert "b.PNG" in failed[0].message
    (tree / "deep" / "a.jpg").write_bytes(b"x")
    both = [str(tree / "a.jpg"), str(tree / "deep" / "a.jpg")]
    jobs, failed = batch.plan(both, str(tmp_path / "out"))
    assert len(jobs) == 1
    assert str(tree / "deep" / "a.jpg") in failed[0].message


@pytest.mark.parametrize(
    ("entry", "words"),
    [("gone.jpg", "no such file or folder"), ("*.gone", "nothing matches"), (".", "--recursive")],
)
def test_what_is_not_there_fails_and_the_rest_is_planned(tree, entry, words, monkeypatch):
    monkeypatch.chdir(tree / "deep" / "deeper")
    Path("d.tif").unlink()
    jobs, failed = batch.plan([entry, str(tree / "a.jpg")], "out")
    assert [job.source for job in jobs] == [str(tree / "a.jpg")]
    assert words in failed[0].message
    assert entry in failed[0].message


def test_an_unknown_format_lists_the_known_ones(tree):
    with pytest.raises(ValueError, match=r"unknown format 'gfi'; known: jpg, .*png"):
        batch.plan([str(tree)], format="gfi")


def test_outcomes_come_in_the_order_of_the_jobs_whatever_takes_longer(tmp_path):
    sizes = [300, 0, 20, 150, 20]
    for k, size in enumerate(sizes):
        path = tmp_path / "in" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
        if size:
            Image.fromarray(np.full((size, size, 3), 90, np.uint8)).save(path)
    jobs, _ = batch.plan([str(tmp_path / "in")], str(tmp_path / "out"))
    told: list[batch.Outcome] = []
    restorer = derain.load(device="cpu", precision="f32")
    outcomes = batch.run(jobs, restorer, batch.BatchSettings(), 3, told.append)
    assert told == outcomes
    assert [outcome.job for outcome in outcomes] == jobs
    assert [outcome.size and outcome.size[0] for outcome in outcomes] == [300, None, 20, 150, 20]


def refused(folder: Path, count: int) -> list[Path]:
    """So many files that no reader takes: damaged, hostile, or of kinds that are not restored."""
    found: list[Path] = []
    for seed in range(10**6):
        name, data = mutated_file(seed) if seed else ("pages.tif", corpus()["pages.tif"])
        path = folder / f"bad{seed:05}_{name}"
        path.write_bytes(data)
        try:
            read_image(path)
            path.unlink()
        except ImageError:
            found.append(path)
        if len(found) == count:
            break
    return found


@pytest.mark.slow
def test_a_batch_of_300_with_100_of_the_worst(derain, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(200):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"good{k}.png")
    bad = refused(folder, 100)
    code, _, err = derain("restore", folder, "-o", tmp_path / "out", "--device", "cpu")
    assert code == 1
    assert "200 restored, 100 failed" in err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"good{k}.png" for k in range(200)}
    listed = err[err.index("failed:\n") :]
    assert all(str(path) in listed for path in bad)


def test_an_unexpected_error_of_one_image_is_its_failure(tmp_path, monkeypatch):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    restorer = derain.load(device="cpu", precision="f32")
    restore = restorer.restore

    def odd(image, options):
        if not calls.append(1) and len(calls) == 1:
            raise struct.error("odd")
        return restore(image, options)

    calls: list[int] = []
    monkeypatch.setattr(restorer, "restore", odd)
    jobs, _ = batch.plan([str(tmp_path)])
    outcomes = batch.run(jobs, restorer, batch.BatchSettings(), workers=1)
    assert [outcome.status for outcome in outcomes] == ["failed", "restored"]
    assert outcomes[0].message == f"{tmp_path / 'a.png'}: odd"


def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path, monkeypatch):
    (tmp_path / "in" / "secret").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "in" / "a.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    jobs, failed = batch.plan([str(tmp_path / "in")], str(tmp_path / "out"), recursive=True)
    assert [Path(job.source).name for job in jobs] == ["a.png"]
    assert [outcome.message for outcome in failed] == [
        f"{tmp_path / 'in' / 'secret'}: Permission denied"
    ]


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("a.png")
    jobs, failed = batch.plan([""])
    assert jobs == []
    assert "no such file or folder" in failed[0].message
