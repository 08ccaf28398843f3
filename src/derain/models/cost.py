"""What a network costs: its parameters and its multiply-adds, counted by running it.

It runs on torch's meta device, where tensors have shapes and no values: no memory and no time.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """The cost of one image."""

    parameters: int  # every trainable number
    macs: int  # multiply-adds of all convolutions; biases, activations and sums are not counted

    @property
    def gmacs(self) -> float:
        """GMACs: multiply-adds in 10^9."""
        return self.macs / 1e9


def cost(network: nn.Module, height: int, width: int) -> Cost:
    """Count the parameters and multiply-adds of a network for one image.

    A convolution counts as the specifications' tables do: every kernel position at every output
    pixel (every input pixel if transposed), zero padding and what is cropped afterwards included.

    Args:
        network: Any network on any device; a network built under ``torch.device("meta")`` costs
            no memory at all. It is not changed.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Raises:
        ValueError: The network does not take images of that size.
    """
    weights = {
        name: torch.empty_like(value, device="meta")
        for name, value in [*network.named_parameters(), *network.named_buffers()]
    }
    dtype = next(network.parameters()).dtype
    image = torch.empty(1, 3, height, width, device="meta", dtype=dtype)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        functional_call(network, weights, (image,))
    flops = counter.get_flop_counts().get("Global", {})
    convolutions = sum(n for op, n in flops.items() if op is torch.ops.aten.convolution)
    return Cost(sum(p.numel() for p in network.parameters()), convolutions // 2)
