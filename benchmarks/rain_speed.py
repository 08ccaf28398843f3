"""Speed of every rain preset on one core, as a Markdown table.

    python -m benchmarks.rain_speed

Counts processor time, which other programs on the machine do not lengthen much. The command ends
with exit code 1 and names the presets that are slower than training needs.
"""

import sys
import time

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from derain.rain import MIXTURES, PRESETS, RainSynthesizer

LEAST_PATCHES = 50  # a second, for every preset
LEAST_IMAGES = {"rain100h": 5}  # a second


def per_second(preset: str, image: NDArray[np.uint8], count: int) -> float:
    """Rainy images per second of processor time."""
    synth = RainSynthesizer(preset)
    synth(image)
    start = time.process_time()
    for index in range(count):
        synth(image, index=index, full_size=(400, 600))
    return count / (time.process_time() - start)


def main() -> None:
    """Print the table, and exit with 1 if a preset is too slow."""
    cv2.setNumThreads(1)
    whole = data.coffee()[:321, :481]
    patch = np.ascontiguousarray(whole[100:196, 100:196])
    slow = []
    print("| Preset | 96x96 patches a second | 481x321 images a second |\n|---|---|---|")
    for preset in [*PRESETS, *MIXTURES]:
        patches, images = per_second(preset, patch, 200), per_second(preset, whole, 40)
        print(f"| `{preset}` | {patches:.0f} | {images:.0f} |")
        if patches < LEAST_PATCHES or images < LEAST_IMAGES.get(preset, 0):
            slow.append(preset)
    if slow:
        sys.exit(f"error: too slow for training: {', '.join(slow)}")


if __name__ == "__main__":
    main()
