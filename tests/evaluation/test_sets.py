from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain.data.layouts import find_set
from derain.data.public import SETS
from derain.evaluation.sets import check_set, read_pair
from derain.io.pairs import PairPath
from derain.metrics import psnr


def save(path: Path, image: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (20, 31, 3), np.uint8)


def test_halves_of_one_file(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    path = save(tmp_path / "1.png", image)  # 31 wide: the middle column belongs to neither
    left, right = image[:, :15], image[:, 16:]
    rainy, clean = read_pair(PairPath("1", path, path, "left"))
    assert np.array_equal(rainy, right)
    assert clean is not None
    assert np.array_equal(clean, left)
    rainy, clean = read_pair(PairPath("1", path, path, "right"))
    assert np.array_equal(rainy, left)
    rainy, clean = read_pair(PairPath("1", path))
    assert np.array_equal(rainy, image)
    assert clean is None


def test_sizes_that_differ_are_named(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    rainy, clean = save(tmp_path / "a.png", image), save(tmp_path / "b.png", image[:, :9])
    with pytest.raises(ValueError, match=r"a.png is 31x20, .*b.png is 9x20"):
        read_pair(PairPath("a", rainy, clean))


def test_a_check_measures_what_is_known(world: Path) -> None:
    found = find_set(world, "rain100h")
    result = check_set(found)
    values = []
    for item in found.items:
        rainy, clean = read_pair(item)
        assert clean is not None
        values.append(psnr(rainy, clean))
    assert result.input_psnr == pytest.approx(np.mean(values))
    assert result.sizes == "64x48"
    assert any("4 instead of 100: not the whole set" in text for text in result.problems)
    assert any(
        f"mean input PSNR {np.mean(values):.2f} dB, known is 13.55" in p for p in result.problems
    )


def test_a_set_under_the_name_of_its_sister_is_found_out(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_set(world, "rain100h")
    measured = check_set(found).input_psnr
    assert measured
    sister = replace(SETS["rain100h"], name="sister", title="Sister", pairs=4, input_psnr=measured)
    assert check_set(replace(found, public=sister)).problems == ()
    wrong = replace(SETS["rain100h"], pairs=4, input_psnr=measured + 0.2)
    text = f"mean input PSNR {measured:.2f} dB, known is {measured + 0.2:.2f}"
    assert check_set(replace(found, public=wrong)).problems == (text,)
    monkeypatch.setitem(SETS, "sister", sister)
    assert check_set(replace(found, public=wrong)).problems == (f"{text}; that is Sister's",)


def test_other_counts_that_are_known_are_remarks(world: Path) -> None:
    found = find_set(world, "rain100h")
    public = replace(SETS["rain100h"], input_psnr=None, other_counts=((4, "a quarter"),))
    result = check_set(replace(found, public=public))
    assert result.remarks == ("4 instead of 100: a quarter",)
    assert result.problems == ()
    assert result.input_psnr is None


def test_every_broken_file_is_named(world: Path) -> None:
    (world / "Rain100H" / "rainy" / "2.png").write_text("no image")
    save(world / "Rain100H" / "clean" / "3.png", np.zeros((5, 5, 3), np.uint8))
    problems = " ".join(check_set(find_set(world, "rain100h")).problems)
    assert "2.png: not an image" in problems
    assert "3.png is 64x48" in problems
    seen: list[int] = []
    check_set(find_set(world, "rain100h"), lambda: seen.append(1))
    assert len(seen) == 4


@pytest.mark.slow
def test_rain100h_is_itself(shared: Path) -> None:
    result = check_set(find_set(shared / "data", "rain100h"))
    assert result.input_psnr == pytest.approx(13.5505, abs=5e-5)
    assert result.problems == ()
    assert result.sizes == "320x480 and 480x320"
