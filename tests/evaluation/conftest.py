"""A small world: a set of four pairs, and models that count how often they are asked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from derain.engines import Batch, Choice
from derain.evaluation.models import EvaluationModel
from derain.restore import Restorer
from derain.weights.record import Record

SHARED = Path(__file__).resolve().parents[2].parent / "shared"  # third-party data, never ours


@pytest.fixture
def shared() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no data at {SHARED}")
    return SHARED


@dataclass
class Halfway:
    """An engine that removes a fraction of what lies above its threshold, and counts its calls."""

    record: Record
    fraction: float = 0.5
    fail_at: int | None = None  # the call at which it is interrupted
    calls: int = 0
    name: str = "fake"
    device: str = "CPU"
    precision: str = "f32"
    loaded: list[bool] = field(default_factory=list)

    def __call__(self, batch: Batch) -> Batch:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return batch - np.float32(self.fraction) * np.maximum(batch - np.float32(0.7), 0)

    def restorer(self) -> Restorer:
        self.loaded.append(True)
        return Restorer(self, Choice("openvino", "cpu", "a test"))


@pytest.fixture
def engine() -> Halfway:
    return Halfway(Record("half", "prenet", parameters=168_963, gmacs=198.7))


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., EvaluationModel]:
    """A model of an engine; equal names are equal files, so share a cache."""

    def make(engine: Halfway, name: str = "half") -> EvaluationModel:
        path = tmp_path / f"{name}.onnx"
        path.write_text(name)
        return EvaluationModel(name, path, engine.restorer, "fake cpu f32")

    return make


def save(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with Rain100H: four pairs of 64x48, white streaks, more of them in each."""
    photo = data.astronaut()
    rng = np.random.default_rng(0)
    for n in range(1, 5):
        clean = np.ascontiguousarray(photo[48 * n : 48 * n + 48, 100:164])
        rainy = clean.copy()
        for x in rng.integers(0, 62, 3 * n):
            rainy[:, x : x + 2] = np.maximum(rainy[:, x : x + 2], 230)
        save(tmp_path / "world" / "Rain100H" / "rainy" / f"{n}.png", rainy)
        save(tmp_path / "world" / "Rain100H" / "clean" / f"{n}.png", clean)
    return tmp_path / "world"
