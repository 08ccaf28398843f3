"""Section 10 of the specification: the statistics of synthetic rain beside Rain100H's."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from derain.rain import RainSynthesizer
from derain.rain.acceptance import ROWS, markdown, measure

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
CLEAN = SHARED / "data" / "test" / "rain100h" / "clean"


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


@pytest.mark.slow
@pytest.mark.skipif(not CLEAN.is_dir(), reason=f"needs the clean Rain100H images in {CLEAN}")
def test_rain100h_is_like_the_real_set():
    files = sorted(CLEAN.glob("*.png"))
    measured = measure(
        (RainSynthesizer("rain100h", seed=seed)(read(file)).rainy, read(file))
        for seed, file in enumerate(files, start=1)
    )
    assert len(files) == 100
    assert all(row.accepts(measured[row.name]) for row in ROWS), markdown(measured)


@pytest.mark.slow
@pytest.mark.skipif(not CLEAN.is_dir(), reason=f"needs the Rain100H pairs beside {CLEAN}")
def test_method_finds_the_published_statistics_of_the_real_pairs():
    files = sorted(CLEAN.glob("*.png"))
    measured = measure((read(CLEAN.parent / "rainy" / f.name), read(f)) for f in files)
    for row in ROWS:
        assert measured[row.name] == pytest.approx(row.real, rel=0.01, abs=0.001), row.name


@pytest.mark.slow
def test_shape_of_the_rain_is_like_the_real_set_without_any_image():
    """On a dark plane, so that it runs anywhere: directions, lengths and widths."""
    dark = np.full((320, 480, 3), 60, np.uint8)
    measured = measure((RainSynthesizer(seed=s)(dark).rainy, dark) for s in range(1, 41))
    shape = [r for r in ROWS if r.name.startswith(("coh", "ori", "angle", "corr", "run"))]
    assert len(shape) == 9
    assert all(row.accepts(measured[row.name]) for row in shape), markdown(measured)
