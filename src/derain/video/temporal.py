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

Neighbours are moved in 8 bits, by linear interpolation from twice the size, which costs a fraction
of cubic interpolation and is as sharp; how well they fit is found at half the size. What comes of
it is a difference to the frame's own 8 bits, so finer levels of the frame itself survive.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.video.frames import Shot
from derain.video.planes import RGB

CONTEXT = 2  # frames before and after that a result depends on, and so the latency
FIT_AROUND, AROUND = 0.12, 9  # difference in [0, 1], window at half size: the same place?
FIT_HERE = 0.07  # and is the same thing there? it keeps small fast objects sharp
FEW_RAIN = 0.05  # amount of rain that lowers the trust in a result to a sixteenth
AGREE = 0.04  # difference of rainy frames that nothing fell between
LEFT = 0.6  # part of the rain by which results may differ, since the network errs that much
MISS, MISS_AROUND = 0.7, 7  # px of the flow's round trip and window: is this how it moved?
FITS = 0.3  # weight from which a rainy neighbour has a say
FLOW_SIDE = 640  # px of the longer side at which flow is looked for
SMOOTH = 100.0  # of the flow; DIS's own 20 follows the rain that is left in the results
SHARPER = 0.15  # part of the 3x3 detail that makes up for what linear interpolation blurs
STRIP = 64  # rows that are averaged at a time, to stay in the processor's cache
ZERO = 64  # stands for no rain where amounts of rain of both signs are held in 8 bits
FINER_MISS = 64  # so are misses
FINER = 4  # differences are held this many times, since 8 bits are coarse for them

Item = TypeVar("Item")
Plane = NDArray[Any]  # (H, W) float32 or uint8
Layers = NDArray[Any]  # (H, W, 4) uint8: RGB without rain, and the amount of rain
Pair = tuple[RGB, RGB]  # a rainy frame and the network's result, (H, W, 3) in [0, 1]

_cv: Any = cv2  # OpenCV's type stubs know neither numbers as operands nor a missing second map
_LEVEL = np.float32(1 / 255)
_LEVELS = np.arange(256, dtype=np.float32)
_BY_MISS = np.round(255 * np.exp(-np.square(_LEVELS / (FINER_MISS * MISS)))).astype(np.uint8)
_SHARE = _LEVELS * _LEVEL


def _bell(width: float) -> NDArray[Any]:
    """Weight of each difference in 8 bits, held `FINER` times: 1 at none, 1/e at a width."""
    return np.exp(-np.square(_LEVELS / (255 * FINER * width))).astype(np.float32)


_BY_AROUND, _BY_HERE, _BY_SPREAD = _bell(FIT_AROUND), _bell(FIT_HERE), _bell(AGREE)
_BY_RAIN = ((FEW_RAIN / (FEW_RAIN + np.abs(_LEVELS - ZERO) / 255)) ** 4).astype(np.float32)


def fused(shots: Generator[Shot]) -> Generator[Shot]:
    """The shots, each helped by its neighbours; broken ones neither help nor are helped."""
    with closing(shots):
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
        flow, miss = (_moved(layer, self.flow) for layer in (other.flow, other.miss))
        return _Motion(self.flow + flow, self.miss + miss)


