"""The blind page: photographs without ground truth, judged by eye while the names are hidden.

Metrics without a reference say little about rain, so people have to look. One HTML file holds the
photographs and every model's output. It shows the outputs unnamed, in an order of its own for each
photograph, keeps the choices in the browser, and names the models with the counts at the end.
"""

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.data.layouts import Found
from derain.evaluation.cache import Cache, Key, Note, content_of
from derain.evaluation.models import EvaluationModel
from derain.evaluation.pages import data_url, restored, template
from derain.evaluation.sets import read_pair
from derain.io.pairs import PairPath

FILE = "blind.html"
LONGEST = 1024  # pixels of an image's longer side on the page; larger ones are reduced
QUALITY = 90  # of its WebP images
MOST_MODELS = 9  # as many as there are digits on a keyboard


@dataclass(frozen=True)
class Photograph:
    """A photograph on the page, with every model's output."""

    name: str  # set and file: "real147/12"
    width: int  # pixels, on the page
    height: int
    rainy: str  # a data: URL, as the outputs
    outputs: tuple[str, ...]  # in the order of the models


def photographs(sets: Sequence[Found], count: int) -> list[tuple[Found, PairPath]]:
    """Draw photographs from the sets without ground truth: the same ones every time.

    Args:
        sets: The sets, with or without ground truth.
        count: How many to draw; all of them if there are fewer.

    Raises:
        ValueError: No set is without ground truth.
    """
    every = [(found, item) for found in sets if not found.has_truth for item in found.items]
    if not every:
        raise ValueError("a blind comparison needs a set of photographs without ground truth")
    return random.Random(0).sample(every, min(count, len(every)))


def check_models(models: Sequence[EvaluationModel]) -> None:
    """Check that as many models are compared as the page can show.

    Raises:
        ValueError: Fewer than two models, or more than ``MOST_MODELS``.
    """
    if not 2 <= len(models) <= MOST_MODELS:
        raise ValueError(f"a blind comparison takes 2 to {MOST_MODELS} models: {len(models)}")


def render(
    models: Sequence[EvaluationModel],
    shown: Sequence[tuple[Found, PairPath]],
    folder: Path,
    *,
    note: Note = lambda text: None,
    advance: Callable[[], None] = lambda: None,
) -> str:
    """Make the page.

    Args:
        models: The models; not the rainy input, which is always shown.
        shown: The photographs, of ``photographs``.
        folder: The cache's folder, where restored photographs are kept.
        note: Is told of what in the cache cannot be read.
        advance: Called after each photograph of each model.

    Returns:
        HTML that loads nothing from anywhere.

    Raises:
        ValueError: A photograph that cannot be read or restored, which is named.
        ImportError: Jinja2 is not installed.
    """
    every: list[Photograph] = []
    for found, item in shown:
        rainy, _ = read_pair(item)
        outputs: list[str] = []
        for model in models:
            cache = Cache(folder, model.sha256, found.name, note)
            key = Key(content_of(item), "", model.where)
            try:
                output = restored(model, cache, key, rainy)
            except ValueError as error:
                raise ValueError(f"{item.path}: {model.name}: {error}") from error
            outputs.append(data_url(_reduced(output), QUALITY))
            advance()
        small = _reduced(rainy)
        height, width = small.shape[:2]
        name = f"{found.name}/{item.name}"
        every.append(Photograph(name, width, height, data_url(small, QUALITY), tuple(outputs)))
    content = {
        "models": [model.name for model in models],
        "photographs": [asdict(photograph) for photograph in every],
    }
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return template("blind.html.jinja").render(content=content | {"id": digest[:16]})


def _reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image (H, W, 3) whose longer side is at most ``LONGEST``."""
    factor = LONGEST / max(image.shape[:2])
    if factor >= 1:
        return image
    height, width = (max(1, round(factor * side)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
