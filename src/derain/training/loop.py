"""The training loop: crops in, averaged weights out, within a number of steps or minutes."""

import copy
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler

from derain.data.crops import Crops, Source, center_crop, to_tensor
from derain.data.pictures import (
    Pair,
    read_clean,
    read_folders,
    read_side_by_side,
    split_by_background,
)
from derain.losses import mspfn_loss
from derain.models import build
from derain.models.blocks import channels_last
from derain.models.cost import cost
from derain.rain import RainSynthesizer
from derain.training.checkpoint import load_checkpoint, save_checkpoint
from derain.training.recipe import Recipe
from derain.training.schedule import learning_rate
from derain.weights.files import save_weights
from derain.weights.record import Record

READERS = {"clean": read_clean, "side-by-side": read_side_by_side, "folders": read_folders}
VALIDATION_SIZE = 256  # pixels; the middle of each held-out picture


@dataclass
class Progress:
    """Where a run stands, handed to the caller after every step."""

    step: int
    share: float  # of the steps or of the time budget, 0..1
    loss: float  # running mean
    psnr: float | None  # of the last validation, dB over RGB
    elapsed: float  # seconds, earlier parts of a resumed run included


def train(
    recipe: Recipe,
    data_root: Path,
    run: Path,
    *,
    device: str = "cpu",
    minutes: float | None = None,
    resume: bool = False,
    checkpoint_minutes: float = 5.0,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe and return the path of the finished weights.

    The run folder holds ``last.pt`` (to resume from), ``metrics.csv`` and, from the first
    checkpoint on, ``NAME.safetensors`` with the averaged weights.

    Args:
        recipe: What to train, on what, how.
        data_root: The recipe's paths are relative to it.
        run: Folder for the results; must be new unless ``resume``.
        device: As torch names it.
        minutes: Time budget over all parts of the run; the schedule then ends with it.
        resume: Go on from ``last.pt``.
        checkpoint_minutes: Time between checkpoints; each validates first.
        on_step: Called after every step.

    Raises:
        ValueError: Missing data or checkpoint, or a run folder in use; names it.
        FloatingPointError: The loss is not finite any more.
    """
    if run.exists() and any(run.iterdir()) and not resume:
        raise ValueError(f"{run}: not empty; choose another folder or go on with --resume")
    network = channels_last(build(recipe.network, **recipe.options)).to(device)
    average = copy.deepcopy(network).eval()
    optimiser = make_optimiser(network, recipe)
    step, before, psnr = 0, 0.0, None
    if resume:
        state = load_checkpoint(run / "last.pt")
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        step, before, psnr = state["step"], state["elapsed"], state["psnr"]
    training, held_out = read_sources(recipe, data_root)
    run.mkdir(parents=True, exist_ok=True)
    batches = iter(loader(training, recipe, step))
    model = torch.compile(network, dynamic=False) if recipe.compile else network
    network.train()

    start = last_checkpoint = time.monotonic()
    losses: list[float] = []
    share = 0.0
    while share < 1.0 and step < recipe.steps:
        elapsed = before + time.monotonic() - start
        share = min(max(step / recipe.steps, elapsed / (60 * minutes) if minutes else 0.0), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe.optimiser, share)
        rainy, clean = (to_float(batch, device) for batch in next(batches))
        with autocast(device):
            derained = model(rainy)
        loss = mspfn_loss(derained, clean, recipe.loss.edge_weight)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), recipe.optimiser.clip)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        update_average(average, network, min(recipe.optimiser.ema, (1 + step) / (10 + step)))
        losses = [*losses[-199:], loss.item()]
        if not np.isfinite(losses[-1]):
            raise FloatingPointError(f"loss is {losses[-1]} at step {step}; see {run / 'last.pt'}")
        done = share >= 1.0 or step >= recipe.steps
        if done or time.monotonic() - last_checkpoint > 60 * checkpoint_minutes:
            elapsed = before + time.monotonic() - start
            psnr = validate(average, held_out, device)
            save_checkpoint(
                run / "last.pt",
                {
                    "network": network.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "step": step,
                    "elapsed": elapsed,
                    "psnr": psnr,
                },
            )
            save_result(average, recipe, run, step, elapsed, psnr)
            log(run / "metrics.csv", step, elapsed, float(np.mean(losses)), psnr)
            last_checkpoint = time.monotonic()
        on_step(Progress(step, share, float(np.mean(losses)), psnr, elapsed))
    return run / f"{recipe.name}.safetensors"


def read_sources(recipe: Recipe, root: Path) -> tuple[list[Source], list[Pair]]:
    """Read every picture of a recipe once: sources for training, rainy pairs held out.

    A background that is held out in one source is held out in all of them. Held-out clean
    pictures get rain from their source's presets, in turn, always the same.
    """
    folders = {s.path: READERS[s.layout](root / s.path) for s in recipe.data.sources}
    everything = [pair for pairs in folders.values() for pair in pairs]
    training, held_out = split_by_background(everything, recipe.data.validation, recipe.seed)
    kept = {id(everything[i]) for i in training}
    sources = [
        Source([p for p in folders[s.path] if id(p) in kept], s.weight, s.rain or None)
        for s in recipe.data.sources
    ]
    presets = sorted({preset for s in recipe.data.sources for preset in s.rain})
    validation = []
    for k, i in enumerate(held_out):
        pair = center_crop(everything[i], VALIDATION_SIZE)
        if pair.rainy is None:
            rainy = RainSynthesizer(presets[k % len(presets)], seed=recipe.seed)(pair.clean).rainy
            pair = Pair(pair.name, pair.clean, rainy)
        validation.append(pair)
    return sources, validation


class Batches(Sampler[list[int]]):
    """Step i takes the items [i * size, (i + 1) * size)."""

    def __init__(self, first: int, last: int, size: int) -> None:
        self.steps, self.size = range(first, last), size

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the items of each step."""
        for step in self.steps:
            yield [*range(step * self.size, (step + 1) * self.size)]

    def __len__(self) -> int:
        """How many steps."""
        return len(self.steps)


def loader(sources: list[Source], recipe: Recipe, step: int) -> DataLoader[Any]:
    """Batches of crops from ``step`` on, made by one worker beside the training."""
    return DataLoader(
        Crops(sources, recipe.data.patch, recipe.seed),
        batch_sampler=Batches(step, recipe.steps, recipe.data.batch),
        num_workers=1,
        prefetch_factor=16,
    )


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam or AdamW, with the recipe's settings."""
    o = recipe.optimiser
    if o.kind == "adam":
        return torch.optim.Adam(network.parameters(), lr=o.lr, fused=True)
    return torch.optim.AdamW(network.parameters(), lr=o.lr, weight_decay=o.weight_decay, fused=True)


def to_float(batch: Tensor, device: str) -> Tensor:
    """(N, 3, H, W) uint8 -> float32 in [0, 1] on the device, channels last."""
    return batch.to(device, memory_format=torch.channels_last).float() / 255


def autocast(device: str) -> torch.autocast:
    """bf16 where the device multiplies matrices in it, else float32."""
    kind = torch.device(device).type
    fast = kind == "cuda" or (kind == "cpu" and torch.cpu._is_avx512_bf16_supported())
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=fast)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of the weights."""
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)


@torch.no_grad()
def validate(network: nn.Module, pairs: list[Pair], device: str) -> float:
    """Mean PSNR over RGB (dB), to watch a run by; the numbers to quote come from evaluation."""
    values = []
    for pair in pairs:
        assert pair.rainy is not None
        rainy, clean = (to_float(to_tensor(p)[None], device) for p in (pair.rainy, pair.clean))
        with autocast(device):
            derained = network(rainy)
        error = (derained.float().clamp(0, 1) - clean).square().mean().item()
        values.append(-10 * np.log10(max(error, 1e-10)))
    return float(np.mean(values))


def save_result(
    average: nn.Module, recipe: Recipe, run: Path, step: int, elapsed: float, psnr: float
) -> Path:
    """Write the averaged weights with what is known of them."""
    path = run / f"{recipe.name}.safetensors"
    size = cost(average, 384, 512)
    record = Record(
        name=recipe.name,
        network=recipe.network,
        options=recipe.options,
        # Every network of ours has these two, which nn.Module does not declare.
        size_multiple=average.size_multiple,  # type: ignore[arg-type]
        minimum_size=average.minimum_size,  # type: ignore[arg-type]
        parameters=size.parameters,
        gmacs=round(size.gmacs, 1),
        trained_on=f"recipe {recipe.name}, {step} steps, {elapsed / 60:.0f} minutes",
        scores={"held-out rgb psnr": round(psnr, 2)},
    )
    save_weights(path, average.state_dict(), record)
    return path


def log(path: Path, step: int, elapsed: float, loss: float, psnr: float) -> None:
    """Append a line to the run's table."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", "seconds", "loss", "held_out_psnr_rgb"])
        writer.writerow([step, f"{elapsed:.1f}", f"{loss:.5f}", f"{psnr:.3f}"])
