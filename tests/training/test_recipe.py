"""Typos in a recipe do not pass."""

from pathlib import Path

import pytest

from derain.training.recipe import OptimiserRecipe, read_recipe
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
    from derain.models import MODELS
    from derain.rain.presets import PRESETS

    files = sorted(RECIPES.glob("*.toml"))
    assert files
    for path in files:
        recipe = read_recipe(path)
        assert recipe.name == path.stem
        assert recipe.network in MODELS
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
        ("steps = 10", "", "'steps' is missing"),
        ("steps = 10", "steps = '10'", "steps must be of type int"),
        ("lr = 1e-3", "learning = 1", "optimiser: unknown key 'learning'; known: kind, lr"),
        ('"clean"', '"pairs"', r"sources\[0\]: layout must be one of 'clean', 'side-by-side'"),
        ("rain100h = 0.5", "rain100h = 'much'", "rain.rain100h must be of type float"),
        ("steps = 10", "steps = 10\nloss = 3", "loss must be a table"),
        ("steps = 10", "steps = ", "not a TOML file"),
        ("steps = 10", "steps = true", "steps must be of type int"),
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


def test_the_rate_warms_up_peaks_and_ends_low():
    recipe = OptimiserRecipe(lr=1.0, final_lr=0.01, warmup=0.1)
    rates = [learning_rate(recipe, k / 1000) for k in range(1001)]
    assert 0 < rates[0] < 0.02
    assert max(rates) == rates[100] == pytest.approx(1.0)
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[550] == pytest.approx(0.505, abs=0.01)
    assert rates[1000] == pytest.approx(0.01)
    assert learning_rate(recipe, 1.2) == pytest.approx(0.01)
