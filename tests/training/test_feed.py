"""Which items make up a step, and where pairs come from."""

import dataclasses

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain.training.feed import Batches, in_steps, make_crops, stage_of  # noqa: E402
from derain.training.recipe import DataRecipe, SourceRecipe, StageRecipe  # noqa: E402
from derain.training.sources import list_set, read_sources  # noqa: E402

STAGES = (StageRecipe(0.5, 48, 4), StageRecipe(0.75, 64, 12))
DATA = DataRecipe((SourceRecipe("clean", "clean"),), patch=32, batch=8, stages=STAGES)


def test_processes_share_out_every_step_without_overlap():
    steps = 20
    whole = list(Batches(DATA, 0, steps))
    parts = [list(Batches(DATA, 0, steps, rank, 4)) for rank in range(4)]
    for step, items in enumerate(whole):
        assert [item for part in parts for item in part[step]] == items
    numbers = [number for items in whole for number, _ in items]
    assert len(set(numbers)) == len(numbers) == 10 * 8 + 5 * 4 + 5 * 12


def test_batches_from_the_middle_are_those_of_the_whole():
    assert list(Batches(DATA, 7, 20)) == list(Batches(DATA, 0, 20))[7:]


def test_a_time_budget_moves_the_stages_forward():
    assert stage_of(DATA, 0.49) == (32, 8)
    assert stage_of(DATA, 0.5) == (48, 4)
    assert stage_of(DATA, 1.0) == (64, 12)
    progress = 0.0
    batches = iter(Batches(DATA, 0, 10**6, progress=lambda: progress))
    assert next(batches)[0][1] == 32
    progress = 0.8
    assert next(batches)[0][1] == 64


def test_any_layout_of_a_public_set_can_be_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("input", "target"):
        (tmp_path / "Rain13K" / folder).mkdir(parents=True)
        for name in ("1", "2"):
            image = rng.integers(0, 256, (40, 40, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "Rain13K" / folder / f"{name}.png"), image)
    files = list_set(tmp_path / "Rain13K")
    assert [file.name for file in files] == ["1", "2"]
    assert all("target" in str(f.clean) and "input" in str(f.rainy) for f in files)
    files = list_set(tmp_path / "Rain13K" / "input:clean-right")
    pair = files[0].read()
    assert pair.rainy is not None
    both = cv2.imread(str(files[0].clean))
    assert both is not None
    assert np.array_equal(np.hstack([pair.rainy, pair.clean])[..., ::-1], both)


def test_held_out_backgrounds_are_in_no_source(data, recipe, tmp_path):
    twice = dataclasses.replace(
        recipe.data, sources=(*recipe.data.sources, SourceRecipe("clean", "clean", 0.5))
    )
    sources, validation = read_sources(dataclasses.replace(recipe, data=twice), data, tmp_path)
    names = {pair.name for pair, _ in validation}
    assert len(names) == 3
    for source in sources:
        assert len(source.pairs) == 7
        assert not names & {pair.name for pair in source.pairs}
    assert all(p.rainy is not None and (p.rainy != p.clean).any() for p, _ in validation)


def test_held_out_rain_has_the_target_that_training_has(data, recipe, tmp_path):
    """Rain at night darkens the scene, and the network is not asked to undo that."""
    sources = (dataclasses.replace(recipe.data.sources[0], rain={"real-night": 1.0}),)
    night = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sources=sources))
    _, validation = read_sources(night, data, tmp_path)
    day = {p.name: p.clean for p, _ in read_sources(recipe, data, tmp_path)[1]}
    for pair, _ in validation:
        assert pair.rainy is not None
        assert pair.clean.mean() < 0.8 * day[pair.name].mean()
        assert abs(pair.rainy.mean() - pair.clean.mean()) < 30


