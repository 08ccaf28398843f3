"""Restore a clip: read, restore frame by frame, encode in segments, join with all the rest."""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

import derain
from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.restore import DEFAULTS, RestoreOptions, Restorer
from derain.video import segments
from derain.video.clip import Clip, Frame, open_clip
from derain.video.encoder import QUALITY, Encoding, choose_encoding
from derain.video.mux import container_for, write_clip
from derain.video.pipeline import ahead
from derain.video.planes import as_encoded, changed, planar, to_rgb
from derain.video.segments import EncodedFrame, Segment, Segments
from derain.video.temporal import CONTEXT, Shot, fused


@dataclass(frozen=True)
class VideoSettings:
    """How a clip is restored and written.

    Attributes:
        codec: A key of `derain.video.encoder.ENCODERS`; None for the clip's own, or H.264 or the
            next that can hold its frames where there is no encoder for that.
        quality: 1..100; 95 is near visually lossless.
        temporal: Whether neighbouring frames help each other.
        resume: Whether to go on with the segments of an earlier run.
        overwrite: Whether the result, and segments of an earlier run, may be replaced.
        max_pixels: Refuse clips with larger frames.
        options: How each frame is restored.
    """

    codec: str | None = None
    quality: int = QUALITY
    temporal: bool = True
    resume: bool = False
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    options: RestoreOptions = DEFAULTS


@dataclass(frozen=True)
class Progress:
    """How far a clip is.

    Attributes:
        done: Frames that are encoded, those of an earlier run included.
        total: Frames in all, as far as the clip tells; 0 where it does not.
    """

    done: int
    total: int


@dataclass(frozen=True)
class Report:
    """What became of a clip.

    Attributes:
        frames: In the result.
        size: (H, W) of a frame as it is stored.
        change: Mean absolute change, in 1/255 of the value range.
        problems: What is missing or was copied through unrestored, one line each.
    """

    frames: int
    size: tuple[int, int]
    change: float
    problems: tuple[str, ...] = ()


class Stopped(Exception):
    """A clip was stopped on request; its finished segments are kept. Says how to go on."""


SETTINGS = VideoSettings()


