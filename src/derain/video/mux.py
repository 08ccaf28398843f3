"""The result: encoded frames and all that the clip has beside them, packet by packet.

Sound, subtitles, chapters, attachments and metadata are copied from the source as they are. The
file appears under its name only when it is whole.
"""

import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.stream
from av.error import FFmpegError
from av.video.stream import VideoStream

from derain.io.formats import ImageError, one_line
from derain.video.clip import Clip, open_container
from derain.video.encoder import ENCODERS, Encoding
from derain.video.segments import EncodedFrame

log = logging.getLogger(__name__)

# What a muxer writes by itself.
_OWN = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
# What Matroska's tools say of a stream, true of the source's frames alone.
_STATISTICS = {"bps", "number_of_frames", "number_of_bytes", "_statistics_writing_app",
               "_statistics_writing_date_utc", "_statistics_tags"}  # fmt: skip
# FFmpeg's demuxers that serve more than one muxer -> the muxer by the name's suffix.
_MUXERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".3gp": "3gp", ".mkv": "matroska",
    ".webm": "webm", ".avi": "avi", ".ts": "mpegts", ".mts": "mpegts", ".m2ts": "mpegts",
    ".mpg": "mpeg", ".mpeg": "mpeg", ".flv": "flv", ".wmv": "asf", ".nut": "nut", ".ogv": "ogg",
}  # fmt: skip
# Keys that MP4 has a place of its own for; others need the free form, which fewer players show.
_MP4_KEYS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
    "creation_time", "location", "track", "disc", "timecode",
}  # fmt: skip


def container_for(target: Path, source: Path, demuxer: str) -> str:
    """FFmpeg's name of the container to write.

    A result that is named like its source becomes what the source really is, whatever its name.

    Args:
        target: The result.
        source: The clip.
        demuxer: FFmpeg's name of what the clip is.

    Raises:
        ImageError: The target's suffix stands for no container; lists those that do.
    """
    suffix = target.suffix.lower()
    kinds = demuxer.split(",")
    muxer = _MUXERS.get(suffix)
    same_name = suffix == source.suffix.lower()
    if muxer and (muxer in kinds or not same_name):
        return muxer
    if same_name:
        return "mp4" if "mp4" in kinds else kinds[0]
    raise ImageError(f"{target}: unknown kind of clip; known: {', '.join(_MUXERS)}")


def write_clip(
    target: Path,
    source: Path,
    clip: Clip,
    frames: Iterator[EncodedFrame],
    encoding: Encoding,
    container: str,
) -> None:
    """Write the result.

    Args:
        target: Where to.
        source: The clip, which is read once more for all but its frames.
        clip: Its facts.
        frames: Every frame, encoded.
        encoding: How.
        container: FFmpeg's name of the container to write.

    Raises:
        ImageError: The container cannot hold a stream of the clip; says which.
        OSError: The disk is full, or the folder cannot be written to; nothing is left behind.
    """
    partial = target.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with (
            open_container(source) as inside,
            av.open(
                f"file:{partial}",
                "w",
                format=container,
                container_options=_options(container, clip),
                metadata_errors="surrogateescape",
            ) as outside,
        ):
            _mux(clip, inside, outside, frames, encoding)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except FFmpegError as error:
        code = error.errno or 0
        if 0 < code < 1000:  # the system's, such as a full disk
            raise OSError(code, os.strerror(code), str(target)) from None
        raise ImageError(f"{target}: cannot be written as {container}: {one_line(error)}") from None
    finally:
        partial.unlink(missing_ok=True)


def _mux(
    clip: Clip,
    inside: av.container.InputContainer,
    outside: av.container.OutputContainer,
    frames: Iterator[EncodedFrame],
    encoding: Encoding,
) -> None:
    """Set up the streams in their order, then write all packets by their time."""
    outside.metadata.update(_kept(inside.metadata))
    outside.set_chapters(inside.chapters())
    copies: dict[int, av.stream.Stream] = {}
    video: VideoStream | None = None
    for stream in inside.streams:
        if stream.index == clip.video.index:
            video = _add_video(outside, stream, clip, encoding)
        elif (copy := _add_copy(outside, stream, clip.name)) is not None:
            copies[stream.index] = copy
    assert video is not None
    outside.start_encoding()
    pending = _video_packets(frames, video, clip.time_base)
    following = next(pending, None)
    for packet in _copied_packets(inside, copies, clip):
        time = (packet.dts or 0) * packet.time_base
        while following is not None and (following.dts or 0) * clip.time_base <= time:
            outside.mux(following)
            following = next(pending, None)
        packet.stream = copies[packet.stream_index]
        outside.mux(packet)
    while following is not None:
        outside.mux(following)
        following = next(pending, None)


