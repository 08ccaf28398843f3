"""What cameras, image editors and web sites do to a photograph: contrast, sharpening, JPEG.

Rain that was sharpened has dark seams, and a streak that was white stays white while its seams
get darker. A network that never saw that takes such rain for something that belongs there: of thin
streaks it took 91 % away as they were drawn, and 36 % after strong sharpening
(`python -m benchmarks.edited_rain`, docs/notes/training.md).
"""

import cv2
import numpy as np

from derain.rain.arrays import ImageF
from derain.rain.ranges import Draw, Integers, LogUniform, Ranges, constant
from derain.rain.realistic import jpeg

EDITING: Ranges = {
    "contrast_probability": constant(0.3),
    "contrast": LogUniform(0.75, 1.6),
    "sharpen_probability": constant(0.55),
    "sharpen": LogUniform(0.15, 2.5),  # times the detail that is added once more
    "sharpen_radius": LogUniform(0.5, 1.8),  # px, sd of the blur that tells detail
    "jpeg_probability": constant(0.6),
    "jpeg_quality": Integers(45, 97),
    "jpeg_twice_probability": constant(0.2),  # saved by the camera, then by a web site
}


def edited(images: tuple[ImageF, ...], draw: Draw) -> tuple[ImageF, ...]:
    """The images, each (H, W, C) in [0, 1], after the same contrast and the same sharpening.

    Args:
        images: A rainy image and its ground truth, say.
        draw: The ranges of `EDITING`.
    """
    if draw.chance("contrast_probability"):
        gain, middle = np.float32(draw("contrast")), np.float32(0.5)
        images = tuple(np.clip(middle + gain * (x - middle), 0, 1) for x in images)
    if draw.chance("sharpen_probability"):
        amount, radius = draw("sharpen"), draw("sharpen_radius")
        images = tuple(sharpened(x, amount, radius) for x in images)
    return images


def saved(image: ImageF, draw: Draw) -> ImageF:
    """An image (H, W, C) in [0, 1] as it comes back out of JPEG files: one, two or none."""
    if not draw.chance("jpeg_probability"):
        return image
    image = jpeg(image, int(draw("jpeg_quality")))
    return (
        jpeg(image, int(draw("jpeg_quality"))) if draw.chance("jpeg_twice_probability") else image
    )


def sharpened(image: ImageF, amount: float, radius: float) -> ImageF:
    """Unsharp masking as cameras and image editors do it: (H, W, C) in [0, 1]."""
    blurred = cv2.GaussianBlur(image, (0, 0), radius).reshape(image.shape)
    return np.clip(image + np.float32(amount) * (image - blurred), 0, 1)
