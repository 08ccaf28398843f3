"""Rain that was edited: how much of it a network takes away after sharpening, contrast and JPEG.

    python -m benchmarks.edited_rain ../shared/data/train                 # the default network
    python -m benchmarks.edited_rain ../shared/data/train MODEL [MODEL ...]

Vertical streaks are drawn on the middle 640x640 of the large photographs that
`recipes/nafnet-small.toml` keeps for validation; then rainy and clean image are edited alike. Each
cell is the share of the rain that is gone (the projection of what the network took away on the
rain, 1 is all of it) and the PSNR in RGB, f32. The last column has the thin rain in a quarter of
the image alone, as before a dark wall in a photograph.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.photo_rain import SIZE, validation_pairs
from derain.data.crops import center_crop
from derain.rain import blending, streaks
from derain.rain.arrays import ImageF, Layer, Size
from derain.rain.editing import sharpened
from derain.rain.realistic import jpeg
from derain.rain.streaks import StreakGroup
from derain.restore import load
from derain.weights.catalog import DEFAULT

Edit = Callable[[ImageF], ImageF]


def contrasted(image: ImageF, gain: float) -> ImageF:
    """The image with `gain` times the contrast."""
    return np.clip(0.5 + np.float32(gain) * (image - 0.5), 0, 1)


EDITS: dict[str, Edit] = {
    "as drawn": lambda x: x,
    "contrast 1.4": lambda x: contrasted(x, 1.4),
    "JPEG 75": lambda x: jpeg(x, 75),
    "JPEG 80, then 70": lambda x: jpeg(jpeg(x, 80), 70),
    "sharpened by 0.8": lambda x: sharpened(x, 0.8, 1.0),
    "sharpened by 0.8, radius 1.6": lambda x: sharpened(x, 0.8, 1.6),
    "sharpened by 2": lambda x: sharpened(x, 2.0, 1.0),
}
# Width and length in px, peak, mean of the layer
RAIN = {
    "thin": (1.2, 25, 0.5, 0.03),
    "thin, bright, sparse": (1.0, 20, 0.9, 0.01),
    "dense": (1.2, 40, 0.3, 0.12),
    "wider": (2.5, 60, 0.4, 0.05),
    "thin, in a quarter": (1.2, 25, 0.5, 0.03),
}


def rainy(clean: ImageF, kind: str, index: int) -> ImageF:
    """The image (H, W, 3) in [0, 1] under rain of this kind."""
    width, length, peak, mean = RAIN[kind]
    group = StreakGroup(
        density=0, angle=90, length=length, width=width, peak=peak,
        angle_sd=1.0, length_sd=0.45, peak_sd=0.5, blur=0.2 * width,
    )  # fmt: skip
    rng = np.random.default_rng(index)
    layer = streaks.render_reduced(streaks.with_mean(group, mean), clean.shape[:2], rng)
    if kind.endswith("in a quarter"):
        layer *= quarter(clean.shape[:2], index)
    return blending.over(clean, np.minimum(layer, 1), np.full(3, 0.9, np.float32))


def quarter(size: Size, index: int) -> Layer:
    """1 in a quarter of the image, elsewhere 0, with soft borders: (H, W)."""
    mask = np.zeros(size, np.float32)
    height, width = size[0] // 2, size[1] // 2
    top, left = 53 * index % height, 97 * index % width
    mask[top : top + height, left : left + width] = 1
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 20), np.float32)


def main() -> None:
    """Print one table for each network."""
    pairs = [center_crop(p, SIZE) for p in validation_pairs(Path(sys.argv[1]))["backgrounds_large"]]
    images = [pair.clean.astype(np.float32) / 255 for pair in pairs]
    for name in sys.argv[2:] or [DEFAULT]:
        restorer = load(name, precision="f32")
        print(f"\n| `{name}`: share gone, PSNR |", " | ".join(RAIN), "|")
        print("|---" * (1 + len(RAIN)) + "|")
        for edit, apply in EDITS.items():
            cells = []
            for kind in RAIN:
                gone, error = [], []
                for index, clean in enumerate(images):
                    before, target = apply(rainy(clean, kind, index)), apply(clean)
                    pixels = (255 * before).round().astype(np.uint8)
                    after = restorer(pixels).astype(np.float32) / 255
                    rain = before - target
                    gone.append(np.vdot(rain, before - after) / np.vdot(rain, rain))
                    error.append(-10 * np.log10(np.mean((after - target) ** 2)))
                cells.append(f"{np.mean(gone):.0%}, {np.mean(error):.1f}")
            print(f"| {edit} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
