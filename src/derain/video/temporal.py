"""Neighbouring frames help each other: rain is elsewhere in the next frame.

Two frames before and two after are moved onto each frame by optical flow (DIS, Kroeger et al.,
ECCV 2016), found between the network's results, in which no rain misleads it. Then

1. the results are averaged, each pixel by how well it fits and by how little rain the network took
   away there, since what was not rain is known best;
2. where the rainy frames themselves agree, nothing fell, whatever the network says: there the
   frame itself is what was photographed, with the texture that the network takes away, or the
   second darkest of them where that is darker.

What does not fit, such as what moves too fast or lies behind a cut, is left to the frame alone. A
neighbour fits where it looks the same and where the flow there and back ends where it began, which
it does not where one thing hides another. `benchmarks/video.py` measures it; the numbers below were
chosen on its tuning scenes.

Neighbours are compared and moved in 8 bits, in strips that stay in the processor's cache. What
comes of it is a difference to the frame's own 8 bits, so finer levels of the frame itself survive.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.video.frames import Shot
from derain.video.planes import RGB

CONTEXT = 2  # frames before and after that a result depends on, and so the latency
FIT_AROUND, AROUND = 0.12, 15  # difference in [0, 1] and window in px: is this the same place?
FIT_HERE, HERE = 0.08, 3  # and is the same thing there? it keeps small fast objects sharp
FEW_RAIN = 0.05  # amount of rain that lowers the trust in a result to a sixteenth
AGREE = 0.04  # difference of rainy frames that nothing fell between
LEFT = 0.6  # part of the rain by which results may differ, since the network errs that much
MISS, MISS_AROUND = 0.7, 7  # px of the flow's round trip and window: is this how it moved?
FITS = 0.3  # weight from which a rainy neighbour has a say
FLOW_SIDE = 640  # px of the longer side at which flow is looked for
SMOOTH = 100.0  # of the flow; DIS's own 20 follows the rain that is left in the results
STRIP = 128  # rows
ZERO = 64  # stands for no rain where amounts of rain of both signs are held in 8 bits
FINER = 4  # differences are held this many times, since 8 bits are coarse for them

Item = TypeVar("Item")
Plane = NDArray[Any]  # (H, W) float32 or uint8
Place = tuple[NDArray[Any], Plane]  # (H, W, 2) where each pixel lies in another frame; trust, 0..1
Pair = tuple[RGB, RGB]  # a rainy frame and the network's result, (H, W, 3) in [0, 1]

_cv: Any = cv2  # OpenCV's type stubs know neither numbers as operands nor a missing second map
_LEVELS = np.arange(256, dtype=np.float32)


def _bell(width: float) -> NDArray[Any]:
    """Weight of each difference in 8 bits, held `FINER` times: 1 at none, 1/e at a width."""
    return np.exp(-np.square(_LEVELS / (255 * FINER * width))).astype(np.float32)


_BY_AROUND, _BY_HERE, _BY_SPREAD = _bell(FIT_AROUND), _bell(FIT_HERE), _bell(AGREE)
_BY_RAIN = ((FEW_RAIN / (FEW_RAIN + np.abs(_LEVELS - ZERO) / 255)) ** 4).astype(np.float32)


def fused(shots: Iterable[Shot]) -> Generator[Shot]:
    """The shots, each helped by its neighbours; broken ones neither help nor are helped."""
    pairs = ((s, None if s.clean is None else (s.rainy, s.clean)) for s in shots)
    for shot, clean in _fused(pairs):
        yield shot if clean is None else replace(shot, clean=clean)


def fuse(pairs: Iterable[Pair]) -> Iterator[RGB]:
    """Rainy frames and the network's results -> better results, `CONTEXT` frames later."""
    for _, clean in _fused((None, pair) for pair in pairs):
        assert clean is not None
        yield clean


@dataclass(frozen=True)
class _Motion:
    """The way from one frame to another.

    Attributes:
        flow: (h, w, 2) from each pixel to where it lies there.
        miss: (h, w) px between a pixel and the end of its way there and back.
    """

    flow: NDArray[Any]
    miss: Plane

    def then(self, other: "_Motion") -> "_Motion":
        """This way, and the other from its end."""
        place = self.flow + _grid(self.miss.shape)
        return _Motion(self.flow + _moved(other.flow, place), self.miss + _moved(other.miss, place))


class _View:
    """A frame as its neighbours need it, in 8 bits, and the flow to those beside it."""

    def __init__(self, pair: Pair) -> None:
        self.rainy, self.clean = (cv2.convertScaleAbs(image, alpha=255) for image in pair)
        grey = cv2.cvtColor(self.clean, cv2.COLOR_RGB2GRAY)
        rain = _cv.subtract(cv2.cvtColor(self.rainy, cv2.COLOR_RGB2GRAY), grey, dtype=cv2.CV_16S)
        self.rain = np.clip(rain + ZERO, 0, 255).astype(np.uint8)
        self.layers = cv2.merge([*cv2.split(self.clean), self.rain])
        self.small = _small(grey)
        self.to_last: _Motion | None = None  # at the size of `small`; None after a change of size
        self.to_next: _Motion | None = None


