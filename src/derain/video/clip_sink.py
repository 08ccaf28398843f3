"""Frames of a clip on their way to a clip: changed, encoded, written with all the rest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from derain.video.clip import Clip
from derain.video.encoder import Encoding, choose_encoding
from derain.video.frames import Frame
from derain.video.mux import container_for, write_clip
from derain.video.planes import RGB, as_encoded, changed, planar
from derain.video.segments import EncodedFrame


@dataclass(frozen=True)
class ClipSink:
    """How a clip's result is written.

    Attributes:
        clip: The source.
        path: Its file.
        encoding: How its frames are encoded.
        container: FFmpeg's name of the container to write.
    """

    clip: Clip
    path: Path
    encoding: Encoding
    container: str

    @property
    def codec(self) -> list[Any]:
        """As of ``Sink``."""
        return [self.encoding.codec, self.encoding.format]

    def encoder(self) -> "ClipEncoder":
        """As of ``Sink``."""
        return ClipEncoder(self.clip, self.encoding)

    def write(self, target: Path, frames: Iterator[EncodedFrame], count: int) -> None:
        """As of ``Sink``."""
        write_clip(target, self.path, self.clip, frames, self.encoding, self.container)


def clip_sink(clip: Clip, path: Path, target: Path, quality: int, codec: str | None) -> ClipSink:
    """The sink for a target.

    Args:
        clip: The source.
        path: Its file.
        target: The result, by whose suffix the container is chosen.
        quality: 1..100.
        codec: The one to use; None for the clip's own or else the nearest.

    Raises:
        ImageError: No codec, or no container of that suffix, can hold the frames.
        ValueError: An unknown codec; lists the known ones.
    """
    container = container_for(target, path, clip.container.format.name)
    encoding = choose_encoding(
        clip.layout,
        clip.codec,
        container,
        rate=clip.rate,
        aspect=clip.video.sample_aspect_ratio,
        quality=quality,
        wanted=codec,
    )
    return ClipSink(clip, path, encoding, container)


class ClipEncoder:
    """A ``SegmentEncoder``.

    Args:
        clip: The source.
        encoding: How.
    """

    def __init__(self, clip: Clip, encoding: Encoding) -> None:
        self.clip, self.encoding = clip, encoding
        self.context = encoding.context()
        self.times: list[tuple[int, int]] = []
        self.packets: list[av.Packet] = []

    def add(self, frame: Frame, change: RGB | None) -> None:
        """As of ``SegmentEncoder``."""
        layout = self.clip.layout
        assert isinstance(frame.image, av.VideoFrame)
        image = planar(frame.image, layout)
        if change is not None:
            lying = np.ascontiguousarray(np.rot90(change, -self.clip.rotation // 90))
            image = changed(image, lying, layout)
        picture = as_encoded(image, self.encoding.format, layout)
        picture.pts, picture.time_base = len(self.times), 1 / self.encoding.rate
        self.times.append((frame.pts, frame.duration))
        self.packets += self.context.encode(picture)

    def finish(self) -> list[EncodedFrame]:
        """As of ``SegmentEncoder``."""
        self.packets += self.context.encode(None)
        return [
            EncodedFrame(*times, packet.is_keyframe, bytes(packet))
            for times, packet in zip(self.times, self.packets, strict=True)
        ]
