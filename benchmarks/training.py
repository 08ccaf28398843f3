"""How fast is a training step? The published form against ours, in one run.

    python -m benchmarks.training                       # MSPFN*, batch 8 of 64x64
    python -m benchmarks.training mspfn --batch 32 --patch 96 --device cuda

Prints the median milliseconds of a whole step (forward, MSPFN's loss, backward, optimiser), the
forms in turn; and on a GPU samples and TFLOP per second beside the measured bf16 matrix rate.
Backward counts twice the forward pass; multiply-adds count twice.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from derain.losses import weighted
from derain.models import build
from derain.models.blocks import channels_last
from derain.models.cost import cost
from derain.models.mspfn import ConvLSTM

LOSS = weighted({"charbonnier": 1.0, "edge": 0.05})


class PublishedConvLSTM(nn.Module):
    """MSPFN's ConvLSTM step as released: all four gates over input and zero state."""

    def __init__(self, lstm: ConvLSTM) -> None:
        super().__init__()
        self.conv, self.hidden = lstm.conv, lstm.hidden

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, hidden, H, W)."""
        state = x.new_zeros(x.shape[0], self.hidden, *x.shape[2:])
        i, j, f, o = self.conv(torch.cat([x, state], dim=1)).chunk(4, dim=1)
        cell = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(j)
        return torch.tanh(cell) * torch.sigmoid(o)


def published(network: nn.Module) -> nn.Module:
    """The network with every ConvLSTM computed as released."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, ConvLSTM):
                setattr(module, name, PublishedConvLSTM(child))
    return network


def stepper(
    network: nn.Module, batch: tuple[Tensor, Tensor], bf16: bool, compiled: bool
) -> Callable[[], None]:
    """A whole training step of a network on a batch (rainy, clean)."""
    rainy, clean = batch
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=compiled)
    model: Any = torch.compile(network, dynamic=False) if compiled else network
    kind = rainy.device.type

    def step() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            derained = model(rainy)
        LOSS(derained, clean).backward()
        optimiser.step()
        optimiser.zero_grad()
        if kind == "cuda":
            torch.cuda.synchronize()

    return step


def matrix_rate(device: torch.device, size: int) -> float:
    """bf16 TFLOP per second of a square matrix product, the best of several."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(4):
            torch.mm(a, a)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / 4)
    return 2 * size**3 / best / 1e12


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("network", nargs="?", default="mspfn-lite")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    torch.manual_seed(0)
    plain = build(asked.network).to(device)
    size = (asked.batch, 3, asked.patch, asked.patch)
    rainy, clean = torch.rand(2, *size, device=device)
    batch = rainy, clean
    last = rainy.to(memory_format=torch.channels_last), clean.to(memory_format=torch.channels_last)
    forms = {
        "f32, contiguous, as published": stepper(published(plain), batch, False, False),
        "f32, contiguous, live part": stepper(copy.deepcopy(plain), batch, False, False),
        "bf16, channels last": stepper(channels_last(copy.deepcopy(plain)), last, True, False),
        "bf16, channels last, compiled": stepper(channels_last(plain), last, True, True),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    for round_ in range(3 + asked.steps):
        for name, step in forms.items():
            start = time.perf_counter()
            step()
            if round_ >= 3:
                times[name].append(time.perf_counter() - start)
    gmacs = cost(plain, asked.patch, asked.patch).gmacs
    rate = matrix_rate(device, 8192 if device.type == "cuda" else 2048)
    first = statistics.median(next(iter(times.values())))
    print(
        f"{asked.network}, batch {asked.batch} of {asked.patch}x{asked.patch}, {device}, ", end=""
    )
    print(f"bf16 matrix rate {rate:.2f} TFLOP/s")
    print("| Step | ms | times | samples/s | TFLOP/s | of matrix rate |\n|---|---|---|---|---|---|")
    for name, values in times.items():
        seconds = statistics.median(values)
        tflops = 3 * 2 * gmacs * asked.batch / seconds / 1000
        print(
            f"| {name} | {1000 * seconds:.0f} | {first / seconds:.2f} | "
            f"{asked.batch / seconds:.1f} | {tflops:.2f} | {100 * tflops / rate:.0f} % |"
        )


if __name__ == "__main__":
    main()
