"""The training loop on a tiny network: it learns, stops in time and goes on as if never stopped."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from derain.metrics import psnr  # noqa: E402
from derain.training.checkpoint import checkpoints, load_checkpoint  # noqa: E402
from derain.training.loop import TrainingSettings, train  # noqa: E402
from derain.training.recipe import StageRecipe, read_recipe  # noqa: E402
from derain.training.sources import read_sources  # noqa: E402
from derain.weights.files import load_network  # noqa: E402

ALWAYS = TrainingSettings("cpu", checkpoint_minutes=0, workers=1, onnx=False)
QUICK = TrainingSettings("cpu", workers=0, onnx=False)


class Killed(Exception):
    """Stands for the end of a session."""


def weights(run):
    return load_network(run / "tiny.safetensors")[0].state_dict()


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def losses(recipe, data, run, settings=QUICK):
    """The mean loss so far, after every step."""
    seen = []
    train(recipe, data, run, settings, on_step=lambda p: seen.append(p.loss))
    return seen


def rows(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_ends_in_the_same_weights_bit_for_bit(data, recipe, tmp_path):
    train(recipe, data, tmp_path / "whole", ALWAYS)

    ends = [3, 5]

    def kill(progress):
        if ends and progress.step == ends[0]:
            del ends[0]
            raise Killed

    for resume in (False, True, True):
        try:
            train(recipe, data, tmp_path / "parts", ALWAYS, resume=resume, on_step=kill)
        except Killed:
            continue
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    steps = [int(row["step"]) for row in rows(tmp_path / "parts")]
    assert steps == sorted(set(steps))


def test_training_improves_on_the_input(data, recipe, tmp_path):
    _, validation = read_sources(recipe, data, tmp_path)
    assert len(validation) == recipe.data.validation
    seen = []
    longer = dataclasses.replace(recipe, steps=150)
    train(longer, data, tmp_path / "run", QUICK, on_step=seen.append)
    assert seen[-1].loss < seen[0].loss
    rainy = np.mean(
        [psnr(p.rainy, p.clean, protocol="rgb") for p, _ in validation if p.rainy is not None]
    )
    assert seen[-1].psnr > rainy + 1


def test_a_time_budget_ends_the_run_with_weights_and_a_finished_schedule(data, recipe, tmp_path):
    endless = dataclasses.replace(recipe, steps=10**6)
    path = train(endless, data, tmp_path / "run", dataclasses.replace(QUICK, minutes=0.05))
    last = rows(tmp_path / "run")[-1]
    assert float(last["lr"]) < 0.01 * recipe.optimiser.lr
    assert float(last["seconds"]) < 60
    assert load_network(path)[1].trained_on.startswith(f"recipe tiny, {last['step']} steps")


def test_the_folder_tells_what_the_run_was(data, recipe, tmp_path):
    run = tmp_path / "run"
    train(recipe, data, run, dataclasses.replace(ALWAYS, keep=2))
    assert read_recipe(run / "recipe.toml") == recipe
    environment = json.loads((run / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert environment["data"] == str(data)
    assert [load_checkpoint(p)["step"] for p in checkpoints(run / "checkpoints")] == [8, 7]
    best = load_checkpoint(run / "checkpoints" / "best.pt")
    values = [float(row["validation_psnr_rgb"]) for row in rows(run) if row["validation_psnr_rgb"]]
    assert best["psnr"] == pytest.approx(max(values), abs=1e-3)
    kinds = [float(row["validation_psnr_rgb/rain100h"]) for row in rows(run)]
    assert kinds == values  # there is one kind
    assert (run / "samples" / "100.jpg").stat().st_size > 1000


def test_parts_of_a_batch_add_up_to_the_whole(data, recipe, tmp_path):
    parts = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, accumulate=4))
    whole, summed = (
        losses(r, data, tmp_path / name) for r, name in ((recipe, "whole"), (parts, "parts"))
    )
    assert whole == pytest.approx(summed, abs=2e-5)


def test_stages_change_patch_and_batch_at_their_share_of_the_run(data, recipe, tmp_path):
    shapes = []
    build = torch.nn.Module.__call__

    def spy(module, *inputs, **more):
        if type(module).__name__ == "MSPFN" and module.training:
            shapes.append(tuple(inputs[0].shape))
        return build(module, *inputs, **more)

    stages = (StageRecipe(0.5, 48, 2), StageRecipe(0.75, 64, 1))
    staged = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, stages=stages))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "__call__", spy)
        train(staged, data, tmp_path / "run", QUICK)
    assert shapes == [(4, 3, 32, 32)] * 4 + [(2, 3, 48, 48)] * 2 + [(1, 3, 64, 64)] * 2


def test_a_run_starts_from_given_weights(data, recipe, tmp_path):
    first = train(recipe, data, tmp_path / "first", QUICK)
    still = dataclasses.replace(
        recipe, init=str(first), steps=1, optimiser=dataclasses.replace(recipe.optimiser, lr=1e-12)
    )
    train(still, data, tmp_path / "second", QUICK)
    a, b = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)
    other = dataclasses.replace(recipe, init=str(first), options={})
    with pytest.raises(ValueError, match="does not fit the recipe's network"):
        train(other, data, tmp_path / "third", QUICK)


def test_a_loss_that_is_not_finite_is_retried_once_at_half_the_rate(data, recipe, tmp_path):
    run = tmp_path / "run"
    mad = dataclasses.replace(
        recipe, optimiser=dataclasses.replace(recipe.optimiser, lr=1e30, clip=0.0)
    )
    remarks = []
    with pytest.raises(FloatingPointError, match="again after going on at half") as error:
        train(mad, data, run, QUICK, on_step=lambda p: remarks.append(p.remark))
    assert any("going on from step-000000000.pt at half the learning rate" in r for r in remarks)
    saved = sorted(run.glob("bad-batch-*.npz"))
    assert saved
    assert saved[0].name in str(error.value)
    with np.load(saved[0]) as batch:
        assert batch["rainy"].shape == batch["clean"].shape == (4, 3, 32, 32)
    intact = load_checkpoint(checkpoints(run / "checkpoints")[0])
    assert all(torch.isfinite(t).all() for t in intact["network"].values())


def test_the_batch_saved_is_the_one_that_the_step_saw(data, recipe, tmp_path):
    """The loop regenerates it from the step's number; here the step's own is caught."""
    from derain.training.feed import Batches, make_crops

    sources, _ = read_sources(recipe, data, tmp_path)
    crops = make_crops(sources, recipe)
    seen = list(Batches(recipe.data, 0, recipe.steps))
    assert seen[5] == next(iter(Batches(recipe.data, 5, recipe.steps)))
    assert torch.equal(crops[seen[5][0]][0], make_crops(sources, recipe)[seen[5][0]][0])


def test_a_used_folder_is_not_written_over(data, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("x")
    with pytest.raises(ValueError, match=r"not empty; .*resume the run"):
        train(recipe, data, tmp_path / "run", QUICK)


def test_a_damaged_checkpoint_costs_only_what_came_after_the_one_before(data, recipe, tmp_path):
    run = tmp_path / "run"
    train(recipe, data, run, ALWAYS)
    whole = weights(run)
    newest = checkpoints(run / "checkpoints")[0]
    newest.write_bytes(newest.read_bytes()[:-100] + bytes(100))
    remarks = []
    train(recipe, data, run, ALWAYS, resume=True, on_step=lambda p: remarks.append(p.remark))
    assert "step-000000008.pt: damaged checkpoint" in remarks[0]
    assert same(whole, weights(run))


def test_a_checkpoint_of_another_network_is_named(data, recipe, tmp_path):
    run = tmp_path / "run"
    train(recipe, data, run, QUICK)
    other = dataclasses.replace(recipe, options={**recipe.options, "width": 16})
    words = r"step-000000008.pt: the checkpoint's network is not the recipe's: size mismatch for"
    with pytest.raises(ValueError, match=words):
        train(other, data, run, QUICK, resume=True)


def test_the_best_checkpoint_is_chosen_by_kinds_that_count_the_same(data, recipe, tmp_path):
    """Three kinds of clean images would outvote one of heavy rain."""
    from derain.training.validation import Validation, mean_by_kind

    easy, hard = (
        Validation(float(np.mean(values)), mean_by_kind(values, ["drizzle"] * 3 + ["heavy"]), [])
        for values in ([40.0, 40.0, 40.0, 20.0], [39.0, 39.0, 39.0, 22.0])
    )
    assert easy.psnr == pytest.approx(35)
    assert hard.psnr == pytest.approx(34.75)
    assert easy.by_kind == {"drizzle": 40, "heavy": 20}
    assert (easy.balanced, hard.balanced) == (30, 30.5)


def test_resuming_from_nothing_is_named(data, recipe, tmp_path):
    with pytest.raises(ValueError, match="cannot go on: no checkpoint there"):
        train(recipe, data, tmp_path / "run", QUICK, resume=True)


def test_batches_that_do_not_divide_are_named(data, recipe, tmp_path):
    odd = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, accumulate=3))
    with pytest.raises(ValueError, match=r"batch of 4 does not divide by 3 \(1 processes x 3"):
        train(odd, data, tmp_path / "run", QUICK)


def test_a_run_without_validation_pairs_trains_on_every_image(data, recipe, tmp_path):
    everything = dataclasses.replace(
        recipe,
        steps=0,
        epochs=3,
        data=dataclasses.replace(recipe.data, validation=0, order="epochs"),
    )
    train(everything, data, tmp_path / "run", ALWAYS)
    assert not (tmp_path / "run" / "checkpoints" / "best.pt").exists()  # nothing to choose by
    assert {row["validation_psnr_rgb"] for row in rows(tmp_path / "run")} == {""}
    assert load_network(tmp_path / "run" / "tiny.safetensors")[1].scores == {}
    assert read_recipe(tmp_path / "run" / "recipe.toml").steps == 3 * (10 // 4)


def test_a_named_set_validates_and_is_not_trained_on(data, recipe, tmp_path):
    pairs = tmp_path / "data" / "pairs"
    for half in ("rainy", "clean"):
        (pairs / half).mkdir(parents=True)
        shutil.copy(data / "clean" / "3.png", pairs / half / "a.png")
    named = dataclasses.replace(
        recipe, data=dataclasses.replace(recipe.data, validation=0, validation_set="pairs")
    )
    sources, validation = read_sources(named, data, tmp_path)
    assert [(p.pair.name, p.kind) for p in validation] == [("a", "own rain")]
    assert sum(len(source.pairs) for source in sources) == 10
    train(named, data, tmp_path / "run", QUICK)
    assert load_network(tmp_path / "run" / "tiny.safetensors")[1].scores["validation rgb psnr"] > 5
