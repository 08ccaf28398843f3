"""The averaged network is the result, with everything that it needs to run."""

import pytest

torch = pytest.importorskip("torch")

from derain.models import build  # noqa: E402
from derain.training.recipe import DataRecipe, OptimiserRecipe, Recipe, SourceRecipe  # noqa: E402
from derain.training.state import make_state, update_ema  # noqa: E402


def test_the_average_normalises_with_what_training_has_seen():
    options = {"width": 4, "blocks": 1}
    recipe = Recipe(
        "x", "ddn-running", DataRecipe((SourceRecipe("a", "clean"),)), 10, options=options,
        optimiser=OptimiserRecipe(ema=0.9),
    )  # fmt: skip
    state = make_state(recipe, torch.device("cpu"))
    state.network.train()
    for state.step in range(3):
        state.network(torch.rand(2, 3, 24, 24))
        update_ema(state, 0.9)
    fresh = dict(build("ddn-running", **options).named_buffers())
    seen, kept = (dict(n.named_buffers()) for n in (state.network, state.ema))
    for name, value in seen.items():
        assert torch.equal(kept[name], value)
        assert not torch.equal(fresh[name], value)
