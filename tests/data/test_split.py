"""Images in memory, and a validation part whose backgrounds training never sees."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from derain.data.layouts import list_clean, list_folders, list_side_by_side
from derain.data.split import (
    TOLERANCE,
    group_by_background,
    group_signatures,
    split_by_background,
)
from derain.data.store import Decoding
from derain.io.pairs import Pair, PairPath

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def scene(seed: int, height: int = 96, width: int = 128) -> Any:
    """A smooth random image, as photographs are at the scale of a thumbnail."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def recompressed(image: Any) -> Any:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def test_the_same_scene_in_another_file_is_one_background():
    scenes = [scene(i) for i in range(20)]
    pairs = [Pair(f"{i}", p) for i, p in enumerate(scenes + [recompressed(p) for p in scenes])]
    groups = group_by_background(pairs)
    assert np.array_equal(groups[:20], groups[20:])
    assert len(np.unique(groups)) == 20


def compared_one_by_one(signatures: Any) -> Any:
    """What group_signatures gives, by comparing every two."""
    group = np.arange(len(signatures))
    for i, signature in enumerate(signatures):
        for j in np.flatnonzero((signatures[:i] != signature).sum(axis=1) <= TOLERANCE):
            group[group == group[j]] = group[i]
    return group


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_those_of_comparing_every_two(seed):
    rng = np.random.default_rng(seed)
    near = np.repeat(rng.random((60, 256)) < 0.5, 4, axis=0)
    near ^= rng.random(near.shape) < 0.04  # pairs around the tolerance, and chains of them
    flat = rng.random((60, 256)) < 0.03  # skies: nearly all alike, many in one bucket
    signatures = np.concatenate([near, flat, near[:20]])[rng.permutation(320)]
    groups = group_signatures(signatures)
    assert np.array_equal(groups, compared_one_by_one(signatures))
    assert 60 < len(np.unique(groups)) < 300


def test_without_validation_no_image_is_opened(tmp_path):
    missing = Decoding([PairPath("a", clean=tmp_path / "nowhere.png")])
    assert split_by_background(missing, [(range(1), 0)]) == ([0], [])


def test_no_background_is_in_training_and_validation():
    scenes = [scene(i) for i in range(20)]
    pairs = [Pair(f"{i}", p) for i, p in enumerate(scenes + [recompressed(p) for p in scenes])]
    training, validation = split_by_background(pairs, [(range(40), 5)], seed=3)
    assert len(validation) == 5
    assert len(training) == 30
    assert not {i % 20 for i in training} & {i % 20 for i in validation}
    assert split_by_background(pairs, [(range(40), 5)], seed=3) == (training, validation)
    assert split_by_background(pairs, [(range(40), 5)], seed=4)[1] != validation


def test_each_quota_holds_out_its_own_pairs():
    scenes = [scene(i) for i in range(20)]
    pairs = [Pair(f"{i}", p) for i, p in enumerate(scenes + [recompressed(p) for p in scenes])]
    quotas = [(range(20), 3), (range(20, 40), 4)]
    training, validation = split_by_background(pairs, quotas)
    assert [i < 20 for i in validation] == [True] * 3 + [False] * 4
    assert len({i % 20 for i in validation}) == 7
    assert len(training) == 40 - 2 * 7


def test_layouts(tmp_path):
    clean, rainy = scene(0), scene(1)
    for folder in ("rainy", "clean", "both"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "clean" / "a.png"), clean)
    cv2.imwrite(str(tmp_path / "rainy" / "a.png"), rainy)
    cv2.imwrite(str(tmp_path / "both" / "a.png"), np.hstack([clean, rainy]))
    for files in (list_folders(tmp_path), list_side_by_side(tmp_path / "both")):
        pair = files[0].read()
        assert np.array_equal(pair.clean[..., ::-1], clean)
        assert pair.rainy is not None
        assert np.array_equal(pair.rainy[..., ::-1], rainy)
    turned = PairPath("a", tmp_path / "both" / "a.png", tmp_path / "both" / "a.png", "right")
    assert np.array_equal(turned.read().clean[..., ::-1], rainy)
    assert list_clean(tmp_path / "clean")[0].read().rainy is None


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "rainy" / "b.png").write_bytes(b"x"), r"b.png: no matching image in"),
        (lambda d: (d / "rainy" / "a.png").write_bytes(b"x"), "a.png: not an image"),
        (
            lambda d: cv2.imwrite(str(d / "rainy" / "a.png"), scene(0, 64, 64)),
            r"a.png is 64x64, .*a.png is 128x96",
        ),
        (lambda d: (d / "clean" / "a.png").rename(d / "a.png"), "no images in it"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, spoil, words):
    for folder in ("rainy", "clean"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), scene(0))
    assert len(list_folders(tmp_path)) == 1
    spoil(tmp_path)
    with pytest.raises(ValueError, match=words):
        [file.read() for file in list_folders(tmp_path)]


@pytest.mark.skipif(not SHARED.exists(), reason="the benchmark data are not beside the project")
def test_rain800_has_some_360_backgrounds():
    files = list_side_by_side(SHARED / "data" / "train" / "rain800")
    pairs = [file.read() for file in files]
    assert len(pairs) == 686
    assert 350 <= len(np.unique(group_by_background(pairs))) <= 370
