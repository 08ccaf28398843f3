"""Restore a clip or an animated image: frame by frame, encoded in segments, joined at the end."""

import contextlib
import errno
import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import derain
from derain.io.animation import open_animation
from derain.io.clips import is_animation
from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.restore import DEFAULTS, RestoreOptions, Restorer
from derain.video import segments
from derain.video.animation import AnimationSource, animation_sink
from derain.video.clip import open_clip
from derain.video.clip_sink import clip_sink
from derain.video.encoder import QUALITY
from derain.video.ends import Sink, Source
from derain.video.frames import Shot
from derain.video.pipeline import ahead
from derain.video.segments import Segment, Segments
from derain.video.temporal import CONTEXT, fused


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
    """Take the rain out of a clip or an animated image; all else in it stays as it is.

    Args:
        source: A clip, or an animated GIF, PNG or WebP.
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
        if settings.resume:
            segments.remove_joined(target)
        raise ImageError(f"{target}: exists already; choose another name or overwrite it")
    if target.exists() and target.samefile(source):
        raise ImageError(f"{target}: is the clip itself; choose another name")
    restorer.tile_for(1, 1, settings.options.tile)  # a wrong option is said before anything is done
    restorer.scales_for(1, 1, settings.options.scales)
    movie, sink = _ends(source, target, settings)
    with movie:
        target.parent.mkdir(parents=True, exist_ok=True)
        kept = Segments(target, _plan(source, restorer, settings, sink))
        kept.prepare(settings.resume, settings.overwrite)
        try:
            _encode(movie, sink, kept, restorer, settings, on_frame, cancel)
            frames, change = kept.summary()
            parts = itertools.chain.from_iterable(segment.packets for segment in kept.all())
            sink.write(target, parts, frames)
        except BaseException as error:
            if not kept.finished():  # nothing to go on with
                kept.remove()
            elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
                why = "the disk is full; make room, then --resume goes on with the segments"
                raise OSError(error.errno, why, str(target)) from None
            raise
        kept.remove()
        return Report(frames, movie.size, change / frames, tuple(movie.problems))


def _ends(path: Path, target: Path, settings: VideoSettings) -> tuple[Source, Sink]:
    """The source, opened, and what its result needs."""
    if is_animation(path):
        image = open_animation(path, settings.max_pixels)
        return AnimationSource(image), animation_sink(image, target, settings.quality)
    clip = open_clip(path, settings.max_pixels)
    try:
        return clip, clip_sink(clip, path, target, settings.quality, settings.codec)
    except BaseException:
        clip.container.close()
        raise


def _encode(
    source: Source,
    sink: Sink,
    kept: Segments,
    restorer: Restorer,
    settings: VideoSettings,
    on_frame: Callable[[Progress], None],
    cancel: Callable[[], bool],
) -> None:
    """Restore and encode what is not there yet, segment by segment."""
    number = kept.finished()
    done = number * segments.LENGTH
    shots = ahead(_restored(ahead(source.shots(done - CONTEXT)), source, restorer, settings))
    if settings.temporal:
        shots = ahead(fused(shots))
    strength = np.float32(settings.options.strength)
    with contextlib.closing(shots):
        new = (shot for shot in shots if shot.frame.index >= done)
        while group := list(itertools.islice(new, 1)):
            group = itertools.chain(group, itertools.islice(new, segments.LENGTH - 1))
            stopping, total = False, 0.0
            encoder = sink.encoder()
            for shot in group:
                change = None
                if shot.clean is not None:  # which nobody needs any more
                    change = np.subtract(shot.clean, shot.rainy, out=shot.clean)
                    change *= strength
                    total += cv2.norm(change, cv2.NORM_L1) / change.size * 255
                encoder.add(shot.frame, change)
                done += 1
                on_frame(Progress(done, max(source.expected, done)))
                stopping |= cancel()
            kept.save(number, Segment(encoder.finish(), total))
            number += 1
            if stopping:
                raise Stopped(
                    f"{source.name}: stopped after {done} of {source.expected} frames; "
                    "--resume goes on"
                )
    if not done:
        raise ImageError(source.problems[-1])


def _restored(
    shots: Generator[Shot], source: Source, restorer: Restorer, settings: VideoSettings
) -> Iterator[Shot]:
    """The frames with the network's result; broken ones without."""
    options = replace(settings.options, strength=1.0)
    with contextlib.closing(shots):  # what is raised here would keep the decoder's thread alive
        for shot in shots:
            if shot.frame.broken:
                yield shot
                continue
            try:
                yield replace(shot, clean=restorer.restore_pixels(shot.rainy, options))
            except ValueError as error:
                why = f"{source.at(shot.frame.pts)}: copied unrestored: {one_line(error)}"
                source.problems.append(f"{source.name}: {why}")
                yield shot


def _plan(source: Path, restorer: Restorer, settings: VideoSettings, sink: Sink) -> dict[str, Any]:
    """All that the segments depend on, by the words of a message."""
    found = source.stat()
    options = settings.options
    return {
        "clip": [found.st_size, found.st_mtime_ns],
        "model": [restorer.name, restorer.record.name, restorer.engine.precision],
        "codec": sink.codec,
        "quality": settings.quality,
        "temporal": settings.temporal,
        "strength": options.strength,
        "tile": str(options.tile),
        "scales": options.scales,
        "derain version": [derain.__version__, segments.LENGTH],
    }
