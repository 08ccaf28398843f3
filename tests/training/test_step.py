"""One step of the optimiser, by itself."""

import copy
import dataclasses

import pytest

torch = pytest.importorskip("torch")

from derain.losses import weighted  # noqa: E402
from derain.training.processes import World  # noqa: E402
from derain.training.schedule import learning_rate  # noqa: E402
from derain.training.state import make_state  # noqa: E402
from derain.training.step import TrainingStep, to_float  # noqa: E402

WORLD = World(torch.device("cpu"))


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8)


@pytest.fixture
def sgd_like(recipe):
    """Adam's first step is the sign of the gradient times the learning rate, whatever its size."""
    return dataclasses.replace(
        recipe, optimiser=dataclasses.replace(recipe.optimiser, kind="adam", clip=0.0)
    )


def test_a_step_returns_the_loss_of_the_network_as_it_was(recipe, batch):
    state = make_state(recipe, WORLD.device)
    before = copy.deepcopy(state.network)
    loss = TrainingStep(state, recipe, WORLD)(*batch)
    rainy, clean = (to_float(images, WORLD.device) for images in batch)
    assert loss.item() == pytest.approx(weighted(recipe.loss)(before(rainy), clean).item())
    assert state.step == 1


def test_the_learning_rate_follows_progress_and_scale(sgd_like, batch):
    for progress, scale in ((0.0, 1.0), (0.3, 1.0), (0.3, 0.5)):
        state = make_state(sgd_like, WORLD.device)
        state.progress, state.lr_scale = progress, scale
        before = [p.detach().clone() for p in state.network.parameters()]
        TrainingStep(state, sgd_like, WORLD)(*batch)
        moved = max(
            (p - b).abs().max().item()
            for p, b in zip(state.network.parameters(), before, strict=True)
        )
        rate = scale * learning_rate(sgd_like.optimiser.lr, sgd_like.schedule, progress, 10)
        assert moved == pytest.approx(rate, rel=1e-3)


def test_gradients_are_clipped_to_the_norm(recipe, batch):
    for clip in (0.0, 0.01):
        clipped = dataclasses.replace(
            recipe, optimiser=dataclasses.replace(recipe.optimiser, clip=clip)
        )
        state = make_state(clipped, WORLD.device)
        norms = []
        state.optimiser.register_step_pre_hook(
            lambda *_, state=state, norms=norms: norms.append(
                torch.nn.utils.get_total_norm(
                    [p.grad for p in state.network.parameters() if p.grad is not None]
                ).item()
            )
        )
        TrainingStep(state, clipped, WORLD)(*batch)
        assert norms[0] == pytest.approx(0.01, rel=1e-3) if clip else norms[0] > 0.02


def test_the_average_of_the_weights_follows_them(recipe, batch):
    state = make_state(recipe, WORLD.device)
    step = TrainingStep(state, recipe, WORLD)
    first = [p.detach().clone() for p in state.ema.parameters()]
    step(*batch)
    step(*batch)
    decay = (1 + 2) / (10 + 2)  # the second step's, which is still below the recipe's
    after_one = copy.deepcopy(list(state.ema.parameters()))
    step(*batch)
    decay = (1 + 3) / (10 + 3)
    for ema, before, now in zip(
        state.ema.parameters(), after_one, state.network.parameters(), strict=True
    ):
        assert torch.allclose(ema, decay * before + (1 - decay) * now, atol=1e-7)
    assert any((a != b).any() for a, b in zip(first, state.ema.parameters(), strict=True))


def test_parts_give_the_gradients_of_the_whole(recipe, batch):
    gradients = []
    for parts in (1, 4):
        cut = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, accumulate=parts))
        state = make_state(cut, WORLD.device)
        rainy, clean = (to_float(images, WORLD.device) for images in batch)
        TrainingStep(state, cut, WORLD).backward(rainy, clean)
        gradients.append([p.grad for p in state.network.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for whole, summed in zip(*gradients, strict=True):
        assert torch.allclose(whole, summed, atol=1e-6)
