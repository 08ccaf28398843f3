import time

import cv2
import numpy as np
import pytest
from skimage import data

from derain.rain import MIXTURES, PRESETS, RainSynthesizer


def per_second(preset: str, image: np.ndarray, count: int) -> float:
    """Images per second of processor time, which other programs do not disturb, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    synth = RainSynthesizer(preset)
    synth(image)
    start = time.process_time()
    for index in range(count):
        synth(image, index=index, full_size=(400, 600))
    cv2.setNumThreads(threads)
    return count / (time.process_time() - start)


@pytest.mark.parametrize("preset", [*PRESETS, *MIXTURES])
def test_fifty_patches_a_second(preset):
    assert per_second(preset, data.coffee()[:96, :96], 40) >= 50


def test_five_heavy_images_a_second():
    assert per_second("rain100h", data.coffee()[:321, :481], 8) >= 5
