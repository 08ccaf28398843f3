"""A clip from the outside: opened with care, its facts, its frames, what is wrong with it.

PyAV (FFmpeg) reads it. Only containers of the list are tried and only the file itself is read: a
playlist that calls itself clip.mp4 could otherwise make FFmpeg fetch other files or addresses.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.codec.context
import av.container
import av.stream
import av.video.stream
import numpy as np
from av.error import EOFError as EndOfFile
from av.error import FFmpegError, InvalidDataError, PatchWelcomeError

from derain.io.formats import MAX_PIXELS, ImageError, one_line
from derain.video.frames import Frame, Shot
from derain.video.planes import Layout, layout_of, to_rgb

DEMUXERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,nut,ogg"  # FFmpeg's names
PROGRESSIVE = (0, 1)  # AVFieldOrder: unknown, progressive
HDR = {16: "PQ", 18: "HLG"}  # AVColorTransferCharacteristic
RATE = Fraction(25)  # where a clip does not tell


@dataclass
class Clip:
    """An open clip.

    Attributes:
        name: What messages call it.
        container: PyAV's.
        video: The stream that is restored.
        layout: How its frames are stored.
        rotation: Multiple of 90 degrees, counter-clockwise, by which players turn its frames.
        display_matrix: The nine numbers behind it, or None.
        problems: What was found wrong so far, one line each; it grows while frames are read.
    """

    name: str
    container: av.container.InputContainer
    video: av.video.stream.VideoStream
    layout: Layout
    rotation: int
    display_matrix: tuple[int, ...] | None
    problems: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.container.close()

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, whichever decoder reads it."""
        return self.video.codec_context.codec.canonical_name

    @property
    def time_base(self) -> Fraction:
        """Seconds per unit of time stamps."""
        return self.video.time_base or 1 / RATE

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average, as a sane number."""
        rate = self.video.average_rate or self.video.guessed_rate or RATE
        return min(max(rate, Fraction(1)), Fraction(240)).limit_denominator(1001)

    @property
    def expected(self) -> int:
        """The number of frames, as far as the container tells; 0 where it does not."""
        if self.video.frames:
            return self.video.frames
        seconds = (self.container.duration or 0) / 1e6
        return max(round(seconds * self.rate), 0)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a frame as it is stored."""
        return self.layout.height, self.layout.width

    def shots(self, first: int) -> Iterator[Shot]:
        """The frames from a number on as RGB, upright. To be called once."""
        for frame in self.frames():
            if frame.index >= first:
                assert isinstance(frame.image, av.VideoFrame)
                rgb = to_rgb(frame.image, self.layout)
                yield Shot(frame, np.ascontiguousarray(np.rot90(rgb, self.rotation // 90)))

    def frames(self) -> Iterator[Frame]:
        """Every frame in the order of display. To be called once."""
        count, last = 0, None
        step = max(round(1 / (self.rate * self.time_base)), 1)
        for image in self._decoded():
            if (image.width, image.height) != (self.layout.width, self.layout.height):
                self.problems.append(
                    f"{self.name}: frame {count} is {image.width}x{image.height} instead of "
                    f"{self.layout.width}x{self.layout.height}; left out from there on"
                )
                return
            if self.layout.source != image.format.name:
                self.problems.append(
                    f"{self.name}: frame {count} is {image.format.name} instead of "
                    f"{self.layout.source}; left out from there on"
                )
                return
            pts = image.pts if image.pts is not None else image.dts
            if pts is None:
                pts = 0 if last is None else last + step
            if last is not None and pts <= last:
                pts = last + 1  # containers refuse times that stand still
            broken = image.is_corrupt
            if broken:
                self.problems.append(f"{self.name}: {self.at(pts)}: the frame is damaged")
            yield Frame(count, pts, image.duration or 0, image, broken)
            count, last = count + 1, pts
        if not count:
            self.problems.append(f"{self.name}: no frame in it can be decoded")

    def at(self, pts: int) -> str:
        """A time as messages say it, from the start of the clip."""
        seconds = float((pts - (self.video.start_time or 0)) * self.time_base)
        return f"at {seconds:.2f} s"

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """The frames of all packets that can be decoded."""
        packets, corrupt, last = 0, False, 0
        try:
            for packet in self.container.demux(self.video):
                packets += packet.size > 0
                corrupt |= packet.is_corrupt
                last = packet.pts if packet.pts is not None else last
                try:
                    yield from self.video.decode(packet if packet.size else None)
                except EndOfFile:
                    break
                except (InvalidDataError, PatchWelcomeError) as error:
                    self.problems.append(
                        f"{self.name}: {self.at(last)}: a frame cannot be decoded: {_why(error)}"
                    )
        except FFmpegError as error:
            self.problems.append(f"{self.name}: {self.at(last)}: cut off: {_why(error)}")
            return
        if packets < self.video.frames:
            self.problems.append(
                f"{self.name}: cut off: {packets} of {self.video.frames} frames are there"
            )
        elif corrupt or self._too_short(last):
            self.problems.append(f"{self.name}: {self.at(last)}: cut off")

    def _too_short(self, last: int) -> bool:
        """Whether the last frame comes long before the end that the container tells."""
        if "matroska" not in self.container.format.name:  # others measure instead of telling
            return False
        told = (self.video.duration or 0) * float(self.time_base)
        told = told or (self.container.duration or 0) / 1e6
        sound = any(stream.type == "audio" for stream in self.container.streams)
        seconds = last * float(self.time_base)
        return told - seconds > (5 if sound else 0.5) + 2 / float(self.rate)


def open_clip(path: Path, max_pixels: int = MAX_PIXELS) -> Clip:
    """Open a clip and look at its first frame.

    Raises:
        ImageError: No clip, damaged, without pictures, or of a kind that would not come out right
            (HDR, interlaced, transparent); names it and the way out.
    """
    container = open_container(path)
    try:
        video = _picture_stream(container, str(path))
        context = video.codec_context
        if context.width * context.height > max_pixels:
            raise ImageError(
                f"{path}: {context.width}x{context.height} is over the limit of "
                f"{max_pixels / 1e6:g} megapixels; --max-pixels raises it"
            )
        context.thread_type = "AUTO"
        context.flags |= av.codec.context.Flags.output_corrupt
        first = _first_frame(path)
        _refuse_unfit(first, context.field_order, path)
        matrix = _display_matrix(first)
        return Clip(
            str(path), container, video, layout_of(first, str(path)), first.rotation, matrix
        )
    except BaseException:
        container.close()
        raise


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file of one of the known containers; no other file or address is touched.

    Raises:
        ImageError: It is none, or damaged; names it.
    """
    if not path.is_file():
        raise ImageError(f"{path}: no such file")
    if not path.stat().st_size:
        raise ImageError(f"{path}: empty file")
    try:
        return av.open(
            f"file:{path}",  # a name with a colon is no address
            metadata_errors="surrogateescape",  # text in any code comes through as it is
            container_options={"format_whitelist": DEMUXERS, "protocol_whitelist": "file"},
        )
    except (FFmpegError, ValueError) as error:
        raise ImageError(f"{path}: not a clip that derain can read: {_why(error)}") from None


def _picture_stream(
    container: av.container.InputContainer, name: str
) -> av.video.stream.VideoStream:
    """The stream to restore: the first that is no cover."""
    cover = av.stream.Disposition.attached_pic
    found = [s for s in container.streams.video if not s.disposition & cover]
    if not found:
        raise ImageError(f"{name}: has no video")
    if found[0].codec_context is None:
        raise ImageError(f"{name}: its video has a codec that FFmpeg does not know")
    return found[0]


def _first_frame(path: Path) -> av.VideoFrame:
    """The first frame that can be decoded, from a reader of its own.

    What is decoded to look would be missing afterwards, and going back is not exact everywhere.
    """
    with open_container(path) as container:
        video = _picture_stream(container, str(path))
        try:
            for packet in container.demux(video):
                try:
                    for frame in video.decode(packet if packet.size else None):
                        return frame
                except EndOfFile:
                    break
                except (InvalidDataError, PatchWelcomeError):
                    continue
        except FFmpegError as error:
            raise ImageError(f"{path}: no frame can be decoded: {_why(error)}") from None
    raise ImageError(f"{path}: no frame in it can be decoded")


def _refuse_unfit(frame: av.VideoFrame, field_order: int, path: Path) -> None:
    """Say no to what would not come out right."""
    if frame.color_trc in HDR:
        raise ImageError(
            f"{path}: HDR clips ({HDR[frame.color_trc]}) are not supported, since the networks "
            "know standard range only; convert it to SDR first"
        )
    if frame.interlaced_frame or field_order not in PROGRESSIVE:
        raise ImageError(
            f"{path}: interlaced clips are not supported; deinterlace it first, such as with "
            "ffmpeg's filter bwdif"
        )
    if frame.rotation % 90:
        raise ImageError(f"{path}: turned by {frame.rotation} degrees, no multiple of 90")


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The nine numbers that turn or mirror the frame on the screen."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    return tuple(int(number) for number in np.frombuffer(memoryview(data), np.int32))


def _why(error: Exception) -> str:
    """FFmpeg's reason, without the name of the file."""
    return getattr(error, "strerror", None) or one_line(error)
