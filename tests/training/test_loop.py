"""The training loop on a tiny network: it learns, stops in time and goes on as if never stopped."""

import csv
import dataclasses

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from derain.training.loop import read_sources, train  # noqa: E402
from derain.training.recipe import DataRecipe, OptimiserRecipe, Recipe, SourceRecipe  # noqa: E402
from derain.weights.files import load_network  # noqa: E402


class Killed(Exception):
    """Stands for the end of a session."""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "clean"
    folder.mkdir(parents=True)
    for i in range(10):
        coarse = np.random.default_rng(i).integers(0, 256, (9, 12, 3), np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(coarse, (96, 80)))
    return tmp_path / "data"


@pytest.fixture
def recipe():
    return Recipe(
        name="tiny",
        network="mspfn-lite",
        options={"fine_modules": 1, "width": 8, "lstm_widths": (8, 8, 8)},
        data=DataRecipe(
            (SourceRecipe("clean", "clean", 1.0, {"rain100h": 1.0}),),
            patch=32, batch=4, validation=3,
        ),
        steps=8,
        optimiser=OptimiserRecipe(lr=2e-3),
    )  # fmt: skip


def weights(run):
    return load_network(run / "tiny.safetensors")[0].state_dict()


def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(data, recipe, tmp_path):
    torch.manual_seed(1)
    train(recipe, data, tmp_path / "whole", checkpoint_minutes=0)

    def kill(progress):
        if progress.step in (3, 5):
            raise Killed

    torch.manual_seed(1)
    for resume in (False, True, True):
        try:
            train(
                recipe, data, tmp_path / "parts", resume=resume, checkpoint_minutes=0,
                on_step=kill,
            )  # fmt: skip
        except Killed:
            continue
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    with (tmp_path / "parts" / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, 9))


def test_training_improves_on_the_input(data, recipe, tmp_path):
    _, held_out = read_sources(recipe, data)
    pairs = [(p.rainy, p.clean) for p in held_out if p.rainy is not None]
    assert len(pairs) == recipe.data.validation
    errors = [np.square(rainy / 255.0 - clean / 255.0).mean() for rainy, clean in pairs]
    before = float(np.mean(-10 * np.log10(errors)))
    seen = []
    longer = dataclasses.replace(recipe, steps=150)
    train(longer, data, tmp_path / "run", on_step=lambda p: seen.append(p))
    assert seen[-1].loss < seen[0].loss
    assert seen[-1].psnr > before + 1


def test_a_time_budget_ends_the_run_with_weights_and_a_finished_schedule(data, recipe, tmp_path):
    seen = []
    endless = dataclasses.replace(recipe, steps=10**6)
    path = train(endless, data, tmp_path / "run", minutes=0.05, on_step=seen.append)
    assert path.is_file()
    assert seen[-1].share == 1.0
    assert seen[-1].elapsed < 60
    assert load_network(path)[1].trained_on.startswith(f"recipe tiny, {seen[-1].step} steps")


def test_a_used_folder_is_not_written_over(data, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("x")
    with pytest.raises(ValueError, match=r"not empty; .*--resume"):
        train(recipe, data, tmp_path / "run")


def test_resuming_from_nothing_or_from_a_broken_file_is_named(data, recipe, tmp_path):
    with pytest.raises(ValueError, match="no checkpoint there"):
        train(recipe, data, tmp_path / "run", resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"last.pt: damaged"):
        train(recipe, data, tmp_path / "run", resume=True)


def test_a_checkpoint_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"step": lambda: None})
    assert load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
