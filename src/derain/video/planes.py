"""Frames as a codec stores them, and RGB: (H, W, 3) float32 in [0, 1].

Rain is taken away from the stored planes: the network sees RGB, and only what it changes comes
back as a change of luma and chroma. So a pixel that the network leaves alone keeps its value bit
for bit, whatever the chroma subsampling, the range and the bit depth, and values outside RGB's
cube (super white) survive. Matrices: ITU-R BT.601, BT.709, BT.2020, SMPTE 240M; H.273 numbers them.
"""

import re
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.formats import ImageError

RGB = NDArray[Any]  # (H, W, 3) float32

# Number of the matrix in H.273 -> weights of red and blue in luma.
_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601
    6: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_UNSPECIFIED = (2, 3)
_FULL = 2  # AVColorRange

# Stored otherwise -> the planes that hold the same values.
_PLANAR = {
    "nv12": "yuv420p", "nv16": "yuv422p", "yuyv422": "yuv422p", "uyvy422": "yuv422p",
    "p010le": "yuv420p10le", "rgb24": "gbrp", "bgr24": "gbrp", "bgr0": "gbrp", "rgb0": "gbrp",
    "0rgb": "gbrp", "0bgr": "gbrp",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How the frames of a clip are stored.

    Attributes:
        source: FFmpeg's name of the format that the decoder gives.
        format: The same as planes.
        width: Pixels.
        height: Pixels.
        bits: Per value.
        subsampling: Pixels per chroma value, to the right and downwards.
        to_rgb: (3, 4) from the planes' values to RGB in [0, 1].
        from_rgb: (3, 3) from a change of RGB to one of the planes' values.
        tags: H.273 numbers of range, matrix, primaries and transfer, as the clip gives them.
    """

    source: str
    format: str
    width: int
    height: int
    bits: int
    subsampling: tuple[int, int]
    to_rgb: NDArray[Any]
    from_rgb: NDArray[Any]
    tags: tuple[int, int, int, int]

    @property
    def grey(self) -> bool:
        """Whether there is luma alone."""
        return self.format.startswith("gray")


def layout_of(frame: av.VideoFrame, name: str) -> Layout:
    """The layout of a clip by one of its frames.

    Raises:
        ImageError: Transparent, or stored in a way that derain does not know; names the clip.
    """
    source = frame.format.name
    if any(component.is_alpha for component in frame.format.components):
        raise ImageError(f"{name}: transparent clips ({source}) are not supported")
    format = _PLANAR.get(source, source)
    match = re.fullmatch(r"(?:yuv(j?)(420|422|440|444)p|gray|gbrp)(9|1[0246])?(?:le)?", format)
    if not match:
        raise ImageError(f"{name}: frames of the format {source} are not supported")
    bits = int(match[3] or 8)
    across = {"420": (2, 2), "422": (2, 1), "440": (1, 2)}.get(match[2] or "", (1, 1))
    full = frame.color_range == _FULL or bool(match[1])
    if format.startswith("gbrp"):
        to_rgb = np.zeros((3, 4))
        to_rgb[[0, 1, 2], [2, 0, 1]] = 1 / (2**bits - 1)
    else:
        to_rgb = _matrix(_weights(frame, name), bits, full)
    tags = (frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc)
    return Layout(
        source, format, frame.width, frame.height, bits, across, to_rgb,
        np.linalg.inv(to_rgb[:, :3]), tags,
    )  # fmt: skip


def _weights(frame: av.VideoFrame, name: str) -> tuple[float, float]:
    """The clip's own, or what players take where it tells none."""
    matrix = frame.colorspace
    if matrix in _UNSPECIFIED or (matrix == 0 and frame.format.name.startswith(("yuv", "gray"))):
        matrix = 1 if frame.width >= 1280 or frame.height > 576 else 6
    if matrix not in _WEIGHTS:
        raise ImageError(f"{name}: colours by matrix {matrix} of H.273 are not supported")
    return _WEIGHTS[matrix]


def _matrix(weights: tuple[float, float], bits: int, full: bool) -> NDArray[Any]:
    """(3, 4) from levels of Y, Cb and Cr to RGB in [0, 1]."""
    red, blue = weights
    green = 1 - red - blue
    unit = 2.0 ** (bits - 8)
    top = 2.0**bits - 1
    black, luma, chroma = (0.0, top, top) if full else (16 * unit, 219 * unit, 224 * unit)
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    mix = np.array(
        [
            [1, 0, to_red],
            [1, -to_blue * blue / green, -to_red * red / green],
            [1, to_blue, 0],
        ]
    )
    scaled = mix / [luma, chroma, chroma]
    return np.hstack([scaled, -scaled @ [[black], [128 * unit], [128 * unit]]])


def planes_of(frame: av.VideoFrame) -> list[NDArray[Any]]:
    """Views of the planes of a frame: (h, w) uint8 or uint16 each."""
    bits = max(component.bits for component in frame.format.components)
    kind = np.dtype(np.uint8 if bits <= 8 else "<u2")
    return [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : plane.width]
        for plane in frame.planes
    ]