class _View:
    """A frame as its neighbours need it, in 8 bits, and the flow to those beside it."""

    def __init__(self, pair: Pair) -> None:
        self.rainy, clean = (cv2.convertScaleAbs(image, alpha=255) for image in pair)
        self.grey = cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY)
        rainy = cv2.cvtColor(self.rainy, cv2.COLOR_RGB2GRAY)
        rain = _cv.addWeighted(rainy, 1, self.grey, -1, ZERO)
        self.layers: Layers = cv2.merge([*cv2.split(clean), rain])
        self.fine = _doubled(self.layers)
        self.coarse = _reduced(self.layers, 2)
        self.small = _reduced(self.grey, max(round(max(rain.shape) / FLOW_SIDE), 1))
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
        if last is not None and last.layers.shape == view.layers.shape:
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
    others = [_Other(view, *neighbour) for neighbour in neighbours]
    *own, rain = cv2.split(view.layers)
    darkest, dry = _driest(view, others)
    darker = _cv.subtract(view.rainy, darkest)
    result = np.empty_like(pair[1], np.float32)
    for top in range(0, len(result), STRIP):
        rows = slice(top, top + STRIP)
        weights = [cv2.LUT(rain[rows], _BY_RAIN)]
        weights += [cv2.LUT(o.rain[rows], _BY_RAIN) * cv2.LUT(o.fit[rows], _SHARE) for o in others]
        total = np.sum(weights, 0)
        changes: list[Plane] = []
        for k, plane in enumerate(own):
            planes = [plane[rows], *(other.clean[k][rows] for other in others)]
            changes.append(sum(map(np.multiply, planes, weights)) / total - planes[0])
        rainy, clean = (image[rows] for image in pair)
        mean = clean + cv2.merge(changes) * _LEVEL
        unchanged = rainy - darker[rows] * _LEVEL
        result[rows] = mean + cv2.merge([dry[rows]] * 3) * (unchanged - mean)
    return np.clip(result, 0, 1, out=result)