def _add_video(
    outside: av.container.OutputContainer,
    source: av.stream.Stream,
    clip: Clip,
    encoding: Encoding,
) -> VideoStream:
    """The stream of the restored frames; its headers come from an encoder that sees no frame."""
    video = outside.add_stream(ENCODERS[encoding.codec].name, rate=encoding.rate)
    assert isinstance(video, VideoStream)
    encoding.configure(video.codec_context)
    video.time_base = clip.time_base
    video.metadata.update(_kept(source.metadata, {*_STATISTICS, "duration"}))
    video.disposition = source.disposition
    video.set_display_matrix(clip.display_matrix)
    if encoding.codec == "hevc" and outside.format.name in ("mp4", "mov"):
        video.codec_context.codec_tag = "hvc1"  # Apple's players take no other
    return video


def _add_copy(
    outside: av.container.OutputContainer, source: av.stream.Stream, name: str
) -> av.stream.Stream | None:
    """A stream whose packets are copied; None for one that the muxer makes by itself."""
    if source.discard == av.stream.Discard.all:  # the text track of QuickTime's chapters
        return None
    try:
        copy = outside.add_stream_from_template(source, opaque=True)
    except (FFmpegError, ValueError, KeyError):
        if source.type == "data":
            log.warning(
                "%s: data stream %d is left out: %s cannot hold it",
                name, source.index, outside.format.name,
            )  # fmt: skip
            return None
        kind = source.codec_context.name if source.codec_context else source.type
        raise ImageError(
            f"{name}: {outside.format.name} cannot hold its {source.type} ({kind}); "
            "choose the clip's own container with -o"
        ) from None
    copy.metadata.update(_kept(source.metadata))
    copy.disposition = source.disposition
    return copy


def _copied_packets(
    inside: av.container.InputContainer, copies: dict[int, av.stream.Stream], clip: Clip
) -> Iterator[av.Packet]:
    """The packets of all streams but the restored one, each with a decoding time."""
    streams = [stream for stream in inside.streams if stream.index in copies]
    streams = [stream for stream in streams if stream.type != "attachment"]
    if not streams:
        return
    last: dict[int, int] = {}
    try:
        for packet in inside.demux(streams):
            if not packet.size and packet.pts is None:  # the end of a stream
                continue
            before = last.get(packet.stream_index)
            if packet.dts is None:
                packet.dts = packet.pts if before is None else max(packet.pts or 0, before + 1)
            if packet.pts is None:
                packet.pts = packet.dts
            last[packet.stream_index] = packet.dts or 0
            yield packet
    except FFmpegError as error:
        clip.problems.append(f"{clip.name}: sound and subtitles end early: {one_line(error)}")


def _video_packets(
    frames: Iterator[EncodedFrame], video: VideoStream, time_base: Fraction
) -> Iterator[av.Packet]:
    """Encoded frames as packets with their true times; without B frames both times are one."""
    following = next(frames, None)
    while (frame := following) is not None:
        following = next(frames, None)
        packet = av.Packet(frame.data)
        packet.stream = video
        packet.time_base = time_base
        packet.pts = packet.dts = frame.pts
        packet.duration = following.pts - frame.pts if following else frame.duration
        packet.is_keyframe = frame.keyframe
        yield packet


def _options(container: str, clip: Clip) -> dict[str, str]:
    """Options of the muxer, without which it would change what it is given."""
    match container:
        case "mp4" | "mov" | "3gp":
            options = {"video_track_timescale": str(clip.time_base.denominator)}
            if set(_kept(clip.container.metadata)) - _MP4_KEYS:
                options["movflags"] = "use_metadata_tags"
            return options
        case "matroska" | "webm":
            return {"default_mode": "passthrough"}
        case "mpegts":
            return {"mpegts_copyts": "1"}
        case _:
            return {}


def _kept(metadata: dict[str, str], without: Iterable[str] = ()) -> dict[str, str]:
    """Metadata but for what a muxer writes by itself."""
    return {k: v for k, v in metadata.items() if k.lower() not in _OWN | set(without)}
