"""Make the images of the README: synthetic rain on public-domain photographs, and what is left.

    python examples/make_images.py

The photographs come inside scikit-image: chelsea (Stéfan van der Walt, CC0), rocket (SpaceX,
public domain) and coffee (Rachel Michetti, CC0).
"""

from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

import derain
from derain.rain import RainSynthesizer

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = (  # image, preset, index of the rain
    (data.chelsea()[:300, :440], "rain100h", 3),
    (data.rocket()[:, 100:540], "rain1400", 1),
    (data.coffee()[20:380, 100:540], "rain100l", 2),
)


def main() -> None:
    """Write examples/rainy.jpg and docs/images/before-after.jpg."""
    restorer = derain.load(device="cpu", precision="f32")
    columns = []
    for i, (clean, preset, index) in enumerate(SAMPLES):
        rainy = RainSynthesizer(preset, seed=2026)(np.ascontiguousarray(clean), index=index).rainy
        if i == 0:
            Image.fromarray(rainy).save(ROOT / "examples" / "rainy.jpg", quality=92)
        both = [Image.fromarray(p).resize((440, 300)) for p in (rainy, restorer(rainy))]
        columns.append(np.vstack([np.asarray(image) for image in both]))
    sheet = Image.fromarray(np.hstack(columns))
    sheet.save(ROOT / "docs" / "images" / "before-after.jpg", quality=90)


if __name__ == "__main__":
    main()
