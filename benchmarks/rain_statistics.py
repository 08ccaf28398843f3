r"""Statistics of synthetic heavy rain beside those of Rain100H, as a Markdown table.

    python -m benchmarks.rain_statistics ../shared/data/test/rain100h/clean
    python -m benchmarks.rain_statistics ../shared/data/train/clean --pattern "bsds_*" --count 50 \
        --seed 1001

With --rainy ../shared/data/test/rain100h/rainy it measures the real pairs; with --scores it prints
PSNR and SSIM of the input for every preset, beside the prototype's that the specification states.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.metrics import psnr, ssim
from derain.metrics.colour import gray_uint8
from derain.metrics.ssim import ssim_map
from derain.rain import RainSynthesizer
from derain.rain.acceptance import markdown, measure

# Preset -> PSNR and SSIM, full-range grey, of 50 other images (specification, section 7).
PROTOTYPE = {
    "rain100l": (26.6, 0.857),
    "rain1400": (25.7, 0.826),
    "rain1200-light": (28.6, 0.888),
    "rain1200-medium": (22.4, 0.760),
    "rain1200-heavy": (17.6, 0.619),
    "photoshop-heavy": (14.7, 0.614),
    "real": (19.3, 0.82),
    "real-night": (11.7, 0.51),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clean", type=Path, help="folder of clean images")
    parser.add_argument("--rainy", type=Path, help="measure these instead of making rain")
    parser.add_argument("--preset", default="rain100h")
    parser.add_argument("--pattern", default="*")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the first image; then one more")
    parser.add_argument("--scores", action="store_true", help="all presets, PSNR and SSIM")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(args.clean.glob(args.pattern))[: args.count]
    if args.scores:
        print(scores(files))
        return

    def pairs() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        for seed, file in enumerate(files, start=args.seed):
            clean = read(file)
            if args.rainy:
                yield read(args.rainy / file.name), clean
            else:
                yield RainSynthesizer(args.preset, seed=seed)(clean).rainy, clean

    print(markdown(measure(pairs())))


def scores(files: list[Path]) -> str:
    """A Markdown table of input scores; the photograph as it was given is the reference."""
    lines = ["| Preset | Prototype | Ours, grey | Ours, `y` |", "|---|---|---|---|"]
    for name, (proto_psnr, proto_ssim) in PROTOTYPE.items():
        changes = {"night_probability": 0} if name == "real" else None
        grey, y = [], []
        for seed, file in enumerate(files, start=1):
            clean = read(file)
            rainy = RainSynthesizer(name, changes, seed, "clean")(clean).rainy
            a, b = (gray_uint8(image).astype(float) for image in (rainy, clean))
            grey.append((10 * np.log10(255**2 / np.mean((a - b) ** 2)), ssim_map(a, b).mean()))
            y.append((psnr(rainy, clean), ssim(rainy, clean)))
        ours = " | ".join("{:.1f} / {:.3f}".format(*np.mean(v, axis=0)) for v in (grey, y))
        lines.append(f"| `{name}` | {proto_psnr} / {proto_ssim:.3f} | {ours} |")
    return "\n".join(lines)


def read(path: Path) -> NDArray[np.uint8]:
    """An image as (H, W, 3) uint8."""
    return np.array(Image.open(path).convert("RGB"))


if __name__ == "__main__":
    main()