def planar(frame: av.VideoFrame, layout: Layout) -> av.VideoFrame:
    """The frame as planes."""
    if layout.source == layout.format:
        return frame
    return frame.reformat(format=layout.format)


def to_rgb(frame: av.VideoFrame, layout: Layout) -> RGB:
    """A decoded frame -> (H, W, 3) in [0, 1], lying as it is stored."""
    planes = [plane.astype(np.float32) for plane in planes_of(planar(frame, layout))]
    if layout.grey:
        planes += [np.full_like(planes[0], 2 ** (layout.bits - 1))] * 2
    full = [planes[0], *(_enlarged(plane, layout) for plane in planes[1:])]
    rgb = cv2.transform(cv2.merge(full), layout.to_rgb)
    return np.clip(rgb, 0, 1, out=rgb)


def changed(frame: av.VideoFrame, change: RGB, layout: Layout) -> av.VideoFrame:
    """The frame with a change of its RGB values, (H, W, 3) in [-1, 1], lying as it is stored."""
    before = planes_of(planar(frame, layout))
    result = av.VideoFrame(layout.width, layout.height, layout.format)
    delta = cv2.split(cv2.transform(change, layout.from_rgb))
    top = 2**layout.bits - 1
    for old, new, by in zip(before, planes_of(result), delta, strict=False):
        if by.shape != old.shape:
            by = _reduced(by, layout)
        # Half a level is added before the fraction is cut off; the values are positive by then.
        np.clip(old + by + np.float32(0.5), 0, top + 0.5, out=by)
        new[...] = by
    return result


def as_encoded(frame: av.VideoFrame, format: str, layout: Layout) -> av.VideoFrame:
    """A frame of planes as an encoder takes it: named as it wants, with the clip's colour tags."""
    if format in _PLANAR:
        result = frame.reformat(format=format)
    else:
        result = av.VideoFrame(layout.width, layout.height, format)
        for old, new in zip(planes_of(frame), planes_of(result), strict=True):
            new[...] = old
    result.color_range, result.colorspace, result.color_primaries, result.color_trc = layout.tags
    return result


def _enlarged(plane: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """Chroma at the size of luma."""
    right, down = layout.subsampling
    height, width = plane.shape
    if (height, width) == (layout.height, layout.width):
        return plane
    large = cv2.resize(plane, (width * right, height * down), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[: layout.height, : layout.width], np.float32)


def _reduced(plane: NDArray[Any], layout: Layout) -> NDArray[np.float32]:
    """A change of luma's size as a change of chroma: the mean of the pixels that share a value."""
    right, down = layout.subsampling
    height, width = plane.shape
    plane = cv2.copyMakeBorder(plane, 0, -height % down, 0, -width % right, cv2.BORDER_REPLICATE)
    size = (plane.shape[1] // right, plane.shape[0] // down)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
