"""Still images joined to an animated one: GIF, APNG (PNG, third edition) and WebP (RFC 9649).

Every frame is a whole still image of the format, so each is encoded as any image is and only one
is held at a time; here they get a common head, their times, and the number of loops.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from derain.io.codecs import png_chunk
from derain.io.header import gif_palette

Stills = Iterator[tuple[bytes, Fraction]]  # whole files, each with the seconds that it is shown


@dataclass(frozen=True)
class Show:
    """How frames are shown.

    Attributes:
        size: (H, W).
        count: Frames, one that is not part of the animation included.
        loops: How often, 0 for ever; None where nothing is told, which is once.
        still_first: Whether the first frame is for programs that know no animated PNG alone.
    """

    size: tuple[int, int]
    count: int
    loops: int | None
    still_first: bool = False


def write_animation(file: BinaryIO, format: str, stills: Stills, show: Show) -> None:
    """Write an animated image.

    Args:
        file: Where to; it can be sought.
        format: A name in `derain.io.formats.ANIMATED`.
        stills: All frames. Metadata are those of the first.
        show: How they are shown.
    """
    {"GIF": _write_gif, "PNG": _write_png, "WEBP": _write_webp}[format](file, stills, show)


def _write_gif(file: BinaryIO, stills: Stills, show: Show) -> None:
    """Each frame brings its own colours, and covers the whole of the one before."""
    height, width = show.size
    file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
    if show.loops is not None:
        file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", show.loops, 0))
    following = next(stills, None)
    while (current := following) is not None:
        (flags, palette, transparent, image), delay = _gif_parts(current[0]), current[1]
        following = next(stills, None)
        # What shines through the next frame must be gone by then.
        clear = following is not None and _gif_parts(following[0])[2] is not None
        control = (2 if clear else 1) << 2 | (transparent is not None)
        hundredths = min(round(delay * 100), 0xFFFF)
        file.write(b"\x21\xf9\x04" + struct.pack("<BHBB", control, hundredths, transparent or 0, 0))
        file.write(b"," + struct.pack("<4HB", 0, 0, width, height, flags) + palette + image)
    file.write(b";")


def _gif_parts(still: bytes) -> tuple[int, bytes, int | None, bytes]:
    """Flags of the frame with a palette of its own, palette, transparent index, coded pixels."""
    flags = still[10]
    start = 13 + gif_palette(flags)
    palette, position, transparent = still[13:start], start, None
    while still[position] == 0x21:
        if still[position + 1] == 0xF9 and still[position + 3] & 1:
            transparent = still[position + 6]
        position += 2
        while length := still[position]:
            position += 1 + length
        position += 1
    interlaced = still[position + 9] & 0x40
    return 0x80 | interlaced | flags & 7, palette, transparent, still[position + 10 : -1]


def _write_png(file: BinaryIO, stills: Stills, show: Show) -> None:
    """The first frame's chunks, with the others' pixels between its own and the end."""
    height, width = show.size
    sequence = 0
    for number, (still, delay) in enumerate(stills):
        chunks = list(_png_chunks(still))
        if number == 0:
            file.write(still[:8])
            plays = 1 if show.loops is None else show.loops
            head = [(kind, body) for kind, body in chunks if kind not in (b"IDAT", b"IEND")]
            head.insert(1, (b"acTL", struct.pack(">II", show.count - show.still_first, plays)))
            file.writelines(png_chunk(kind, body) for kind, body in head)
        if number or not show.still_first:
            part = min(delay, Fraction(0xFFFF)).limit_denominator(0xFFFF)
            while part.numerator > 0xFFFF:
                part = part.limit_denominator(part.denominator // 2)
            times = (part.numerator, part.denominator)
            control = struct.pack(">5I2H2B", sequence, width, height, 0, 0, *times, 0, 0)
            file.write(png_chunk(b"fcTL", control))
            sequence += 1
        for kind, body in chunks:
            if kind == b"IDAT" and number:
                file.write(png_chunk(b"fdAT", struct.pack(">I", sequence) + body))
                sequence += 1
            elif kind == b"IDAT":
                file.write(png_chunk(kind, body))
    file.write(png_chunk(b"IEND", b""))


def _png_chunks(still: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a PNG of our own."""
    position = 8
    while position < len(still):
        length, kind = struct.unpack_from(">I4s", still, position)
        yield kind, still[position + 8 : position + 8 + length]
        position += 12 + length


_ICC, _ALPHA, _EXIF, _XMP, _MOVES = 0x20, 0x10, 0x08, 0x04, 0x02  # flags of WebP's first chunk


def _write_webp(file: BinaryIO, stills: Stills, show: Show) -> None:
    """The head is written again at the end, when it is known what it has to tell."""
    height, width = show.size
    flags, last = _MOVES, b""
    start = file.tell()
    file.write(bytes(30))
    for number, (still, delay) in enumerate(stills):
        chunks = list(_webp_chunks(still))
        if number == 0:
            found = dict(chunks)
            if b"ICCP" in found:
                flags |= _ICC
                file.write(_webp_chunk(b"ICCP", found[b"ICCP"]))
            for kind, flag in ((b"EXIF", _EXIF), (b"XMP ", _XMP)):
                if kind in found:
                    flags |= flag
                    last += _webp_chunk(kind, found[kind])
            loops = 1 if show.loops is None else min(show.loops, 0xFFFF)
            file.write(_webp_chunk(b"ANIM", struct.pack("<IH", 0, loops)))
        pixels = [(kind, body) for kind, body in chunks if kind in (b"ALPH", b"VP8 ", b"VP8L")]
        flags |= _ALPHA * any(map(_has_alpha, pixels))
        milliseconds = min(round(delay * 1000), 0xFFFFFF)
        sides = (0, 0, width - 1, height - 1, milliseconds)
        head = b"".join(side.to_bytes(3, "little") for side in sides) + b"\x02"  # not blended
        file.write(_webp_chunk(b"ANMF", head + b"".join(_webp_chunk(*part) for part in pixels)))
    file.write(last)
    end = file.tell()
    file.seek(start)
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    file.write(b"RIFF" + struct.pack("<I", end - start - 8) + b"WEBP")
    file.write(_webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides))
    file.seek(end)


def _has_alpha(chunk: tuple[bytes, bytes]) -> bool:
    """Whether the pixels of a frame are transparent somewhere; lossless ones say so in a bit."""
    kind, body = chunk
    return kind == b"ALPH" or (kind == b"VP8L" and bool(body[4] & 0x10))


def _webp_chunks(still: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a WebP of our own."""
    position = 12
    while position < len(still):
        kind, length = struct.unpack_from("<4sI", still, position)
        yield kind, still[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
