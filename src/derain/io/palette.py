"""Up to 256 colours for a GIF, chosen from those of the image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = 256


def indexed(samples: NDArray[np.uint8]) -> tuple[Image.Image, dict[str, Any]]:
    """An image with a palette, and what Pillow's ``save`` must be told besides.

    As few colours as a palette holds stay as they are. More are reduced by Pillow's median cut and
    k-means, which is 2 dB better than median cut alone on frames of `benchmarks.video`; dithering
    costs 2 dB more and flickers, since its grain is another in every frame. Of transparency a GIF
    knows all or nothing: half and more stays visible.

    Args:
        samples: (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), alpha last.
    """
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    values = samples.reshape(*samples.shape[:2], channels)
    colour = np.repeat(values[..., :1], 3, axis=2) if channels < 3 else values[..., :3]
    hidden = np.zeros(values.shape[:2], bool)
    if channels in (2, 4):
        hidden = values[..., -1] < 128
    transparent = bool(hidden.any())
    if transparent and not hidden.all():
        # Hidden pixels need no place of their own in the palette.
        colour = np.where(hidden[..., None], colour[~hidden][0], colour)
    most = COLOURS - transparent
    codes = colour.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, index = np.unique(codes, return_inverse=True)
    if len(found) <= most:
        image = Image.fromarray(index.reshape(codes.shape).astype(np.uint8), "P")
        image.putpalette(found.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes())
    else:
        image = Image.fromarray(colour).quantize(most, kmeans=1)
    if not transparent:
        return image, {}
    palette = (image.getpalette() or [])[: 3 * most]
    image.putpalette(palette + [0] * 3)
    indices = np.array(image)
    indices[hidden] = len(palette) // 3
    result = Image.fromarray(indices, "P")
    result.putpalette(image.getpalette() or [])
    return result, {"transparency": len(palette) // 3}
