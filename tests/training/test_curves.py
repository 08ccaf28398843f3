"""Curves of several runs land in one image."""

import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from derain.training.curves import names, plot_runs
from derain.training.journal import COLUMNS


def write_run(folder, slope):
    folder.mkdir(parents=True)
    rows = [f"{k},{60 * k},0.001,{1 / (k + 1) ** slope},9,0.01,{'' if k % 5 else 20 + k * slope}"
            for k in range(1, 21)]  # fmt: skip
    (folder / "metrics.csv").write_text("\n".join([",".join(COLUMNS), *rows]) + "\n")
    return folder


def test_every_run_has_a_curve_of_its_own_colour(tmp_path):
    runs = [write_run(tmp_path / name, slope) for name, slope in (("a", 0.5), ("b", 1))]
    for against in ("step", "minutes"):
        images = []
        for some in (runs[:1], runs):
            plot_runs(some, tmp_path / "plot.png", against)
            image = cv2.imread(str(tmp_path / "plot.png"))
            assert image is not None
            images.append(image.astype(int))
        orange = np.array([14, 127, 255])  # the second colour, BGR
        fractions = [(np.abs(p - orange).sum(2) < 60).mean() for p in images]
        assert fractions[0] == 0
        assert fractions[1] > 1e-3


def test_a_row_that_a_crash_cut_off_is_left_out(tmp_path):
    run = write_run(tmp_path / "a", 1)
    with (run / "metrics.csv").open("a") as file:
        file.write("21,1260,0.0")
    plot_runs([run], tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


def test_runs_of_one_name_are_told_apart(tmp_path):
    same = [tmp_path / "x" / "run", tmp_path / "y" / "run"]
    assert len(set(names(same))) == 2
    assert names([same[0], tmp_path / "other"]) == ["run", "other"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no training run there"),
        (["a", "-o", "x.gif"], "x.gif: the image must end in .png, .svg, .pdf"),
        (["a", "--against", "epoch"], "unknown axis 'epoch'; known: step, minutes"),
    ],
)
def test_mistakes_are_named(tmp_path, monkeypatch, arguments, words):
    from derain.cli import main

    write_run(tmp_path / "a", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["derain", "plot", *arguments])
    with pytest.raises(SystemExit) as error:
        main()
    assert words in str(error.value)
