"""Where results go, and that one bad image stops nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import derain
from derain import batch


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
