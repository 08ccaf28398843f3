"""Contact sheet: every preset on one image, so that a person can choose by looking."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from derain.rain.presets import MIXTURES, PRESETS
from derain.rain.synthesizer import RainSynthesizer

COLUMNS = 3
LABEL = 22  # px


def contact_sheet(image: NDArray[Any], seed: int = 0, width: int = 480) -> NDArray[np.uint8]:
    """Draw the clean image and one sample of every preset and mixture, labelled.

    Args:
        image: (H, W, 3) or (H, W) uint8.
        seed: Seed of the rain.
        width: Pixels of one cell. The image is reduced first and rained on then: rain that is
            reduced with its image is thinner than what a network would see.

    Returns:
        (rows * (h + 22), 3 * width, 3) uint8.
    """
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    cells = {"clean": small}
    for index, name in enumerate([*PRESETS, *MIXTURES]):
        # The nights of "real" are shown by "real-night".
        daytime = {"night_probability": 0} if name == "real" else None
        cells[name] = RainSynthesizer(name, daytime, seed)(small, index=index).rainy
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * (height + LABEL)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for i, (name, cell) in enumerate(cells.items()):
        x, y = i % COLUMNS * width, i // COLUMNS * (height + LABEL)
        sheet.paste(Image.fromarray(cell).convert("RGB"), (x, y + LABEL))
        pen.text((x + 6, y + 2), name, "black", font)
    return np.asarray(sheet)
