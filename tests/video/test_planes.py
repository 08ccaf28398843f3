"""Planes to RGB and back: exact matrices, and nothing lost where nothing changes."""

import av
import cv2
import numpy as np
import pytest
from skimage import data

from derain.io.formats import ImageError
from derain.video.planes import changed, layout_of, planes_of, to_rgb

FORMATS = (
    "yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "yuv422p10le", "yuv444p12le",
    "gray", "gray10le", "gbrp", "gbrp10le",
)  # fmt: skip


def frame_of(format, size=(121, 161), seed=0, range_=0, matrix=1):
    """Any values, those outside the legal range included."""
    frame = av.VideoFrame(size[1], size[0], format)
    rng = np.random.default_rng(seed)
    top = 2 ** max(component.bits for component in frame.format.components)
    for plane in planes_of(frame):
        plane[...] = rng.integers(0, top, plane.shape)
    frame.color_range, frame.colorspace = range_, 0 if format.startswith("gbr") else matrix
    return frame


@pytest.mark.parametrize("format", FORMATS)
def test_what_does_not_change_stays_bit_for_bit(format):
    frame = frame_of(format)
    layout = layout_of(frame, "x")
    same = changed(frame, np.zeros((121, 161, 3), np.float32), layout)
    for before, after in zip(planes_of(frame), planes_of(same), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True])
def test_the_matrices_by_their_definition(matrix, full):
    weights = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
    red, blue = weights.get(matrix, (0.299, 0.114))
    colours = np.random.default_rng(0).random((64, 3))
    y = colours @ [red, 1 - red - blue, blue]
    cb, cr = (colours[:, 2] - y) / 2 / (1 - blue), (colours[:, 0] - y) / 2 / (1 - red)
    frame = av.VideoFrame(8, 8, "yuv444p10le")
    frame.color_range, frame.colorspace = 2 if full else 1, matrix
    for plane, values, scale, offset in zip(
        planes_of(frame),
        (y, cb, cr),
        (1023, 1023, 1023) if full else (876, 896, 896),
        (0, 512, 512) if full else (64, 512, 512),
        strict=True,
    ):
        plane[...] = np.rint(values * scale + offset).reshape(8, 8)
    rgb = to_rgb(frame, layout_of(frame, "x")).reshape(-1, 3)
    assert np.abs(rgb - colours).max() < 0.0025  # 10 bits, rounded


@pytest.mark.parametrize(("format", "floor"), [("yuv420p", 50), ("yuv444p10le", 62)])
def test_the_round_trip_of_a_smooth_image(format, floor):
    smooth = cv2.GaussianBlur(data.astronaut(), (0, 0), 8).astype(np.float32) / 255
    frame = av.VideoFrame(512, 512, format)
    frame.color_range, frame.colorspace = 1, 1
    for plane in planes_of(frame):
        plane[...] = 2 ** (frame.format.components[0].bits - 1)
    layout = layout_of(frame, "x")
    coded = changed(frame, smooth - to_rgb(frame, layout), layout)
    error = np.square(to_rgb(coded, layout) - smooth).mean()
    assert -10 * np.log10(error) > floor


def test_a_change_of_light_moves_luma_alone():
    frame = frame_of("yuv420p10le")
    for plane in planes_of(frame):
        plane[...] = 400
    layout = layout_of(frame, "x")
    darker = planes_of(changed(frame, np.full((121, 161, 3), -0.1, np.float32), layout))
    assert (darker[0] == round(400 - 87.6)).all()
    assert (darker[1] == 400).all()
    assert (darker[2] == 400).all()


def test_what_is_not_known_is_refused():
    for format, matrix, word in (("yuva420p", 1, "transparent"), ("yuv411p", 1, "yuv411p"),
                                 ("yuv420p", 8, "matrix 8")):  # fmt: skip
        with pytest.raises(ImageError, match=f"x: .*{word}"):
            layout_of(frame_of(format, (120, 160), matrix=matrix), "x")
