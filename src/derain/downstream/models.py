"""The model under test as the command line names it: an `.onnx` file, or a Python callable."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from derain.downstream.annotations import Boxes
from derain.downstream.onnx import OnnxDetector
from derain.io.formats import one_line

UNKNOWN = -1  # stands for a class that the annotations lack


def load_model(what: str, boxes: Boxes | None, labels: Path | None = None) -> Any:
    """Load a detector or a segmenter.

    Args:
        what: ``onnx:FILE:KIND`` with a key of ``decoders.FORMATS``, or
            ``python:FILE:FUNCTION[:ARGUMENT]``, where the function in that Python file returns
            the model. The file's code is run.
        boxes: The annotations of a detector.
        labels: A text file with the name of each class of an `.onnx` file, one a line; see
            ``category_ids``. None if its classes are the annotations' categories, in their order.

    Raises:
        ValueError: Neither, or it cannot be loaded; names it and says what is possible.
    """
    kind, _, rest = what.partition(":")
    if kind == "onnx" and boxes is None:
        raise ValueError(f"{what}: an .onnx segmenter needs a function around it: python:FILE:NAME")
    if kind == "onnx" and boxes is not None:
        file, colon, decoder = rest.rpartition(":")
        if not colon:
            raise ValueError(f"{what}: say what kind of detector it is: onnx:{rest}:yolox")
        ids = list(boxes.categories)
        if labels:
            ids = category_ids(labels.read_text("utf-8").splitlines(), boxes, labels)
        return OnnxDetector(Path(file), decoder, ids)
    if kind == "python":
        return _from_python(what, *rest.split(":", 2))
    raise ValueError(f"{what}: a model is onnx:FILE:KIND or python:FILE:FUNCTION[:ARGUMENT]")


def category_ids(names: Sequence[str], boxes: Boxes, source: Path) -> list[int]:
    """The category id of each class by its name; "-" is a class that the annotations lack.

    Raises:
        ValueError: A name that the annotations do not have; names it.
    """
    known = {name: number for number, name in boxes.categories.items()}
    ids: list[int] = []
    for line, name in enumerate((name.strip() for name in names), 1):
        if name not in known and name != "-":
            raise ValueError(
                f"{source}: line {line}: {name!r} is no category of {boxes.source}; write - for a "
                "class that it lacks"
            )
        ids.append(known.get(name, UNKNOWN))
    return ids


def _from_python(what: str, file: str, name: str = "", argument: str | None = None) -> Any:
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not name or spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"{what}: write python:FILE.py:FUNCTION, optionally with :ARGUMENT")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        make = getattr(module, name)
        model = make(argument) if argument is not None else make()
    except Exception as error:  # of any kind: the code is the user's
        raise ValueError(f"{path}: {name}: {one_line(error)}; --traceback shows more") from error
    if not callable(model) or not isinstance(getattr(model, "name", None), str):
        raise ValueError(f"{path}: {name} must return a callable that has a name")
    return model