def restore(
    source: str | Path,
    target: str | Path,
    restorer: Restorer,
    settings: VideoSettings = SETTINGS,
    *,
    on_frame: Callable[[Progress], None] = lambda progress: None,
    cancel: Callable[[], bool] = lambda: False,
) -> Report:
    """Take the rain out of a clip; all else in it stays as it is.

    Args:
        source: A clip.
        target: The result, which appears when it is whole. Until then finished segments lie in a
            folder beside it, NAME.segments.
        restorer: The network.
        settings: How.
        on_frame: Called in this thread after each frame.
        cancel: Asked after each frame; when it says yes, the segment in progress is finished and
            `Stopped` raised.

    Raises:
        ImageError: The clip cannot be read or written, or the target exists; one line.
        Stopped: `cancel` said yes.
        OSError: The disk is full, or the folder cannot be written to; the segments are kept.
    """
    source, target = Path(source), Path(target)
    if target.exists() and not settings.overwrite:
        raise ImageError(f"{target}: exists already; choose another name or overwrite it")
    if target.exists() and target.samefile(source):
        raise ImageError(f"{target}: is the clip itself; choose another name")
    restorer.tile_for(1, 1, settings.options.tile)  # a wrong option is said before anything is done
    restorer.scales_for(1, 1, settings.options.scales)
    with open_clip(source, settings.max_pixels) as clip:
        container = container_for(target, source, clip.container.format.name)
        encoding = choose_encoding(
            clip.layout,
            clip.codec,
            container,
            rate=clip.rate,
            aspect=clip.video.sample_aspect_ratio,
            quality=settings.quality,
            wanted=settings.codec,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = Segments(target, _plan(source, restorer, settings, encoding))
        kept.prepare(settings.resume, settings.overwrite)
        _encode(clip, kept, encoding, restorer, settings, on_frame, cancel)
        parts = itertools.chain.from_iterable(segment.packets for segment in kept.all())
        write_clip(target, source, clip, parts, encoding, container)
        frames, change = kept.summary()
        kept.remove()
        size = (clip.layout.height, clip.layout.width)
        return Report(frames, size, change / frames, tuple(clip.problems))


def _encode(
    clip: Clip,
    kept: Segments,
    encoding: Encoding,
    restorer: Restorer,
    settings: VideoSettings,
    on_frame: Callable[[Progress], None],
    cancel: Callable[[], bool],
) -> None:
    """Restore and encode what is not there yet, segment by segment."""
    number = kept.finished()
    done = number * segments.LENGTH
    shots = ahead(_restored(ahead(_read(clip, done - CONTEXT)), clip, restorer, settings))
    if settings.temporal:
        shots = ahead(fused(shots))
    with contextlib.closing(shots):
        new = (shot for shot in shots if shot.frame.index >= done)
        while group := list(itertools.islice(new, 1)):
            group = itertools.chain(group, itertools.islice(new, segments.LENGTH - 1))
            stopping = False
            writer = SegmentWriter(clip, encoding, settings.options.strength)
            for shot in group:
                writer.add(shot)
                done += 1
                on_frame(Progress(done, max(clip.expected, done)))
                stopping |= cancel()
            kept.save(number, writer.finish())
            number += 1
            if stopping:
                raise Stopped(
                    f"{clip.name}: stopped after {done} of {clip.expected} frames; --resume goes on"
                )
    if not done:
        raise ImageError(clip.problems[-1])


def _read(clip: Clip, first: int) -> Iterator[Shot]:
    """The frames from a number on as RGB, upright."""
    for frame in clip.frames():
        if frame.index >= first:
            rgb = to_rgb(frame.image, clip.layout)
            yield Shot(frame, np.ascontiguousarray(np.rot90(rgb, clip.rotation // 90)))


def _restored(
    shots: Iterable[Shot], clip: Clip, restorer: Restorer, settings: VideoSettings
) -> Iterator[Shot]:
    """The frames with the network's result; broken ones without."""
    options = replace(settings.options, strength=1.0)
    for shot in shots:
        if shot.frame.broken:
            yield shot
            continue
        try:
            yield replace(shot, clean=restorer.restore_pixels(shot.rainy, options))
        except ValueError as error:
            where = clip.at(shot.frame.pts)
            clip.problems.append(f"{clip.name}: {where}: copied unrestored: {one_line(error)}")
            yield shot


class SegmentWriter:
    """Encodes the frames of one segment.

    Args:
        clip: Its facts.
        encoding: How.
        strength: How much of the change is made.
    """

    def __init__(self, clip: Clip, encoding: Encoding, strength: float) -> None:
        self.clip, self.encoding, self.strength = clip, encoding, np.float32(strength)
        self.encoder = encoding.context()
        self.frames: list[Frame] = []
        self.packets: list[av.Packet] = []
        self.change = 0.0

    def add(self, shot: Shot) -> None:
        """Encode a frame with its change, or as it came."""
        layout = self.clip.layout
        image = planar(shot.frame.image, layout)
        if shot.clean is not None:
            change = (shot.clean - shot.rainy) * self.strength
            self.change += float(np.abs(change).mean()) * 255
            lying = np.ascontiguousarray(np.rot90(change, -self.clip.rotation // 90))
            image = changed(image, lying, layout)
        picture = as_encoded(image, self.encoding.format, layout)
        picture.pts, picture.time_base = len(self.frames), 1 / self.encoding.rate
        self.frames.append(shot.frame)
        self.packets += self.encoder.encode(picture)

    def finish(self) -> Segment:
        """The segment."""
        self.packets += self.encoder.encode(None)
        encoded = [
            EncodedFrame(frame.pts, frame.duration, packet.is_keyframe, bytes(packet))
            for frame, packet in zip(self.frames, self.packets, strict=True)
        ]
        return Segment(encoded, self.change)


def _plan(
    source: Path, restorer: Restorer, settings: VideoSettings, encoding: Encoding
) -> dict[str, Any]:
    """All that the segments depend on, by the words of a message."""
    found = source.stat()
    options = settings.options
    return {
        "clip": [found.st_size, found.st_mtime_ns],
        "model": [restorer.name, restorer.record.name, restorer.engine.precision],
        "codec": [encoding.codec, encoding.format],
        "quality": encoding.quality,
        "temporal": settings.temporal,
        "strength": options.strength,
        "tile": str(options.tile),
        "scales": options.scales,
        "derain version": [derain.__version__, segments.LENGTH],
    }
