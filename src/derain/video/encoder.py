"""Which encoder writes the frames, and with what settings.

An encoder counts frames instead of seeing their times, and makes no B frames: packet k is frame k.
The true times are put on the packets afterwards (``mux.py``), so they are exact for any codec,
and segments join without arithmetic on decoding times.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import av.codec.codec
import av.codec.context
from av.error import FFmpegError
from av.format import Flags
from av.video.codeccontext import VideoCodecContext

from derain.io.formats import ImageError
from derain.video.planes import Layout


@dataclass(frozen=True)
class Encoder:
    """One encoder of FFmpeg's.

    Attributes:
        name: FFmpeg's.
        worst: The value of `crf` or of the quantiser at quality 1; 0 where it knows no quality.
        options: What else it is told.
        crf: Whether quality is its option `crf`, else the range of its quantiser.
        even: Whether sizes must divide by the chroma subsampling.
        aspect: Whether the frames themselves say the aspect of a pixel.
    """

    name: str
    worst: int = 0
    options: tuple[tuple[str, str], ...] = ()
    crf: bool = True
    even: bool = False
    aspect: bool = True


# What `--codec` takes, by FFmpeg's names of the codecs -> their encoder. Threads are fixed where
# the output depends on their number, so that a clip is the same on every machine.
ENCODERS = {
    "h264": Encoder("libx264", 51, (("preset", "faster"), ("bf", "0")), even=True),
    "hevc": Encoder(
        "libx265", 51, (("preset", "medium"), ("x265-params", "bframes=0:log-level=none")),
        even=True,
    ),
    "av1": Encoder("libsvtav1", 63, (("preset", "8"), ("svtav1-params", "pred-struct=1")),
                   aspect=False),
    "vp9": Encoder("libvpx-vp9", 63, (("b", "0"), ("row-mt", "1"), ("auto-alt-ref", "0"),
                                       ("lag-in-frames", "0"), ("cpu-used", "4")), aspect=False),
    "vp8": Encoder("libvpx", 63, (("b", "100M"), ("auto-alt-ref", "0"), ("lag-in-frames", "0")),
                   aspect=False),
    "mpeg4": Encoder("mpeg4", 31, crf=False),
    "mpeg2video": Encoder("mpeg2video", 31, crf=False),
    "mjpeg": Encoder("mjpeg", 31, crf=False),
    "prores": Encoder("prores_ks"),
    "ffv1": Encoder("ffv1", options=(("level", "3"), ("slices", "4"))),
    "huffyuv": Encoder("huffyuv", aspect=False),
    "rawvideo": Encoder("rawvideo", aspect=False),
}  # fmt: skip
FALLBACKS = ("h264", "hevc", "av1", "vp9", "ffv1")
QUALITY = 95
UNSPECIFIED = 2  # H.273


@dataclass(frozen=True)
class Encoding:
    """How the frames of a clip are written.

    Attributes:
        codec: A key of `ENCODERS`.
        format: The pixel format that the encoder takes.
        layout: Size and colour tags.
        rate: Frames per second, on average.
        aspect: A pixel's width / height; None where the clip does not tell.
        quality: 1..100.
        global_header: Whether the container keeps the stream's headers.
    """

    codec: str
    format: str
    layout: Layout
    rate: Fraction
    aspect: Fraction | None
    quality: int
    global_header: bool

    def context(self) -> VideoCodecContext:
        """An encoder, opened.

        Raises:
            FFmpegError: It does not take these frames.
        """
        context = av.CodecContext.create(ENCODERS[self.codec].name, "w")
        assert isinstance(context, VideoCodecContext)
        self.configure(context)
        context.open()
        return context

    def configure(self, context: VideoCodecContext) -> None:
        """Settings for an encoder that is not open yet."""
        encoder = ENCODERS[self.codec]
        if encoder.name == "libsvtav1":  # which has no other way to be told not to print
            os.environ.setdefault("SVT_LOG", "1")
        context.width, context.height = self.layout.width, self.layout.height
        context.pix_fmt = self.format
        context.framerate, context.time_base = self.rate, 1 / self.rate
        context.sample_aspect_ratio = self.aspect or Fraction(0)
        range_, matrix, primaries, trc = self.layout.tags
        context.color_range = range_
        rgb = av.VideoFormat(self.format).is_rgb
        context.colorspace = 0 if rgb else (matrix or UNSPECIFIED)  # 0 is RGB's own
        context.color_primaries, context.color_trc = primaries, trc
        context.max_b_frames = 0
        context.options = dict(encoder.options)
        if encoder.worst:
            value = scaled_quality(self.quality, encoder.worst)
            if encoder.crf:
                context.options["crf"] = f"{value:.1f}"
            else:
                context.qmin = context.qmax = max(round(value), 2)
        if self.global_header:
            context.flags |= av.codec.context.Flags.global_header


def scaled_quality(quality: int, worst: int) -> float:
    """1..100, as for images, on an encoder's scale, on which 0 is best.

    95 is near visually lossless (`crf` 16 in H.264), 80 about the encoders' own default.
    """
    return worst * ((100 - quality) / 100) ** 0.387


def choose_encoding(
    layout: Layout,
    codec: str,
    container: str,
    *,
    rate: Fraction,
    aspect: Fraction | None,
    quality: int = QUALITY,
    wanted: str | None = None,
) -> Encoding:
    """The first encoder that takes the frames as they are and that the container can hold.

    Args:
        layout: The clip's size and colour tags.
        codec: The clip's codec.
        container: FFmpeg's name of the container to write.
        rate: Frames per second.
        aspect: A pixel's width / height.
        quality: 1..100.
        wanted: The one codec to use; None for the clip's own or else the nearest.

    Raises:
        ImageError: None does; says what was looked for.
        ValueError: An unknown codec; lists the known ones.
    """
    if wanted is not None and wanted not in ENCODERS:
        raise ValueError(f"unknown codec {wanted!r}; known: {', '.join(ENCODERS)}")
    target = av.ContainerFormat(container, "w")
    global_header = bool(target.flags & Flags.global_header.value)
    for name in _candidates(codec, wanted):
        if not _holds(container, ENCODERS[name].name):
            continue
        # PyAV has no way to tell Matroska's muxer the aspect of a pixel; the frames must.
        square = aspect in (None, 1) or container not in ("matroska", "webm")
        if not square and not ENCODERS[name].aspect:
            continue
        for format in _formats(ENCODERS[name], layout):
            encoding = Encoding(name, format, layout, rate, aspect, quality, global_header)
            try:
                encoding.context()
            except (FFmpegError, ValueError):
                continue
            return encoding
    kind = f"{layout.width}x{layout.height} {layout.format}"
    raise ImageError(
        f"{wanted or 'no codec'} cannot hold frames of {kind} in {container}; choose another "
        f"--codec{'' if container == 'matroska' else ', or .mkv with -o'}"
    )


def _candidates(codec: str, wanted: str | None) -> Iterator[str]:
    if wanted:
        yield wanted
        return
    if codec in ENCODERS:
        yield codec
    yield from (name for name in FALLBACKS if name != codec)


def _formats(encoder: Encoder, layout: Layout) -> list[str]:
    """The clip's own pixel format, by each of its names, if the encoder takes it."""
    right, down = layout.subsampling
    if encoder.even and (layout.width % right or layout.height % down):
        return []
    known = {format.name for format in av.Codec(encoder.name, "w").video_formats or ()}
    names = [layout.source, layout.format, layout.format.replace("yuvj", "yuv")]
    if "p" in layout.format and layout.tags[0] == 2:
        names.append(layout.format.replace("yuv4", "yuvj4"))
    return [name for name in dict.fromkeys(names) if name in known or not known]


def _holds(container: str, encoder: str) -> bool:
    """Whether a container can hold what an encoder makes."""
    with av.open(io.BytesIO(), "w", format=container) as probe:
        try:
            probe.add_stream(encoder)
        except ValueError:
            return False
        return True
