"""What comes out of detectors: one function per kind of output, and the table of kinds.

YOLOX (Ge et al., arXiv 2107.08430), NanoDet (RangiLyu/nanodet), FastestDet (dog-qiuqiu/FastestDet),
and any exported model that suppresses doubles itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derain.downstream.fitting import Fit

Array = NDArray[Any]


@dataclass(frozen=True)
class Raw:
    """Candidates in the pixels of the detector's input; classes count from 0."""

    boxes: NDArray[np.float32]  # (n, 4)
    scores: NDArray[np.float32]  # (n,)
    classes: NDArray[np.int64]  # (n,)
    count: int | None = None  # how many classes the detector has; None where it does not say


# (outputs, height and width of the input, lowest score) -> candidates
Decode = Callable[[Sequence[Array], tuple[int, int], float], Raw]


@dataclass(frozen=True)
class DetectorFormat:
    """How a kind of detector takes images and gives boxes."""

    about: str
    decode: Decode
    fit: Fit
    order: str  # of the colours: "bgr" or "rgb"
    mean: tuple[float, float, float] = (0, 0, 0)  # in that order, of values 0 to 255
    std: tuple[float, float, float] = (1, 1, 1)
    suppression: float | None = None  # IoU; None: the model suppresses doubles itself
    floor: float = 0.01  # lowest score


def yolox(outputs: Sequence[Array], size: tuple[int, int], floor: float) -> Raw:
    """(1, cells, 5 + classes): offsets, logarithms of sizes in strides, objectness, classes."""
    (rows,) = outputs[0]
    grids, strides = _cells(size, (8, 16, 32))
    centre = (rows[:, :2] + grids) * strides
    half = np.exp(rows[:, 2:4]) * strides / 2
    boxes = np.hstack([centre - half, centre + half])
    scores = rows[:, 4:5] * rows[:, 5:]
    cell, kind = np.nonzero(scores > floor)  # a cell may have several classes
    return _raw(boxes[cell], scores[cell, kind], kind, scores.shape[1])


def fastestdet(outputs: Sequence[Array], size: tuple[int, int], floor: float) -> Raw:
    """(1, 5 + classes, rows, columns): objectness, box within the image, classes."""
    height, width = size
    (planes,) = outputs[0]
    rows, columns = planes.shape[1:]
    y, x = np.mgrid[:rows, :columns]
    centre_x = (np.tanh(planes[1]) + x) / columns * width
    centre_y = (np.tanh(planes[2]) + y) / rows * height
    half_w, half_h = _sigmoid(planes[3]) * width / 2, _sigmoid(planes[4]) * height / 2
    corners = (centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h)
    boxes = np.stack(corners, axis=-1).reshape(-1, 4)
    scores = (planes[0] ** 0.6 * planes[5:].max(axis=0) ** 0.4).ravel()
    kept = scores > floor
    classes = planes[5:].argmax(axis=0).ravel()
    return _raw(boxes[kept], scores[kept], classes[kept], len(planes) - 5)


def nanodet(outputs: Sequence[Array], size: tuple[int, int], floor: float) -> Raw:
    """Per stride class scores (cells, classes) and distances (cells, 4 * bins), in any order.

    A distance to a side is the mean of its bins' numbers under their softmax, in strides.
    """
    flat = [output.reshape(-1, output.shape[-1]) for output in outputs]
    width = min(output.shape[1] for output in flat if output.shape[1] % 4 == 0)
    distances = sorted((o for o in flat if o.shape[1] == width), key=len, reverse=True)
    scores = sorted((o for o in flat if o.shape[1] != width), key=len, reverse=True)
    boxes: list[Array] = []
    for stride, distance in zip((8, 16, 32, 64), distances, strict=False):
        grid, _ = _cells(size, (stride,))
        centre = grid * stride + 0.5 * (stride - 1)
        bins = distance.reshape(len(distance), 4, -1)
        bins = np.exp(bins - bins.max(axis=2, keepdims=True))
        bins /= bins.sum(axis=2, keepdims=True)
        reach = (bins * np.arange(bins.shape[2])).sum(axis=2) * stride
        boxes.append(np.hstack([centre - reach[:, :2], centre + reach[:, 2:]]))
    every = np.vstack(scores)
    cell, kind = np.nonzero(every > floor)
    return _raw(np.vstack(boxes)[cell], every[cell, kind], kind, every.shape[1])


def xyxy(outputs: Sequence[Array], size: tuple[int, int], floor: float) -> Raw:
    """Boxes (n, 4), scores (n,) and whole-number labels (n,) of a model that ends in an NMS.

    Raises:
        ValueError: The outputs are not these three.
    """
    boxes = next((o.reshape(-1, 4) for o in outputs if o.ndim > 1 and o.shape[-1] == 4), None)
    labels = next((o.reshape(-1) for o in outputs if o.dtype.kind in "iu"), None)
    lines = [o.reshape(-1) for o in outputs if o.ndim == 1 or (o.ndim == 2 and len(o) == 1)]
    scores = next((o for o in lines if o.dtype.kind == "f"), None)
    if boxes is None or labels is None or scores is None:
        shapes = ", ".join(f"{o.dtype} {o.shape}" for o in outputs)
        raise ValueError(f"expected boxes (n, 4), scores (n,) and labels (n,), it gives {shapes}")
    kept = scores > floor
    return _raw(boxes[kept], scores[kept], labels[kept], None)


FORMATS: dict[str, DetectorFormat] = {
    "yolox": DetectorFormat("YOLOX", yolox, "top-left", "bgr", suppression=0.65),
    "nanodet": DetectorFormat(
        "NanoDet", nanodet, "centre", "bgr",
        (103.53, 116.28, 123.675), (57.375, 57.12, 58.395), suppression=0.6,
    ),
    "fastestdet": DetectorFormat(
        "FastestDet", fastestdet, "stretch", "bgr", std=(255, 255, 255), suppression=0.45
    ),
    "xyxy": DetectorFormat(
        "an exported model with its own suppression: boxes, scores and labels from RGB in [0, 1]",
        xyxy, "stretch", "rgb", std=(255, 255, 255),
    ),
}  # fmt: skip


def _cells(size: tuple[int, int], strides: Sequence[int]) -> tuple[Array, Array]:
    """Column and row of each cell (n, 2), and its stride (n, 1); rows from the top, x fastest."""
    grids, each = [], []
    for stride in strides:
        y, x = np.mgrid[: -(-size[0] // stride), : -(-size[1] // stride)]
        grids.append(np.stack([x.ravel(), y.ravel()], axis=1))
        each.append(np.full((x.size, 1), stride))
    return np.vstack(grids), np.vstack(each)


def _sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))


def _raw(boxes: Array, scores: Array, classes: Array, count: int | None) -> Raw:
    return Raw(boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64), count)
