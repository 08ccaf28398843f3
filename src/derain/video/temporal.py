"""Neighbouring frames help each other: rain is elsewhere in the next frame.

Two frames before and two after are moved onto each frame by optical flow (DIS, Kroeger et al.,
ECCV 2016), found between the network's results, in which no rain misleads it. Then

1. the results are averaged, each pixel by how well it fits and by how little rain the network took
   away there, since what was not rain is known best;
2. where the rainy frames themselves agree, nothing fell, whatever the network says: there the
   second darkest of them is what was photographed, with the texture that the network takes away.

What does not fit, such as what moves too fast or lies behind a cut, is left to the frame alone.
`benchmarks/video.py` measures it; the numbers below were chosen there, on training photographs.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.video.clip import Frame
from derain.video.planes import RGB

CONTEXT = 2  # frames before and after that a result depends on, and so the latency
FIT_AROUND, AROUND = 0.04, 15  # difference in [0, 1] and window in px: is this the same place?
FIT_HERE, HERE = 0.08, 3  # and is the same thing there? it keeps small fast objects sharp
FEW_RAIN = 0.05  # amount of rain that halves the trust in a result
AGREE = 0.03  # difference of rainy frames that nothing fell between
FITS = 0.5  # weight from which a rainy neighbour has a say

Item = TypeVar("Item")
Plane = NDArray[Any]  # (H, W) float32
Pair = tuple[RGB, RGB]  # a rainy frame and the network's result, (H, W, 3) in [0, 1]


@dataclass(frozen=True)
class Shot:
    """A frame on its way.

    Attributes:
        frame: As it was decoded.
        rainy: (H, W, 3) in [0, 1], upright.
        clean: The same without rain; None where the frame is copied through.
    """

    frame: Frame
    rainy: RGB
    clean: RGB | None = None


def fused(shots: Iterable[Shot]) -> Generator[Shot]:
    """The shots, each helped by its neighbours; broken ones neither help nor are helped."""
    for before, shot, after in _windows(shots):
        if shot.clean is None:
            yield shot
            continue
        near = [(s.rainy, s.clean) for s in (*before, *after) if s.clean is not None]
        yield replace(shot, clean=fuse_one((shot.rainy, shot.clean), near))


def fuse(pairs: Iterable[Pair]) -> Iterator[RGB]:
    """Rainy frames and the network's results -> better results, `CONTEXT` frames later."""
    for before, pair, after in _windows(pairs):
        yield fuse_one(pair, [*before, *after])


def fuse_one(pair: Pair, neighbours: Iterable[Pair]) -> RGB:
    """One frame with the help of others, in any order.

    Args:
        pair: The rainy frame and the network's result, (H, W, 3) float32 in [0, 1].
        neighbours: The same of frames near it.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    rainy, clean = pair
    grey = _grey(clean)
    trust = _trust(rainy, clean)
    total, weights = clean * trust[..., None], trust
    darkest = [rainy]
    for other_rainy, other_clean in neighbours:
        if other_clean.shape != clean.shape:
            continue
        where = _grid(grey.shape) + _flow(grey, _grey(other_clean))
        moved = _moved(other_clean, where)
        fits = _fit(moved, clean) * _inside(where)
        weight = fits * _moved(_trust(other_rainy, other_clean), where, cv2.INTER_LINEAR)
        total, weights = total + moved * weight[..., None], weights + weight
        # What does not fit becomes the brightest, so that the frames do not agree there.
        other = _moved(other_rainy, where)
        other[fits <= FITS] = 2
        darkest = _three_darkest(darkest, other)
    result = total / weights[..., None]
    if len(darkest) < 3:
        return result
    spread = cv2.blur(_largest(darkest[2] - darkest[0]), (3, 3))
    dry = np.exp(-np.square(spread / AGREE))[..., None]
    return np.clip(result + dry * (darkest[1] - result), 0, 1)


def _windows(items: Iterable[Item]) -> Iterator[tuple[list[Item], Item, list[Item]]]:
    """Each item with up to `CONTEXT` before it and after it."""
    window: deque[Item] = deque(maxlen=2 * CONTEXT + 1)
    at = 0  # the next item to give, in the window
    for item in items:
        if len(window) == window.maxlen:
            at -= 1
        window.append(item)
        if len(window) - at > CONTEXT:
            yield list(window)[max(at - CONTEXT, 0) : at], window[at], list(window)[at + 1 :]
            at += 1
    while at < len(window):
        yield list(window)[max(at - CONTEXT, 0) : at], window[at], list(window)[at + 1 :]
        at += 1


def _three_darkest(sorted_: list[RGB], new: RGB) -> list[RGB]:
    """The darkest three of up to four, channel by channel, the darkest first."""
    found: list[RGB] = []
    for image in sorted_:
        found.append(np.minimum(image, new))
        new = np.maximum(image, new)
    return [*found, new][:3]


def _largest(image: RGB) -> Plane:
    """The largest channel of each pixel, which OpenCV finds faster than NumPy."""
    red, green, blue = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(red, green), blue), np.float32)


def _fit(moved: RGB, clean: RGB) -> Plane:
    """How well a neighbour fits, 0..1."""
    difference = cv2.transform(cv2.absdiff(moved, clean), np.full((1, 3), 1 / 3))
    around = cv2.blur(difference, (AROUND, AROUND)) / FIT_AROUND
    here = cv2.blur(difference, (HERE, HERE)) / FIT_HERE
    return np.exp(-np.square(around) - np.square(here))


def _trust(rainy: RGB, clean: RGB) -> Plane:
    """How much a result counts: less where the network took much away."""
    return 1 / np.square(FEW_RAIN + _largest(cv2.absdiff(rainy, clean)))


def _moved(image: NDArray[Any], where: NDArray[Any], method: int = cv2.INTER_LANCZOS4) -> Any:
    """The image as it lies on the frame, to which each pixel comes from `where`."""
    # OpenCV's type stubs ask for a second map, and there is none where the first holds x and y.
    remap: Any = cv2.remap
    moved = remap(image, where, None, method, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved, 0, 1) if method == cv2.INTER_LANCZOS4 else moved


def _inside(where: NDArray[Any]) -> Plane:
    """1 where a position lies in the image, else 0."""
    height, width = where.shape[:2]
    x, y = where[..., 0], where[..., 1]
    return ((x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)).astype(np.float32)


def _grid(shape: tuple[int, ...]) -> NDArray[Any]:
    """(H, W, 2) position of each pixel."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), -1).astype(np.float32)


def _flow(grey: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 2) from each pixel to where it lies in the other frame."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return flow.calc(grey, other, np.zeros((*grey.shape, 2), np.float32))


def _grey(image: RGB) -> NDArray[Any]:
    """(H, W) uint8, as the flow takes it."""
    return cv2.cvtColor((image * 255 + 0.5).astype(np.uint8), cv2.COLOR_RGB2GRAY)
