"""OnnxDetector: a detector from an `.onnx` file, run as its kind wants it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.downstream.decoders import FORMATS
from derain.downstream.fitting import fit, suppress
from derain.downstream.types import Detections
from derain.engines.onnxruntime import open_session
from derain.io.decode import Image8

MOST = 100  # detections per image, as COCO counts them


class OnnxDetector:
    """A detector run by onnxruntime on the CPU.

    Args:
        path: The `.onnx` file.
        kind: A key of ``FORMATS``.
        categories: The category ids of classes 0, 1, 2, ...; for the 80 classes of COCO the ids
            of its ``categories`` in their order. Below 0: detections of the class are left out.
        size: Height and width of the input; needed where the file leaves them open.
        threads: CPU threads; None leaves it to onnxruntime.
        **changes: Fields of ``DetectorFormat`` that this file needs otherwise: ``mean``, ``std``,
            ``order``, ``fit``, ``suppression``, ``floor``.

    Raises:
        ValueError: Unknown kind, or a file that cannot be loaded; names it.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        categories: Sequence[int],
        size: tuple[int, int] | None = None,
        threads: int | None = None,
        **changes: Any,
    ) -> None:
        if kind not in FORMATS:
            raise ValueError(f"unknown kind of detector {kind!r}; known: {', '.join(FORMATS)}")
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
        self.name = f"{path.name} ({kind})"
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.path, self.categories = path, np.asarray(categories, np.int64)
        self.format = replace(FORMATS[kind], **changes)
        self._session = open_session(path, threads=threads)
        image = self._session.get_inputs()[0]
        self._input = image.name
        self._batched = len(image.shape) == 4
        known = [side if isinstance(side, int) else 0 for side in image.shape[-2:]]
        self.size = size or (known[0], known[1])
        if len(image.shape) not in (3, 4) or min(self.size) < 1:
            raise ValueError(
                f"{path}: its input {image.shape} is no image of a fixed size; give the size"
            )

    def __call__(self, images: Sequence[Image8]) -> list[Detections]:
        """(H, W, 3) RGB uint8 -> at most 100 detections in each, the surest first.

        Raises:
            ValueError: The file is of another kind, or has other classes than the annotations;
                names it.
        """
        return [self._detect(image) for image in images]

    def _detect(self, image: Image8) -> Detections:
        how = self.format
        placed, placement = fit(image, *self.size, how.fit)
        colours = placed[..., ::-1] if how.order == "bgr" else placed
        values = (colours - np.asarray(how.mean, np.float32)) / np.asarray(how.std, np.float32)
        batch = np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)
        outputs = self._run(batch[None] if self._batched else batch)
        try:
            raw = how.decode(outputs, self.size, how.floor)
        except (ValueError, IndexError):
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise ValueError(
                f"{self.path}: its outputs {shapes} are not those of {how.about}; known kinds: "
                f"{', '.join(FORMATS)}"
            ) from None
        count, highest = len(self.categories), int(raw.classes.max(initial=-1))
        if (raw.count is not None and raw.count != count) or highest >= count:
            has = f"has {raw.count} classes" if raw.count is not None else f"gave class {highest}"
            raise ValueError(
                f"{self.path}: {has}, the annotations have {count} categories; say which category "
                "each class is"
            )
        boxes = placement.back(raw.boxes)
        kept = np.argsort(-raw.scores, kind="stable")
        if how.suppression is not None:
            kept = suppress(boxes, raw.scores, raw.classes, how.suppression)
        kept = kept[:MOST]
        labels = self.categories[raw.classes[kept]]
        known = labels >= 0
        return Detections(boxes[kept][known], raw.scores[kept][known], labels[known])

    def _run(self, batch: NDArray[np.float32]) -> list[NDArray[Any]]:
        try:
            return [np.asarray(o) for o in self._session.run(None, {self._input: batch})]
        except Exception as error:  # its exceptions share no other base
            raise ValueError(f"{self.path}: {str(error).splitlines()[0]}") from None
