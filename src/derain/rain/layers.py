"""Photographs of rain on black, which take part in synthetic rain."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.decode import read_rgb
from derain.io.pairs import find_images


def read_layers(place: Path) -> list[NDArray[Any]]:
    """The photographs in a folder as (h, w) grey uint8, for ``RainSynthesizer(layers=...)``.

    Raises:
        ImageError: No such folder, no image in it, or one that cannot be decoded; names it.
    """
    files = sorted(find_images(place, recursive=True))
    return [cv2.cvtColor(read_rgb(file), cv2.COLOR_RGB2GRAY).astype(np.uint8) for file in files]
