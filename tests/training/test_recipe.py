"""Typos in a recipe do not pass."""

from pathlib import Path

import pytest

from derain.training.recipe import ScheduleRecipe, read_recipe, to_toml
from derain.training.schedule import learning_rate

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
GOOD = """
name = "x"
network = "mspfn-lite"
steps = 10
[data]
sources = [{ path = "a", layout = "clean", weight = 1, rain = { rain100h = 0.5 } }]
[optimiser]
lr = 1e-3
"""


def test_every_recipe_of_the_project_reads():
    pytest.importorskip("torch")
    from derain.losses import weighted
    from derain.models import MODELS
    from derain.rain.presets import PRESETS

    files = sorted(RECIPES.rglob("*.toml"))
    assert files
    for path in files:
        recipe = read_recipe(path)
        assert recipe.name == path.stem
        assert recipe.network in MODELS
        weighted(recipe.loss)
        for source in recipe.data.sources:
            assert source.rain.keys() <= PRESETS.keys()


def test_values_arrive_with_their_types(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    recipe = read_recipe(path)
    assert recipe.data.sources[0].rain == {"rain100h": 0.5}
    assert recipe.data.sources[0].weight == 1.0
    assert isinstance(recipe.data.sources[0].weight, float)
    assert recipe.data.patch == 64
    assert recipe.optimiser.lr == 1e-3


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("steps =", "stpes =", "unknown key 'stpes'; did you mean 'steps'"),
        ("steps = 10", "", "one of steps and epochs must be above 0"),
        (
            "steps = 10",
            "steps = 10\nepochs = 2",
            "one of steps and epochs must be",
        ),
        ("steps = 10", "epochs = 2", r"epochs needs data.order = 'epochs'"),
        ("name =", "names =", "unknown key 'names'; did you mean 'name'"),
        ("steps = 10", "steps = '10'", "steps must be of type int"),
        ("lr = 1e-3", "learning = 1", "optimiser: unknown key 'learning'; known: kind, lr"),
        ('"clean"', '"pairs"', r"sources\[0\]: layout must be one of 'clean', 'side-by-side'"),
        ("rain100h = 0.5", "rain100h = 'much'", "rain.rain100h must be of type float"),
        ("steps = 10", "steps = 10\nloss = 3", "loss must be a table"),
        ("steps = 10", "steps = ", "not a TOML file"),
        ("steps = 10", "steps = true", "steps must be of type int"),
        ('name = "x"', 'name = "../../x"', "name must be of letters, digits.*'../../x'"),
        ('name = "x"', 'name = "/tmp/x"', "name must be of letters, digits.*'/tmp/x'"),
        ('name = "x"', 'name = ".."', "name must be of letters, digits.*a letter or digit first"),
        ('name = "x"', 'name = ""', "name must be of letters, digits"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, words):
    path = tmp_path / "x.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=words) as caught:
        read_recipe(path)
    assert "x.toml" in str(caught.value)


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.toml: no such recipe"):
        read_recipe(tmp_path / "nowhere.toml")


def test_a_cosine_warms_up_peaks_and_ends_low():
    schedule = ScheduleRecipe(final_lr=0.01, warmup=0.1)
    rates = [learning_rate(1.0, schedule, progress, 100) for progress in (0, 0.05, 0.1, 0.55, 1)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.505, 0.01])


def test_steps_multiply_at_each_milestone_and_stop_at_the_floor():
    schedule = ScheduleRecipe("steps", 0.0, 0.05, (0.25, 0.5, 0.75), 0.3)
    points = (0, 0.2499, 0.25, 0.5, 0.75, 1)
    rates = [learning_rate(1.0, schedule, progress, 100) for progress in points]
    assert rates == pytest.approx([1, 1, 0.3, 0.09, 0.05, 0.05])


def test_halving_every_so_many_steps_follows_the_steps_of_the_run():
    schedule = ScheduleRecipe("steps", 0.0, 1e-6, every=20_000)
    steps = 160_000
    points = [0, 19_999, 20_000, 140_000, 159_999]
    rates = [learning_rate(2e-4, schedule, step / steps, steps) for step in points]
    assert rates == pytest.approx([2e-4, 2e-4, 1e-4, 2e-4 / 2**7, 2e-4 / 2**7])
    assert learning_rate(2e-4, schedule, 1.0, 10**6) == 1e-6


def test_a_recipe_written_out_reads_back_equal(tmp_path):
    for path in RECIPES.rglob("*.toml"):
        recipe = read_recipe(path)
        (tmp_path / "x.toml").write_text(to_toml(recipe))
        assert read_recipe(tmp_path / "x.toml") == recipe


def test_set_changes_values_wherever_they_lie(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    changes = ["optimiser.lr=3e-4", "data.sources.0.weight=2", "name=other", "loss.l1=1"]
    recipe = read_recipe(path, [*changes, "schedule.milestones=[0.5, 0.75]"])
    assert recipe.optimiser.lr == 3e-4
    assert recipe.data.sources[0].weight == 2.0
    assert recipe.name == "other"
    assert recipe.loss == {"l1": 1.0}
    assert recipe.schedule.milestones == (0.5, 0.75)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("optimiser.lr", "write it as key=value"),
        ("optimizer.lr=1", r"with --set: unknown key 'optimizer'; did you mean 'optimiser'"),
        ("optimiser.lr=fast", "lr must be of type float: 'fast'"),
        ("data.sources.7.weight=1", "data.sources.7.weight does not lead to a value"),
        ("name.x=1", "name.x does not lead to a value"),
        ("data.stages=[{start=0.5,patch=64,batch=4},{start=0.2,patch=96,batch=4}]", "rising order"),
        ("schedule.warmup=1", r"schedule.warmup must be in \[0, 1\)"),
        ("loss={}", "one weight must be above 0"),
        ("steps=0", "one of steps and epochs must be above 0"),
        ("data.validation=-1", "must not be negative"),
        ("schedule={every=5, milestones=[0.5]}", "either milestones or every"),
    ],
)
def test_set_is_as_strict_as_the_file(tmp_path, change, words):
    path = tmp_path / "x.toml"
    path.write_text(GOOD)
    with pytest.raises(ValueError, match=words):
        read_recipe(path, [change])
