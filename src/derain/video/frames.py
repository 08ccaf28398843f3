"""One frame on its way from the source to the result."""

from dataclasses import dataclass

import av

from derain.io.decode import DecodedImage
from derain.video.planes import RGB


@dataclass(frozen=True)
class Frame:
    """One frame as it was decoded.

    Attributes:
        index: Its number, from 0.
        pts: When it is shown, in units of the source's time base.
        duration: How long, in the same unit; 0 where the source does not tell.
        image: A clip's frame, or all that an animated image shows.
        broken: Whether the decoder found errors in it and filled the gaps.
    """

    index: int
    pts: int
    duration: int
    image: av.VideoFrame | DecodedImage
    broken: bool = False


@dataclass(frozen=True)
class Shot:
    """A frame as the network sees it.

    Attributes:
        frame: As it was decoded.
        rainy: (H, W, 3) in [0, 1], upright.
        clean: The same without rain; None where the frame is copied through.
    """

    frame: Frame
    rainy: RGB
    clean: RGB | None = None
