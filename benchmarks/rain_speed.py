"""Speed of every rain preset on one core, as a Markdown table.

    python -m benchmarks.rain_speed

Counts processor time, which other programs on the machine do not lengthen much.
"""

import time

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from derain.rain import MIXTURES, PRESETS, RainSynthesizer


def per_second(preset: str, image: NDArray[np.uint8], count: int) -> float:
    """Rainy images per second of processor time."""
    synth = RainSynthesizer(preset)
    synth(image)
    start = time.process_time()
    for index in range(count):
        synth(image, index=index, full_size=(400, 600))
    return count / (time.process_time() - start)


def main() -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    whole = data.coffee()[:321, :481]
    patch = np.ascontiguousarray(whole[100:196, 100:196])
    print("| Preset | 96x96 patches a second | 481x321 images a second |\n|---|---|---|")
    for preset in [*PRESETS, *MIXTURES]:
        patches, images = per_second(preset, patch, 200), per_second(preset, whole, 40)
        print(f"| `{preset}` | {patches:.0f} | {images:.0f} |")


if __name__ == "__main__":
    main()