@dataclass
class _Entry(Generic[Item]):
    """What waits for its neighbours."""

    item: Item
    pair: Pair | None
    view: _View | None


def _fused(items: Iterable[tuple[Item, Pair | None]]) -> Iterator[tuple[Item, RGB | None]]:
    """Each item with the better result of its pair."""
    for before, entry, after in _windows(_entries(items)):
        result = None
        if entry.pair is not None and entry.view is not None:
            result = _fuse_one(entry.pair, entry.view, _neighbours(entry.view, before, after))
        item = entry.item
        del entry.item, entry.pair  # those that follow need the view alone
        yield item, result


def _entries(items: Iterable[tuple[Item, Pair | None]]) -> Iterator[_Entry[Item]]:
    """The items, each with its view and the flow to and from the one before."""
    last: _View | None = None
    for item, pair in items:
        if pair is None:
            yield _Entry(item, None, None)
            continue
        view = _View(pair)
        if last is not None and last.clean.shape == view.clean.shape:
            view.to_last, last.to_next = _motions(view.small, last.small)
        yield _Entry(item, pair, view)
        last = view


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


def _neighbours(
    view: _View, before: Sequence[_Entry[Any]], after: Sequence[_Entry[Any]]
) -> list[tuple[_View, _Motion]]:
    """The views near one, each with the way to it: from frame to frame, the nearest first."""
    found: list[tuple[_View, _Motion]] = []
    for side, back in ((reversed(before), True), (after, False)):
        here, motion = view, None
        for other in (entry.view for entry in side if entry.view is not None):
            step = here.to_last if back else here.to_next
            if step is None:
                break
            motion = step if motion is None else motion.then(step)
            found.append((other, motion))
            here = other
    return found


def _fuse_one(pair: Pair, view: _View, neighbours: list[tuple[_View, _Motion]]) -> RGB:
    """A frame with the help of others: (H, W, 3) float32 in [0, 1]."""
    height, width = view.rain.shape
    places = [(other, _place(motion, (height, width))) for other, motion in neighbours]
    result = np.empty_like(pair[1], np.float32)
    halo = AROUND // 2 + 1
    for top in range(0, height, STRIP):
        first, end = max(top - halo, 0), min(top + STRIP + halo, height)
        strip = _fuse_strip(pair, view, places, slice(first, end))
        rows = min(STRIP, height - top)
        result[top : top + rows] = strip[top - first : top - first + rows]
    return np.clip(result, 0, 1, out=result)


def _fuse_strip(pair: Pair, view: _View, places: list[tuple[_View, Place]], rows: slice) -> RGB:
    """Some rows of the result; those at the edges know too little of what is around."""
    clean = view.clean[rows]
    own, own_rainy = cv2.split(clean), cv2.split(view.rainy[rows])
    weights = cv2.LUT(view.rain[rows], _BY_RAIN)
    totals = [plane * weights for plane in own]
    darkest = [[plane] for plane in own_rainy]  # per channel up to three, the darkest first
    fitting = np.zeros(weights.shape, np.uint8)
    own_wet = _cv.absdiff(view.rain[rows], ZERO)
    for other, (place, trust) in places:
        *moved, rain = cv2.split(_moved(other.layers, place[rows], cv2.INTER_CUBIC))
        inside = _inside(place[rows], view.rain.shape)
        wet = _cv.add(own_wet, _cv.absdiff(rain, ZERO))
        fits = trust[rows] * _fit(cv2.absdiff(cv2.merge(moved), clean), wet, inside)
        weight = fits * cv2.LUT(rain, _BY_RAIN)
        weights += weight
        more, less = _cv.subtract(rain, ZERO), _cv.subtract(np.full_like(rain, ZERO), rain)
        unfit = _cv.compare(fits, FITS, cv2.CMP_LE)
        fitting = _cv.subtract(_cv.add(fitting, 1), _cv.min(unfit, 1))
        for total, three, plane in zip(totals, darkest, moved, strict=True):
            total += plane * weight
            # What does not fit becomes the brightest and so has no say.
            rainy = _cv.max(_cv.subtract(_cv.add(plane, more), less), unfit)
            _keep_darkest(three, rainy)
    dry = None
    if len(places) > 1:
        spreads = [_cv.subtract(three[2], three[0]) for three in darkest]
        spread = cv2.convertScaleAbs(_cv.max(_cv.max(*spreads[:2]), spreads[2]), alpha=FINER)
        dry = cv2.LUT(cv2.blur(spread, (3, 3)), _BY_SPREAD)
        dry *= _cv.min(_cv.compare(fitting, 2, cv2.CMP_GE), 1)
    planes: list[Plane] = []
    for k, (rainy, result) in enumerate(zip(*map(cv2.split, (p[rows] for p in pair)), strict=True)):
        result = result + (totals[k] / weights - own[k]) / np.float32(255)
        if dry is not None:
            darker = _cv.subtract(own_rainy[k], darkest[k][1])
            result += dry * (rainy - darker / np.float32(255) - result)
        planes.append(result)
    return cv2.merge(planes)


