"""The figure of a paper: what it shows, where, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from derain.data.layouts import find_set
from derain.evaluation import figure as figures
from derain.evaluation.figure import Box
from derain.io.decode import read_rgb
from derain.metrics import psnr


@pytest.fixture
def rows(world: Path, engine: Any, make_model: Any) -> list[list[figures.Panel]]:
    items = find_set(world, "rain100h").items[:2]
    return [figures.panels(item, [make_model(engine)], "y") for item in items]


def test_each_panel_carries_its_own_score(rows: list[list[figures.Panel]]) -> None:
    for row in rows:
        assert [panel.title for panel in row] == ["Rainy", "half", "Ground truth"]
        for panel in row[:2]:
            expected = psnr(panel.image, row[-1].image)
            assert float(panel.score.split(" dB")[0]) == pytest.approx(expected, abs=0.006)
        assert row[-1].score == ""
    assert rows[0][0].score != rows[0][1].score


def test_details_are_the_pixels_of_their_boxes(rows: list[list[figures.Panel]]) -> None:
    boxes = [Box(3, 5, 20, 10), Box(30, 8, 16, 12)]
    drawn = figures.draw(rows, boxes, errors=True)
    shown = [np.asarray(axes.images[0].get_array()) for axes in drawn.axes]
    # Per panel the image, two details and, but for the ground truth, its error
    assert len(shown) == 2 * (3 * 3 + 2)
    image, first, second, error = shown[:4]
    assert np.array_equal(image, rows[0][0].image)
    assert np.array_equal(first, image[5:15, 3:23])
    assert np.array_equal(second, image[8:20, 30:46])
    difference = image.astype(int) - rows[0][-1].image
    assert np.allclose(error, np.abs(difference).mean(axis=2))


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_a_figure_is_written(rows: list[list[figures.Panel]], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    figures.save(figures.draw(rows[:1], [], errors=False), path)
    if suffix == ".png":
        assert read_rgb(path).shape[1] == round(2.4 * 3 * 200)
    else:
        assert path.read_bytes().startswith(b"%PDF")


def test_what_cannot_be_drawn_is_named(rows: list[list[figures.Panel]], world: Path) -> None:
    with pytest.raises(ValueError, match=r"the box 0,0,5000,9 lies outside"):
        figures.draw(rows, [Box(0, 0, 5000, 9)], errors=False)
    for text in ("1,2,3", "a,b,c,d", "1,2,0,4", "-1,0,4,4"):
        with pytest.raises(ValueError, match=f"--crop {text}"):
            figures.parse_box(text)
    with pytest.raises(ValueError, match="no image 'x' in the set; there are"):
        figures.choose_images(find_set(world, "rain100h").items, ["x"])
    with pytest.raises(ValueError, match=r"f.gif: the figure must end in .png or .pdf"):
        figures.check_name(Path("f.gif"))
