"""All that changes while a run goes on: network, EMA, optimiser, step."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from derain.models import Network, build
from derain.models.blocks import channels_last
from derain.training.recipe import Recipe

_PARTS = ("network", "ema", "optimiser")
_PLAIN = ("step", "progress", "elapsed", "lr_scale", "psnr", "best", "minutes")


@dataclass
class State:
    """All that changes while a run goes on, which is what a checkpoint holds."""

    network: Network[Any]
    ema: Network[Any]
    optimiser: torch.optim.Optimizer
    step: int = 0
    progress: float = 0.0  # fraction of the run that is done, 0..1; the same in all processes
    elapsed: float = 0.0  # seconds
    lr_scale: float = 1.0  # what the learning rate is multiplied with; halved after a bad loss
    psnr: float | None = None  # of the last validation
    best: float | None = None  # of all validations, the kinds of rain counting the same
    minutes: float | None = None  # the time budget

    def pack(self) -> dict[str, Any]:
        """Return the contents of a checkpoint."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": {"cpu": torch.get_rng_state(), "cuda": cuda},
            **{name: getattr(self, name) for name in _PLAIN},
        }

    def unpack(self, saved: dict[str, Any]) -> None:
        """Become what a checkpoint holds.

        Raises:
            ValueError: It is of another network, optimiser or version; names what does not fit.
        """
        if missing := [key for key in (*_PARTS, "random", *_PLAIN) if key not in saved]:
            raise ValueError(f"the checkpoint has no {missing[0]!r}: another version wrote it")
        for name in _PARTS:
            try:
                getattr(self, name).load_state_dict(saved[name])
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
                reason = str(error).strip().splitlines()[-1].strip()
                raise ValueError(f"the checkpoint's {name} is not the recipe's: {reason}") from None
        for name in _PLAIN:
            setattr(self, name, saved[name])
        torch.set_rng_state(saved["random"]["cpu"])
        if len(saved["random"]["cuda"]) == torch.cuda.device_count() > 0:
            torch.cuda.set_rng_state_all(saved["random"]["cuda"])


def make_state(recipe: Recipe, device: torch.device) -> State:
    """Network, EMA and optimiser at the start of a run; the same for the same seed."""
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
    from derain.engines import find_model
    from derain.weights.files import load_network, mismatch

    path = find_model(init, "torch")
    state = load_network(path)[0].state_dict()
    if differences := mismatch(state, network.state_dict()):
        raise ValueError(f"{path}: does not fit the recipe's network: {differences}")
    network.load_state_dict(state)


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW, with the recipe's settings."""
    o = recipe.optimiser
    if o.kind == "adam":
        return torch.optim.Adam(network.parameters(), lr=o.lr, fused=True)
    return torch.optim.AdamW(network.parameters(), lr=o.lr, weight_decay=o.weight_decay, fused=True)


@torch.no_grad()
def update_ema(state: State, decay: float) -> None:
    """Update the exponential moving average (EMA) of the weights, faster at the start.

    Statistics of batch normalisation, which are averages already, are copied.
    """
    means, values = (tuple(n.parameters()) for n in (state.ema, state.network))
    now = min(decay, (1 + state.step) / (10 + state.step))
    get_ema_multi_avg_fn(now)(means, values, state.step)
    for mean, value in zip(state.ema.buffers(), state.network.buffers(), strict=True):
        mean.copy_(value)