def _keep_darkest(three: list[Plane], new: Plane) -> None:
    """Sort a plane into up to three, of which each pixel keeps the darkest."""
    for k, plane in enumerate(three):
        three[k], new = _cv.min(plane, new), _cv.max(plane, new)
    if len(three) < 3:
        three.append(new)


def _fit(difference: NDArray[Any], wet: Plane, inside: Plane) -> Plane:
    """How well a neighbour fits, 0..1, by its difference and the rain of both, in 8 bits."""
    mean = cv2.transform(difference, np.full((1, 3), FINER / 3))
    around = cv2.blur(mean, (AROUND, AROUND))
    left = cv2.blur(cv2.convertScaleAbs(wet, alpha=FINER * LEFT), (HERE, HERE))
    here = _cv.subtract(cv2.blur(mean, (HERE, HERE)), left)
    here = _cv.max(here, cv2.bitwise_not(inside))
    return cv2.LUT(around, _BY_AROUND) * cv2.LUT(here, _BY_HERE)


def _inside(place: NDArray[Any], shape: tuple[int, ...]) -> Plane:
    """255 where a position lies in an image of a shape, else 0."""
    height, width = shape
    return _cv.inRange(place, (0.0, 0.0, 0.0, 0.0), (width - 1.0, height - 1.0, 0.0, 0.0))


def _moved(image: NDArray[Any], place: NDArray[Any], method: int = cv2.INTER_LINEAR) -> Any:
    """The image as it lies on the frame, to which each pixel comes from `place`."""
    return _cv.remap(image, place, None, method, borderMode=cv2.BORDER_REPLICATE)


def _place(motion: _Motion, shape: tuple[int, int]) -> Place:
    """Where each pixel of a frame of a shape lies in the other, and how sure that is."""
    flow, (height, width) = motion.flow, shape
    trust = cv2.exp(-np.square(motion.miss / np.float32(MISS)))
    trust = cv2.erode(trust, np.ones((MISS_AROUND, MISS_AROUND), np.uint8))
    if flow.shape[:2] != shape:
        scale = (width / flow.shape[1], height / flow.shape[0], 0.0, 0.0)
        flow = cv2.resize(_cv.multiply(flow, scale), (width, height))
        trust = cv2.resize(trust, (width, height))
    return flow + _grid(shape), trust


@lru_cache(maxsize=2)
def _grid(shape: tuple[int, ...]) -> NDArray[Any]:
    """(H, W, 2) position of each pixel."""
    return np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), -1).astype(np.float32)


def _small(grey: NDArray[Any]) -> NDArray[Any]:
    """(H, W) uint8 at the size at which flow is looked for."""
    height, width = grey.shape
    factor = max(round(max(height, width) / FLOW_SIDE), 1)
    size = (-(-width // factor), -(-height // factor))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if factor > 1 else grey


def _motions(grey: NDArray[Any], other: NDArray[Any]) -> tuple[_Motion, _Motion]:
    """The ways from one frame to another and back, by what `_small` made of them."""
    there, back = _flow(grey, other), _flow(other, grey)
    return _Motion(there, _miss(there, back)), _Motion(back, _miss(back, there))


def _miss(there: NDArray[Any], back: NDArray[Any]) -> Plane:
    """(h, w) px between each pixel and the end of its way there and back."""
    gap = there + _moved(back, there + _grid(there.shape[:2]))
    return cv2.magnitude(*cv2.split(gap))


def _flow(grey: NDArray[Any], other: NDArray[Any], least: int = 16) -> NDArray[Any]:
    """(H, W, 2) from each pixel to where it lies in the other frame."""
    height, width = grey.shape
    if min(height, width) < least:  # px that DIS needs
        edges = (0, max(least - height, 0), 0, max(least - width, 0))
        grey, other = (cv2.copyMakeBorder(g, *edges, cv2.BORDER_REPLICATE) for g in (grey, other))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setVariationalRefinementAlpha(SMOOTH)
    found = flow.calc(grey, other, np.zeros((*grey.shape, 2), np.float32))
    return np.ascontiguousarray(found[:height, :width])