class _Other:
    """A neighbour as it lies on the frame, in 8 bits.

    Args:
        view: The frame.
        other: The neighbour.
        motion: The way to it.
    """

    def __init__(self, view: _View, other: _View, motion: _Motion) -> None:
        shape, half = view.grey.shape, view.coarse.shape[:2]
        place = cv2.scaleAdd(_enlarged(motion.flow, shape), 2, _grid(shape, 2))
        moved = _cv.remap(
            other.fine, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        coarse = _moved(other.coarse, _enlarged(motion.flow, half))
        trust = cv2.resize(_trust(motion), half[::-1])
        fit = _fit(view.coarse, coarse) * trust
        *self.clean, self.rain = cv2.split(moved)
        self.fit = cv2.resize(cv2.convertScaleAbs(fit), shape[::-1])

    def rainy(self, unfit: Plane) -> list[Plane]:
        """The planes with their rain; what does not fit is the brightest and so has no say."""
        more = _cv.subtract(self.rain, ZERO)
        less = _cv.subtract(cv2.bitwise_not(self.rain), 255 - ZERO)
        return [_cv.max(_cv.subtract(_cv.add(p, more), less), unfit) for p in self.clean]


def _driest(view: _View, others: Sequence[_Other]) -> tuple[RGB, Plane]:
    """The second darkest of the rainy frames, and how sure it is that nothing fell, 0..1."""
    if len(others) < 2:
        return view.rainy, np.zeros(view.grey.shape, np.float32)
    darkest = [[plane] for plane in cv2.split(view.rainy)]  # up to three, the darkest first
    misfits = np.zeros(view.grey.shape, np.uint8)
    for other in others:
        unfit = _cv.compare(other.fit, 255 * FITS, cv2.CMP_LE)
        misfits = _cv.add(misfits, _cv.min(unfit, 1))
        for three, plane in zip(darkest, other.rainy(unfit), strict=True):
            _keep_darkest(three, plane)
    spreads = [_cv.subtract(three[2], three[0]) for three in darkest]
    spread = cv2.convertScaleAbs(_cv.max(_cv.max(*spreads[:2]), spreads[2]), alpha=FINER)
    dry = cv2.LUT(cv2.blur(spread, (3, 3)), _BY_SPREAD)
    dry *= _cv.min(_cv.compare(misfits, len(others) - 2, cv2.CMP_LE), 1)
    return cv2.merge([three[1] for three in darkest]), dry


def _keep_darkest(three: list[Plane], new: Plane) -> None:
    """Sort a plane into up to three, of which each pixel keeps the darkest."""
    for k, plane in enumerate(three):
        three[k], new = _cv.min(plane, new), _cv.max(plane, new)
    if len(three) < 3:
        three.append(new)


def _fit(own: Layers, other: Layers) -> Plane:
    """How well a neighbour fits, 0..1, by its difference and the rain of both."""
    mean = cv2.transform(cv2.absdiff(own, other), np.array([[FINER / 3] * 3 + [0.0]]))
    wet = _cv.add(*(_cv.absdiff(layers[..., 3], ZERO) for layers in (own, other)))
    here = _cv.subtract(mean, cv2.convertScaleAbs(wet, alpha=FINER * LEFT))
    around = cv2.blur(mean, (AROUND, AROUND))
    return cv2.LUT(around, _BY_AROUND) * cv2.LUT(here, _BY_HERE)


def _trust(motion: _Motion) -> Plane:
    """How sure it is where each pixel lies in the other frame, in 8 bits; 0 outside of it."""
    trust = cv2.LUT(cv2.convertScaleAbs(motion.miss, alpha=FINER_MISS), _BY_MISS)
    trust = cv2.erode(trust, np.ones((MISS_AROUND, MISS_AROUND), np.uint8))
    height, width = trust.shape
    place = motion.flow + _grid(trust.shape, 1)
    inside = _cv.inRange(place, (0.0, 0.0, 0.0, 0.0), (width - 1.0, height - 1.0, 0.0, 0.0))
    return _cv.min(trust, inside)


def _moved(image: NDArray[Any], flow: NDArray[Any]) -> Any:
    """The image as it lies on the frame, from which the flow leads to it."""
    method = cv2.INTER_LINEAR | cv2.WARP_RELATIVE_MAP
    return _cv.remap(image, flow, None, method, borderMode=cv2.BORDER_REPLICATE)


def _enlarged(flow: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The flow at another size."""
    height, width = shape
    if flow.shape[:2] == shape:
        return flow
    scale = (width / flow.shape[1], height / flow.shape[0], 0.0, 0.0)
    return cv2.resize(_cv.multiply(flow, scale), (width, height))


def _doubled(layers: Layers) -> Layers:
    """The layers at twice their size, sharper by what linear interpolation will blur."""
    sharper = _cv.addWeighted(layers, 1 + SHARPER, cv2.blur(layers, (3, 3)), -SHARPER, 0)
    return cv2.resize(sharper, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)


def _reduced(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """The image at a fraction of its size, rounded up."""
    height, width = image.shape[:2]
    size = (-(-width // factor), -(-height // factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor > 1 else image


@lru_cache(maxsize=2)
def _grid(shape: tuple[int, ...], factor: int) -> NDArray[Any]:
    """(H, W, 2) position of each pixel in an image that is enlarged by a factor."""
    grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), -1).astype(np.float32)
    return (grid + np.float32(0.5)) * np.float32(factor) - np.float32(0.5)


def _motions(grey: NDArray[Any], other: NDArray[Any]) -> tuple[_Motion, _Motion]:
    """The ways from one frame to another and back, by what `_small` made of them."""
    there, back = _flow(grey, other), _flow(other, grey)
    return _Motion(there, _miss(there, back)), _Motion(back, _miss(back, there))


def _miss(there: NDArray[Any], back: NDArray[Any]) -> Plane:
    """(h, w) px between each pixel and the end of its way there and back."""
    gap = there + _moved(back, there)
    return cv2.magnitude(*cv2.split(gap))


def _flow(grey: NDArray[Any], other: NDArray[Any], least: int = 16) -> NDArray[Any]:
    """(H, W, 2) from each pixel to where it lies in the other frame."""
    height, width = grey.shape
    if min(height, width) < least:  # px that DIS needs
        edges = (0, max(least - height, 0), 0, max(least - width, 0))
        grey, other = (cv2.copyMakeBorder(g, *edges, cv2.BORDER_REPLICATE) for g in (grey, other))
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setVariationalRefinementAlpha(SMOOTH)
    flow.setPatchStride(4)  # this and the next a quarter cheaper than the preset, and as good
    flow.setGradientDescentIterations(12)
    found = flow.calc(grey, other, np.zeros((*grey.shape, 2), np.float32))
    return np.ascontiguousarray(found[:height, :width])
