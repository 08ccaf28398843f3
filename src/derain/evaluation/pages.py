"""What the HTML pages share: templates, and images inside the page."""

import base64
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.evaluation.cache import Cache, Key
from derain.evaluation.models import EvaluationModel
from derain.io.decode import DecodedImage, read_rgb
from derain.io.encode import encode_pixels, write_image


def require() -> None:
    """Fail before the work, not after it, where pages cannot be made.

    Raises:
        ImportError: Jinja2 is not installed.
    """
    _environment()


def template(name: str) -> Any:
    """A Jinja2 template, ``report.html.jinja`` for example.

    Raises:
        ImportError: Jinja2 is not installed.
    """
    return _environment().get_template(name)


def _environment() -> Any:
    try:
        import jinja2
    except ModuleNotFoundError:
        raise ImportError("the HTML report needs `pip install derain[eval]`") from None

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _source(name: str) -> str:
    """A file of a page; the slider is the one of `derain serve`'s page."""
    rooms = {"slider": "serve/page", "study": "study", "downstream": "downstream"}
    room = rooms.get(name.partition(".")[0], "evaluation")
    return resources.files("derain").joinpath(room, name).read_text("utf-8")


def restored(
    model: EvaluationModel, cache: Cache, key: Key, rainy: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """A restored image (H, W, 3), from beside the cache, or computed and put there."""
    path = cache.example(key)
    try:
        return read_rgb(path)
    except ValueError:  # not there yet, or damaged
        image = model(rainy)
        write_image(path, DecodedImage(image, "PNG"))
        return image


def data_url(image: NDArray[np.uint8], quality: int) -> str:
    """An image (H, W, 3) as a data: URL of WebP at a quality in 1..100."""
    data = encode_pixels(image, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(data).decode()
