"""Random crops: the same whatever the workers, uniform, and paired exactly."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from derain.data.crops import Crops, Source, center_crop, dihedral, draw  # noqa: E402
from derain.io.pairs import Pair  # noqa: E402


def numbered(height=40, width=50):
    """A pair whose every pixel tells where it is; the rainy half is 100 brighter in blue."""
    yy, xx = np.mgrid[:height, :width].astype(np.uint8)
    clean = np.dstack([yy, xx, np.zeros_like(xx)])
    rainy = clean + np.array([0, 0, 100], np.uint8)
    return Pair("numbered", clean, rainy)


@pytest.fixture
def crops():
    rng = np.random.default_rng(0)
    clean = [Pair(f"{i}", rng.integers(0, 256, (64, 80, 3), np.uint8)) for i in range(4)]
    sources = [Source([numbered()], 1.0), Source(clean, 2.0, {"rain100h": 0.5, "rain100l": 0.5})]
    return Crops(sources, patch=32, seed=7)


def test_a_crop_depends_on_seed_and_index_alone(crops):
    alone = [crops[i] for i in range(24)]
    loader = DataLoader(
        crops, batch_sampler=[[*range(k, k + 8)] for k in (0, 8, 16)], num_workers=2
    )
    together = [pair for rainy, clean in loader for pair in zip(rainy, clean, strict=True)]
    for (a, b), (c, d) in zip(alone, together, strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    other = Crops(crops.sources, 32, seed=8)
    assert any(not torch.equal(other[i][0], alone[i][0]) for i in range(4))


def test_pairs_stay_aligned_and_only_mirror():
    crops = Crops([Source([numbered()], 1.0)], patch=32)
    corners = set()
    for i in range(600):
        rainy, clean = crops[i]
        assert torch.equal(rainy[:2], clean[:2])
        assert (rainy[2] == 100).all()
        rows = clean[0].numpy().astype(int)
        columns = clean[1].numpy().astype(int)
        assert (np.diff(rows, axis=0) == 1).all()
        assert abs(columns[0, 1] - columns[0, 0]) == 1
        corners.add((rows.min(), columns.min()))
    assert {c[0] for c in corners} == set(range(9))  # 40 - 32 + 1 positions, all of them met
    assert {c[1] for c in corners} == set(range(19))


def test_rained_crops_are_brighter_and_keep_their_target(crops):
    source = crops.sources[1]
    rained = Crops([source], patch=32, seed=7)
    for i in range(20):
        rainy, clean = rained[i]
        assert (rainy >= clean).all()


@pytest.mark.parametrize(("augment", "count"), [("none", 1), ("mirror", 2), ("dihedral", 8)])
def test_own_pairs_are_flipped_and_turned_as_the_source_says(augment, count):
    pair = numbered(32, 32)
    crops = Crops([Source([pair], 1.0, augment=augment)], patch=32)
    seen = set()
    for i in range(100):
        rainy, clean = crops[i]
        assert torch.equal(rainy[:2], clean[:2])
        seen.add(clean.numpy().tobytes())
    assert len(seen) == count
    mirrored = np.ascontiguousarray(pair.clean[:, ::-1].transpose(2, 0, 1)).tobytes()
    assert (mirrored in seen) == (augment != "none")


def test_an_item_can_ask_for_a_smaller_patch(crops):
    assert crops[3, 16][0].shape == (3, 16, 16)
    assert torch.equal(crops[3, 32][0], crops[3][0])


def test_in_an_epoch_no_image_comes_twice():
    pairs = [Pair(f"{i}", np.full((8, 8, 3), i, np.uint8)) for i in range(10)]
    crops = Crops([Source(pairs, 1.0)], patch=8, epoch_batch=4)  # two of ten are left out
    first, second = ([int(crops[k][1][0, 0, 0]) for k in range(e, e + 8)] for e in (0, 8))
    assert len(set(first)) == len(set(second)) == 8
    assert first != second


def test_small_images_are_left_out_and_counted():
    crops = Crops([Source([numbered(), numbered(20, 99)], 1.0)], patch=32)
    assert crops.left_out == 1
    with pytest.raises(ValueError, match="at least 64x64"):
        Crops([Source([numbered()], 1.0)], patch=64)


def test_the_eight_flips_and_rotations_differ():
    image = np.arange(3 * 3 * 3, dtype=np.uint8).reshape(3, 3, 3)
    assert len({dihedral(image, k).tobytes() for k in range(8)}) == 8


def test_draw_follows_the_weights():
    rng = np.random.default_rng(0)
    names = [draw(rng, ["a", "b", "c"], [1.0, 0.0, 3.0]) for _ in range(4000)]
    assert names.count("b") == 0
    assert names.count("c") / 4000 == pytest.approx(0.75, abs=0.03)


def test_center_crop_is_the_middle_in_sixteenths():
    pair = center_crop(numbered(40, 50), 256)
    assert pair.clean.shape == (32, 48, 3)
    assert tuple(pair.clean[0, 0, :2]) == (4, 1)


def test_enlarged_crops_show_part_of_the_image():
    source = Source([numbered()], 1.0, enlarge=3.0, enlarge_probability=1.0)
    crops = Crops([source], patch=32)
    spans = [np.ptp(crops[i][1][0].numpy().astype(int)) for i in range(60)]
    assert max(spans) <= 31
    assert min(spans) < 14  # 32 / 3 rows of the image, and what the interpolation adds
    rainy, clean = crops[0]
    assert rainy.shape == clean.shape == (3, 32, 32)
    assert torch.equal(rainy[:2], clean[:2])


def test_layers_go_to_presets_that_mix_them_in():
    lines = np.zeros((64, 64), np.uint8)
    lines[:, ::4] = 255
    grey = Pair("grey", np.full((64, 64, 3), 60, np.uint8))
    rain = {"photo-fine": 1.0, "rain100l": 1.0}
    plain = Crops([Source([grey], 1.0, rain)], 32)
    mixed = Crops([Source([grey], 1.0, rain, layers=[lines])], 32)
    changed = [not torch.equal(plain[i][0], mixed[i][0]) for i in range(60)]
    # a quarter of photo-fine, and its later draws with it; never rain100l
    assert 5 <= sum(changed) <= 36