def test_held_out_pairs_have_the_rain_that_is_trained_on(data, recipe, tmp_path):
    """A recipe that only takes a set's clean halves is not judged by that set's own rain."""
    for path in (data / "clean").iterdir():
        image = cv2.imread(str(path))
        assert image is not None
        (data / "pairs").mkdir(exist_ok=True)
        cv2.imwrite(str(data / "pairs" / path.name), np.hstack([image, image // 2]))
    own = SourceRecipe("pairs", "side-by-side")
    made = dataclasses.replace(own, rain={"rain100h": 1.0})
    for sources, dark in (((own,), 3), ((made,), 0), ((made, own), 3)):
        here = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, sources=sources))
        _, validation = read_sources(here, data, tmp_path)
        own_rain = [p for p, _ in validation if p.rainy is not None and (p.rainy <= p.clean).all()]
        assert len(validation) == 3
        assert len(own_rain) == dark


def test_holding_everything_out_is_named(data, recipe, tmp_path):
    greedy = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, validation=10))
    with pytest.raises(
        ValueError, match=r"every background is used for validation; lower data\.validation"
    ):
        read_sources(greedy, data, tmp_path)


def test_an_epoch_is_whole_batches(data, recipe, tmp_path):
    epochs = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, order="epochs"))
    sources, _ = read_sources(epochs, data, tmp_path)
    crops = make_crops(sources, epochs)
    assert crops.epoch == 4  # seven images, batches of four: three are left out of each epoch
    assert len({crops.in_epoch(k) for k in range(4)}) == 4


def test_epochs_become_steps_once_the_images_are_counted(data, recipe, tmp_path):
    order = dataclasses.replace(recipe.data, order="epochs")
    epochs = dataclasses.replace(recipe, data=order, steps=0, epochs=5)
    crops = make_crops(read_sources(epochs, data, tmp_path)[0], epochs)
    assert in_steps(epochs, crops).steps == 5 * 1  # a batch of four from seven images
    assert in_steps(recipe, crops) == recipe


def test_small_images_do_not_count_in_an_epoch(data, recipe, tmp_path):
    """They did, and an epoch asked for images that are not there."""
    for k in range(4):
        cv2.imwrite(str(data / "clean" / f"{k}.png"), np.full((16, 16, 3), 60 * k, np.uint8))
    epochs = dataclasses.replace(
        recipe, data=dataclasses.replace(recipe.data, order="epochs", batch=2, validation=1)
    )
    crops = make_crops(read_sources(epochs, data, tmp_path)[0], epochs)
    assert len(crops.sources[0].pairs) == 5  # of six, one is for validation
    assert crops.epoch == 4
    assert all(crops[k][0].shape == (3, 32, 32) for k in range(2 * crops.epoch))
    greedy = dataclasses.replace(epochs, data=dataclasses.replace(epochs.data, batch=8))
    with pytest.raises(ValueError, match=r"a batch of 8 is more than an epoch's 5 images"):
        make_crops(read_sources(greedy, data, tmp_path)[0], greedy)


def test_kinds_of_rain_belong_to_pairs_whatever_their_names(data, recipe, tmp_path):
    """Two folders have the same file names; one is trained on with its own rain, one with ours."""
    (data / "pairs").mkdir()
    for k in range(10):
        coarse = np.random.default_rng(100 + k).integers(0, 256, (9, 12, 3), np.uint8)
        image = cv2.resize(coarse, (96, 80))
        cv2.imwrite(str(data / "pairs" / f"{k}.png"), np.hstack([image, image // 2]))
    sources = (
        SourceRecipe("pairs", "side-by-side", validation=3),
        SourceRecipe("clean", "clean", rain={"rain100h": 1.0, "real-night": 1.0}, validation=4),
    )
    mixed = dataclasses.replace(recipe.data, sources=sources, validation=0)
    _, validation = read_sources(dataclasses.replace(recipe, data=mixed), data, tmp_path)
    kinds = [kind for _, kind in validation]
    assert sorted(kinds) == ["own rain"] * 3 + ["rain100h"] * 2 + ["real-night"] * 2
    dark = {kind: [] for kind in kinds}
    for pair, kind in validation:
        assert pair.rainy is not None
        dark[kind].append(pair.clean.mean())
        assert (pair.rainy <= pair.clean).all() == (kind == "own rain")
    assert max(dark["real-night"]) < min(dark["rain100h"])


def test_a_recipe_without_rain_is_validated_on_clean_images(data, recipe, tmp_path):
    dry = dataclasses.replace(recipe.data, sources=(SourceRecipe("clean", "clean"),))
    _, validation = read_sources(dataclasses.replace(recipe, data=dry), data, tmp_path)
    assert [kind for _, kind in validation] == ["no rain"] * 3
    assert all(pair.rainy is pair.clean for pair, _ in validation)
