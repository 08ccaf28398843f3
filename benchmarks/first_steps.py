"""Does every network learn? 200 steps from scratch on synthetic rain over photographs.

    python -m benchmarks.first_steps                 # one network of each family
    python -m benchmarks.first_steps mspfn dcsfn     # these

Prints the loss at the start and the end, and the PSNR (RGB) of the input and of the output on a
photograph that was not trained on.
"""

import sys
import time

import numpy as np
import torch
from skimage import data

from derain.data.crops import Crops, Source, to_tensor
from derain.io.pairs import Pair
from derain.losses import weighted
from derain.models import build
from derain.models.blocks import channels_last
from derain.rain import RainSynthesizer

FAMILIES = ("mspfn", "mspfn-lite", "dcsfn", "mh2fnet", "prenet", "prenet-r", "nafnet-small")
STEPS, BATCH, PATCH = 200, 4, 32


def psnr(x: torch.Tensor, y: torch.Tensor) -> float:
    """PSNR (dB) of images in [0, 1], clipped."""
    return -10 * (x.clamp(0, 1) - y).square().mean().log10().item()


def learn(name: str) -> str:
    """Train one network and return its row of the table."""
    torch.manual_seed(0)
    network = channels_last(build(name))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images = [data.astronaut(), data.coffee(), data.rocket()]
    crops = Crops([Source([Pair("", p) for p in images], 1.0, {"rain100h": 1.0})], PATCH)
    mspfn_loss = weighted({"charbonnier": 1.0, "edge": 0.05})
    losses, start = [], time.monotonic()
    for step in range(STEPS):
        pairs = [crops[step * BATCH + i] for i in range(BATCH)]
        rainy, clean = (torch.stack(crop).float() / 255 for crop in zip(*pairs, strict=True))
        loss = mspfn_loss(network(rainy.to(memory_format=torch.channels_last)), clean)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimiser.step()
        losses.append(loss.item())
    seconds = time.monotonic() - start
    validation = np.ascontiguousarray(data.chelsea()[40:232, 60:316])
    rainy = RainSynthesizer("rain100h", seed=1)(validation).rainy
    x, y = (to_tensor(p)[None].float() / 255 for p in (rainy, validation))
    with torch.inference_mode():
        result = network.eval()(x)
    first, last = np.mean(losses[:10]), np.mean(losses[-10:])
    assert np.isfinite(losses).all()
    row = f"| `{name}` | {first:.3f} | {last:.3f} | {psnr(x, y):.2f} | {psnr(result, y):.2f} |"
    return f"{row} {seconds:.0f} |"


def main() -> None:
    """Print the table."""
    print("| Network | first loss | last loss | input (dB) | output (dB) | seconds |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:] or FAMILIES:
        print(learn(name), flush=True)


if __name__ == "__main__":
    main()
