"""Both ends of a run: where frames come from, and where they go to."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from derain.video.frames import Frame, Shot
from derain.video.planes import RGB
from derain.video.segments import EncodedFrame


class Source(Protocol):
    """An open clip or animated image."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def problems(self) -> list[str]:
        """What was found wrong so far, one line each; it grows while frames are read."""
        ...

    @property
    def expected(self) -> int:
        """The number of frames, as far as it tells; 0 where it does not."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a frame as it is stored."""
        ...

    def at(self, pts: int) -> str:
        """A time as messages say it, from the start."""
        ...

    def shots(self, first: int) -> Iterator[Shot]:
        """The frames from a number on. To be called once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class SegmentEncoder(Protocol):
    """Encodes the frames of one segment."""

    def add(self, frame: Frame, change: RGB | None) -> None:
        """Encode a frame with a change of its RGB values, upright; None leaves it as it came."""
        ...

    def finish(self) -> list[EncodedFrame]:
        """All frames that were added."""
        ...


class Sink(Protocol):
    """How the frames of a source are written."""

    @property
    def codec(self) -> list[Any]:
        """What encoded frames depend on beside the settings, as JSON holds it."""
        ...

    def encoder(self) -> SegmentEncoder:
        """An encoder for the next segment, which depends on no other."""
        ...

    def write(self, target: Path, frames: Iterator[EncodedFrame], count: int) -> None:
        """Write the result whole: so many frames, and all else that the source has.

        Raises:
            ImageError: The target cannot hold something; says what.
            OSError: The disk is full, or the folder cannot be written to; nothing is left behind.
        """
        ...
