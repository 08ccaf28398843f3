"""Images and parameter files that the tests of the metrics share."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

SHARED = Path(__file__).resolve().parents[2].parent / "shared"  # third-party data, never ours


@pytest.fixture(scope="session")
def shared() -> Path:
    if not (SHARED / "data" / "test" / "rain100h").is_dir():
        pytest.skip(f"the reference images are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def iqa(shared: Path) -> Path:
    return shared / "data" / "iqa"


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A photograph of 200x195 pixels (width x height): two NIQE blocks wide, odd in height."""
    return data.astronaut()[:195, 100:300].copy()


@pytest.fixture(scope="session")
def noisy(photo: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The photograph under noise of 5, 20 and 60 grey levels."""
    noise = np.random.default_rng(0).standard_normal(photo.shape)
    return [np.clip(photo + sigma * noise, 0, 255).astype(np.uint8) for sigma in (5, 20, 60)]
