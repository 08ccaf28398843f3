"""Wherever decoded images are kept, they are the same images."""

import os

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from derain.data.crops import Crops, Source
from derain.data.layouts import list_clean
from derain.data.store import Decoding, available_memory, best_place, open_pairs
from derain.io.pairs import PairPath


@pytest.fixture
def files(tmp_path):
    (tmp_path / "set").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        image = rng.integers(0, 256, (20 + i, 30, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "set" / f"{i}.png"), image)
    clean = list_clean(tmp_path / "set")
    both = [PairPath("both", clean[0].clean, clean[0].clean, "left")]
    return [*clean, *both]


def test_memory_disk_and_files_give_the_same_images_and_crops(files, tmp_path):
    kept = {
        keep: open_pairs(files, keep, tmp_path / "cache") for keep in ("memory", "disk", "files")
    }
    for pairs in kept.values():
        for pair, file in zip(pairs, files, strict=True):
            expected = file.read()
            assert np.array_equal(pair.clean, expected.clean)
            assert (pair.rainy is None) == (expected.rainy is None)
            if pair.rainy is not None:
                assert np.array_equal(pair.rainy, expected.rainy)
    assert isinstance(kept["disk"][0].clean, np.memmap)
    assert isinstance(kept["files"], Decoding)
    crops = [Crops([Source(pairs, 1.0)], patch=12, seed=1) for pairs in kept.values()]
    for i in range(10):
        assert len({c[i][0].numpy().tobytes() for c in crops}) == 1


def test_the_mapped_file_is_made_once_and_anew_when_a_image_changes(files, tmp_path):
    cache = tmp_path / "cache"
    open_pairs(files, "disk", cache)
    (first,) = cache.glob("*.bin")
    made = first.stat().st_mtime_ns
    open_pairs(files, "disk", cache)
    assert first.stat().st_mtime_ns == made
    cv2.imwrite(str(files[1].clean), np.zeros((21, 30, 3), np.uint8))
    pairs = open_pairs(files, "disk", cache)
    assert not pairs[1].clean.any()
    assert len(list(cache.glob("*.bin"))) == 2


def test_a_broken_image_leaves_no_half_written_cache(files, tmp_path):
    files[2].clean.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"2.png: not an image"):
        open_pairs(files, "disk", tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []  # noqa: PTH208


def test_what_does_not_fit_into_memory_goes_to_disk_and_else_stays_in_its_files(tmp_path):
    assert best_place(10**6, tmp_path / "not" / "there") == "memory"
    assert best_place(available_memory(), tmp_path) in ("disk", "files")
    assert best_place(10**18, tmp_path) == "files"
