"""PReNet by its authors' weights on Rain100H, cut to 8 bits as they do: 29.448 dB is theirs.

    python -m benchmarks.prenet ../shared/data

Holds `models/prenet.py`, the conversion of checkpoints and the metric to a published figure at
once. Takes some minutes on a CPU.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from derain.data.crops import to_tensor
from derain.io.decode import read_rgb
from derain.io.pairs import find_images
from derain.metrics import psnr, quantise
from derain.weights.convert import load_authors


def main() -> None:
    """Print the mean PSNR (y), clipped and cut, and clipped and rounded."""
    root = Path(sys.argv[1])
    network = load_authors(root / "peers" / "prenet" / "Rain100H.pth").eval()
    cut, rounded = [], []
    for path in find_images(root / "test" / "rain100h" / "rainy"):
        clean = read_rgb(root / "test" / "rain100h" / "clean" / path.name)
        with torch.inference_mode():
            result = network(to_tensor(read_rgb(path))[None].float() / 255)
        values = 255 * result[0].clamp(0, 1).permute(1, 2, 0).numpy()
        cut.append(psnr(values.astype(np.uint8), clean))
        rounded.append(psnr(quantise(values / 255), clean))
    print(f"{len(cut)} images: cut {np.mean(cut):.4f} dB, rounded {np.mean(rounded):.4f} dB")


if __name__ == "__main__":
    main()
