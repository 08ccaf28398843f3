"""All that changes while a run goes on: network, average, optimiser, step."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from derain.models import build
from derain.models.blocks import channels_last
from derain.training.recipe import Recipe


@dataclass
class State:
    """All that changes while a run goes on, which is what a checkpoint holds."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    elapsed: float = 0.0
    caution: float = 1.0  # what the learning rate is multiplied with; halved after a bad loss
    psnr: float | None = None
    best: float | None = None
    minutes: float | None = None

    def pack(self) -> dict[str, Any]:
        """As a checkpoint's contents."""
        plain = ("step", "elapsed", "caution", "psnr", "best", "minutes")
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
            **{name: getattr(self, name) for name in plain},
        }

    def unpack(self, saved: dict[str, Any]) -> None:
        """Become what a checkpoint holds."""
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(saved[name])
        for name in ("step", "elapsed", "caution", "psnr", "best", "minutes"):
            setattr(self, name, saved[name])
        torch.set_rng_state(saved["random"]["cpu"])
        if len(saved["random"]["cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(saved["random"]["cuda"])


def make_state(recipe: Recipe, device: torch.device) -> State:
    """Network, average and optimiser at the start of a run; the same for the same seed."""
    torch.manual_seed(recipe.seed)
    network = channels_last(build(recipe.network, **recipe.options))
    if recipe.init:
        initialise(network, recipe.init)
    network = network.to(device)
    return State(network, copy.deepcopy(network).eval(), make_optimiser(network, recipe))


def initialise(network: nn.Module, init: str) -> None:
    """Start from the weights of a shipped name or a `.safetensors` file.

    Raises:
        ValueError: No such weights, or of another network.
    """
    from derain.weights import catalog
    from derain.weights.files import load_network

    path = catalog.find(init, "torch")
    try:
        network.load_state_dict(load_network(path)[0].state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise ValueError(f"{path}: does not fit the recipe's network: {reason}") from None


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW, with the recipe's settings."""
    o = recipe.optimiser
    if o.kind == "adam":
        return torch.optim.Adam(network.parameters(), lr=o.lr, fused=True)
    return torch.optim.AdamW(network.parameters(), lr=o.lr, weight_decay=o.weight_decay, fused=True)


@torch.no_grad()
def update_average(state: State, decay: float) -> None:
    """Exponential moving average of the weights, quicker at the start.

    Statistics of batch normalisation, which are averages already, are copied.
    """
    means, values = (tuple(n.parameters()) for n in (state.average, state.network))
    now = min(decay, (1 + state.step) / (10 + state.step))
    get_ema_multi_avg_fn(now)(means, values, state.step)
    for mean, value in zip(state.average.buffers(), state.network.buffers(), strict=True):
        mean.copy_(value)
