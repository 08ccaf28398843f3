"""One image, from the bytes of its file to the bytes of the result's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.batch.jobs import Job, ending_of
from derain.io.decode import DecodedImage, decode_image
from derain.io.encode import QUALITY, encode_image
from derain.io.formats import FORMATS, MAX_PIXELS, ImageError
from derain.restore import DEFAULTS, RestoreOptions, Restorer

UNCHANGED = 0.1  # of 255; below this mean difference we say that no rain was found


@dataclass(frozen=True)
class BatchSettings:
    """What holds for every image of a run."""

    format: str | None = None  # a suffix such as "png"; None keeps each image's own
    quality: int = QUALITY
    options: RestoreOptions = DEFAULTS
    overwrite: bool = False
    skip_existing: bool = False
    max_pixels: int = MAX_PIXELS
    codec: str | None = None  # of clips; None keeps each clip's own
    temporal: bool = True  # whether the frames of a clip help each other
    resume: bool = False  # whether to go on with clips that were stopped
    on_frame: Callable[[Job, int, int], None] | None = None  # told (clip, frames done, in all)
    rain_layer: Literal["no", "instead", "beside"] = (
        "no"  # write it, instead of or beside the result
    )


@dataclass(frozen=True)
class Restored:
    """What became of the bytes of one image."""

    data: bytes  # the result as a file
    image: DecodedImage  # the result as pixels
    change: float  # as in `Outcome`
    rain: bytes | None = None  # the rain layer as a file, where it goes beside the result


def restore_data(
    data: bytes,
    name: str,
    restorer: Restorer,
    settings: BatchSettings,
    format: str | None = None,
    on_tile: Callable[[float], None] | None = None,
) -> Restored:
    """Decode, restore and encode one image; whoever restores files or uploads does it here.

    Args:
        data: The whole file.
        name: What messages call it.
        restorer: The network.
        settings: What holds for every image.
        format: Write this format, as a suffix; the image's own where it is None or unknown.
        on_tile: As in `RestoreOptions`.

    Raises:
        ImageError: The image, or the format that cannot hold it; one line that names it.
        MemoryError: Even small tiles need more memory than there is.
    """
    image = decode_image(data, name, max_pixels=settings.max_pixels)
    del data
    result = restorer.restore(image, replace(settings.options, on_tile=on_tile))
    change = mean_change(image.pixels, result.pixels)
    result = replace(result, format=FORMATS.get(ending_of(format or ""), image.format))
    rain = None
    if settings.rain_layer != "no":
        rain = replace(result, pixels=rain_layer(image.pixels, result.pixels))
    del image  # a large one needs its memory for encoding
    try:
        if rain and settings.rain_layer == "instead":
            return Restored(encode_image(rain, settings.quality), rain, change)
        layer = encode_image(rain, settings.quality) if rain else None
        del rain
        return Restored(encode_image(result, settings.quality), result, change, layer)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None


def rain_layer(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """The rain that was taken away: the image minus the result, 0 where the result is brighter.

    It is not scaled, so that layer and result add up to the image wherever rain was taken away.

    Args:
        before: (H, W, 3), uint8 or uint16.
        after: The same shape and type.
    """
    return cv2.subtract(before, after)


def mean_change(before: NDArray[Any], after: NDArray[Any], rows: int = 256) -> float:
    """Mean absolute difference of two images of one type, in 1/255 of the value range."""
    top = float(np.iinfo(before.dtype).max) if before.dtype.kind == "u" else 1.0
    total = 0.0
    for first in range(0, len(before), rows):  # in strips, whose differences take little memory
        strip = slice(first, first + rows)
        total += float(cv2.absdiff(before[strip], after[strip]).sum(dtype=np.float64))
    return total / before.size * 255 / top
