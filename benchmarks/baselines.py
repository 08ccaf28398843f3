"""Compared methods by their authors' weights on the first pairs of Rain100H: PSNR Y.

    python -m benchmarks.baselines ../shared/data [--pairs 20] [--only nledn]

Checks the networks, the conversion of checkpoints, the colour order and the metric at once, against
what the authors' own code gives with the same files. Whole images, f32, rounded to 8 bits. All of
it takes about half an hour on one CPU core.
"""

import argparse
from pathlib import Path

import numpy as np

import derain
from derain.io.decode import read_rgb
from derain.metrics import psnr

# Checkpoint -> dB of the authors' code on the first twenty pairs.
EXPECTED = {
    "nledn/rain100h.pt": 32.14,
    "rescan/rescan_gru_full_rain200h.pth": 29.33,
    "spanet/spanet_rain200h.pth": 28.17,
    "umrl/umrl_jorder.pth": 27.88,
    "jorder_e/jorder_e_practical.pth": 25.21,
    "semi/rainheavy.pt": 22.70,
    "semi/rainlight.pt": 14.53,
    "semi/authors.pt": 16.06,
    "ddn/rainheavy.pt": 22.50,
    "ddn/rainlight.pt": 14.52,
    "ddn/matlab.pt": 17.97,
}


def main() -> None:
    """Print the mean PSNR Y of each checkpoint that is there, beside the expected one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", default="", help="run only checkpoints whose path has this in it")
    options = parser.parse_args()
    folder = options.data / "test" / "rain100h"
    names = [f"{number}.png" for number in range(1, options.pairs + 1)]
    pairs = [(read_rgb(folder / "rainy" / n), read_rgb(folder / "clean" / n)) for n in names]
    before = np.mean([psnr(rainy, clean) for rainy, clean in pairs])
    print(f"rainy input: {before:.2f} dB, {len(pairs)} pairs")
    for file, expected in EXPECTED.items():
        path = options.data / "peers" / file
        if options.only not in file:
            continue
        if not path.is_file():
            print(f"{file}: not there")
            continue
        restorer = derain.load(path, precision="f32", device="cpu")
        values = [psnr(restorer(rainy, tile="off"), clean) for rainy, clean in pairs]
        print(f"{file}: {np.mean(values):.2f} dB, expected of twenty {expected:.2f}", flush=True)


if __name__ == "__main__":
    main()
