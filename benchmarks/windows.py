"""What channel means over windows cost or gain: validation images up to 512x512, f32, in torch.

    python -m benchmarks.windows ../shared/data/train [MODEL]

PSNR over RGB, by the kind of rain, with the means of whole images and of windows.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.validation import RECIPE, header, row, validation
from derain.data.crops import to_tensor
from derain.engines import find_model
from derain.metrics import quantise
from derain.models import build
from derain.training.recipe import read_recipe
from derain.weights.catalog import DEFAULT
from derain.weights.files import load_network

WINDOWS = (None, 128, 192, 256, 384)


def restoring(network: nn.Module) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """A network as a function of images, (H, W, 3) uint8 RGB."""

    @torch.inference_mode()
    def restore(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        result = network(to_tensor(image)[None].float() / 255)
        return quantise(result[0].permute(1, 2, 0).numpy())

    return restore


def main() -> None:
    """Print the table."""
    pairs = validation(read_recipe(RECIPE), Path(sys.argv[1]), 512)
    trained, record = load_network(find_model((sys.argv[2:] or [DEFAULT])[0], "torch"))
    print(header("Window", pairs))
    for window in WINDOWS:
        network = build(record.network, **{**record.options, "window": window}).eval()
        network.load_state_dict(trained.state_dict())
        print(row(str(window), restoring(network), pairs), flush=True)


if __name__ == "__main__":
    main()
