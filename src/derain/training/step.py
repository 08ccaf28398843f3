"""One step of the optimiser: a batch in, its loss out, network and EMA a little better."""

import os
import shutil
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from derain.losses import weighted
from derain.training.processes import World
from derain.training.recipe import Recipe
from derain.training.schedule import learning_rate
from derain.training.state import State, update_ema


class TrainingStep:
    """Forward, backward, clip, update, EMA.

    Args:
        state: Network, EMA and optimiser, which each step changes; its ``progress`` and
            ``lr_scale`` set the learning rate.
        recipe: Loss, precision, accumulation, and what the optimiser does.
        world: The processes of the run, which average their gradients.
    """

    def __init__(self, state: State, recipe: Recipe, world: World) -> None:
        self.state, self.recipe, self.device = state, recipe, world.device
        self.loss = weighted(recipe.loss)
        network = state.network.train()
        self.distributed = (
            # MSPFN's dead ConvLSTM weights get no gradient.
            DistributedDataParallel(network, find_unused_parameters=True)
            if world.size > 1
            else None
        )
        model = self.distributed or network
        compiles = recipe.compile and not why_not_compiled(recipe, world.device)
        # torch.compile returns a function where it is given one, and so it is typed.
        self.model: Any = torch.compile(model, dynamic=False) if compiles else model

    def __call__(self, rainy: Tensor, clean: Tensor) -> Tensor:
        """Make one step.

        Args:
            rainy: This process's part of the batch, (N, 3, H, W) uint8.
            clean: The same crops without rain.

        Returns:
            The mean loss, on the device.
        """
        state, optimiser = self.state, self.recipe.optimiser
        rate = state.lr_scale * learning_rate(
            optimiser.lr, self.recipe.schedule, state.progress, self.recipe.steps
        )
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        loss = self.backward(to_float(rainy, self.device), to_float(clean, self.device))
        if optimiser.clip:
            nn.utils.clip_grad_norm_(state.network.parameters(), optimiser.clip)
        state.optimiser.step()
        state.optimiser.zero_grad()
        state.step += 1
        update_ema(state, optimiser.ema)
        return loss

    def backward(self, rainy: Tensor, clean: Tensor) -> Tensor:
        """Gradients of a batch, in parts where the recipe says so; returns the mean loss."""
        parts = self.recipe.data.accumulate
        total = torch.zeros((), device=self.device)
        pieces = zip(rainy.chunk(parts), clean.chunk(parts), strict=True)
        for i, (x, y) in enumerate(pieces):
            more = i < parts - 1  # processes exchange gradients once, after the last part
            alone = self.distributed.no_sync() if self.distributed and more else nullcontext()
            with alone:
                with autocast(self.device, self.recipe.precision):
                    derained = self.model(x)
                loss = self.loss(derained, y) / parts
                loss.backward()
            total += loss.detach()
        return total


def why_not_compiled(recipe: Recipe, device: torch.device) -> str:
    """Why a recipe that asks for torch.compile does without; empty if it does not."""
    if recipe.compile and device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        return "not compiled: torch.compile needs a C++ compiler (g++, or CXX)"
    return ""


def autocast(device: torch.device, precision: str = "auto") -> torch.autocast:
    """bf16 where it is asked for, or ``auto`` and the device multiplies matrices in it."""
    cpu = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    fast = precision == "bf16" or (precision == "auto" and (cpu or device.type == "cuda"))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=fast)


def to_float(batch: Tensor, device: torch.device) -> Tensor:
    """(N, 3, H, W) uint8 -> float32 in [0, 1] on the device, channels last."""
    moved = batch.to(device, non_blocking=True)
    return moved.to(memory_format=torch.channels_last).float() / 255
