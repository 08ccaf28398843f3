"""What the headers of image files say, format by format, for the gate.

Every function takes a whole file and allocates nothing that the file does not have; whatever leads
out of it is an exception. Metadata are taken out too, so their types are known.

Sources: PNG (ISO 15948), JPEG (ITU-T T.81), JFIF, EXIF 2.32, GIF89a, WebP's container (RFC 9649),
JPEG 2000 (ITU-T T.800), HEIF's boxes (ISO 23008-12).
"""

import re
import struct
import zlib
from dataclasses import dataclass

from derain.io.exif import orientation_of

MAX_METADATA = 16_000_000  # bytes of a colour profile or XMP packet that is stored compressed
MAX_PAGES = 1000  # of a TIFF that are counted
MAX_FRAMES = 20_000  # of a GIF that are counted
MAX_SCANS = 100  # of a progressive JPEG, each of which passes over the whole image
SPARSEST = 50_000  # pixels per byte: sparser files of formats without a bound are not believed

CUT = "damaged image: cut off"


@dataclass(frozen=True)
class Header:
    """What a file says of its image."""

    format: str  # as in FORMATS
    width: int  # pixels, as stored
    height: int
    bits: int = 8  # per channel
    orientation: int = 1  # EXIF, 1..8
    grey: bool = False  # told here where the decoded channels do not tell
    opencv: bool = True  # OpenCV decodes it to the right pixels; Pillow otherwise
    inverted: bool = False  # 0 is white
    frames: int = 1
    densest: float = SPARSEST  # pixels that one byte of the file can hold at most
    exif: bytes | None = None  # a TIFF block
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    payload: bytes = b""  # the file as decoders get it: without what they need not see

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the image as it is looked at."""
        turned = self.orientation > 4
        return (self.width, self.height) if turned else (self.height, self.width)


_PNG_STILL = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # chunks that pixels need
_PNG_MOVING = (*_PNG_STILL, b"fcTL", b"fdAT")


def parse_png(data: bytes) -> Header:
    """Header of a PNG; all chunks are walked, and only those that pixels need go on."""
    view, position, chunks = memoryview(data), 8, 0
    needed = _PNG_STILL
    kept: list[memoryview] = [view[:8]]
    found: dict[bytes, bytes] = {}
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        chunks += 1
        if end > len(data):
            raise ValueError(CUT)
        if chunks > 1000 + len(data) // 1000:
            raise ValueError("damaged image: too many chunks")
        if (kind == b"IHDR") != (chunks == 1):
            raise ValueError("damaged image: no header")
        if kind in needed:
            (stored,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[position + 4 : end - 4]) != stored:
                raise ValueError("damaged image: wrong checksum")
            kept.append(view[position:end])
        body = view[position + 8 : end - 4]
        if kind == b"iTXt":
            if bytes(body[:18]) == b"XML:com.adobe.xmp\0":
                found[kind] = bytes(body)
        elif kind in (b"IHDR", b"tRNS", b"eXIf", b"iCCP", b"pHYs", b"acTL"):
            found.setdefault(kind, bytes(body))
        if kind == b"acTL" and struct.unpack_from(">I", found[kind])[0] > 1:
            needed = _PNG_MOVING
            kept.append(view[position:end])
        position = end
    width, height, bits, colour = struct.unpack_from(">IIBB", found[b"IHDR"])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour)
    if channels is None or bits not in (1, 2, 4, 8, 16):
        raise ValueError("damaged image: no such PNG")
    frames = struct.unpack_from(">I", found[b"acTL"])[0] if b"acTL" in found else 1
    exif = found.get(b"eXIf")
    return Header(
        "PNG", width, height, max(bits, 8), orientation_of(exif),
        grey=colour in (0, 4),
        # OpenCV leaves out a transparent grey level.
        opencv=not (colour == 0 and bits < 16 and b"tRNS" in found),
        frames=frames,
        densest=1032 * 8 / (bits * channels),
        exif=exif,
        icc=_inflated(found[b"iCCP"].partition(b"\0")[2][1:]) if b"iCCP" in found else None,
        xmp=_png_text(found.get(b"iTXt", b"")),
        dpi=_png_dpi(found.get(b"pHYs", b"")),
        payload=data if sum(map(len, kept)) == len(data) else b"".join(kept),
    )  # fmt: skip


def _inflated(data: bytes) -> bytes | None:
    """Metadata that is stored compressed; None where it is damaged or too large."""
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(data, MAX_METADATA)
    except zlib.error:
        return None
    return None if inflater.unconsumed_tail else text or None


def _png_text(body: bytes) -> bytes | None:
    """The text of an iTXt chunk: keyword, compression, language, translated keyword, text."""
    _, _, rest = body.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    return (_inflated(parts[2]) if rest[0] else parts[2]) or None


def _png_dpi(body: bytes) -> tuple[float, float] | None:
    if len(body) != 9 or body[8] != 1:
        return None
    across, down = struct.unpack_from(">II", body)
    return possible_dpi(across * 0.0254, down * 0.0254)


def possible_dpi(across: float, down: float) -> tuple[float, float] | None:
    """A resolution in dots per inch, if it is one: 1 and less stand for unknown, NaN for 0/0."""
    return (across, down) if 1 < across < 1e5 and 1 < down < 1e5 else None


def parse_jpeg(data: bytes) -> Header:
    """Header of a JPEG; its segments are walked up to the first scan, and its end looked for."""
    position, size = 2, None
    exif = xmp = dpi = None
    profile: dict[int, bytes] = {}
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise ValueError(CUT)
        marker = data[position + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fillers, no length
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        if marker == 0xD9 or position > len(data):
            raise ValueError(CUT)
        if marker == 0xDA:
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack_from(">BHHB", body)
        elif marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) >= 12:
            unit, across, down = struct.unpack_from(">BHH", body, 7)
            factor = {1: 1.0, 2: 2.54}.get(unit, 0.0)
            dpi = possible_dpi(across * factor, down * factor)
        elif marker == 0xE1 and body[:6] == b"Exif\0\0":
            exif = exif or body[6:]
        elif marker == 0xE1 and body[:29] == b"http://ns.adobe.com/xap/1.0/\0":
            xmp = xmp or body[29:]
        elif marker == 0xE2 and body[:12] == b"ICC_PROFILE\0" and len(body) > 14:
            profile[body[12]] = body[14:]
    if size is None:
        raise ValueError("damaged image: no frame")
    # Inside coded data 0xff stands only before 0 and restart markers.
    if data.find(b"\xff\xd9", position) < 0:
        raise ValueError(CUT)
    if data.count(b"\xff\xda", position) > MAX_SCANS:
        raise ValueError(f"damaged image: more than {MAX_SCANS} scans")
    bits, height, width, components = size
    if bits != 8:
        raise ValueError(f"JPEG of {bits} bits is not supported; convert it to PNG or TIFF")
    return Header(
        "JPEG", width, height, 8, orientation_of(exif),
        opencv=components in (1, 3),  # OpenCV ignores the profile of CMYK
        densest=600,  # a bit for 64 pixels at least
        exif=exif,
        icc=b"".join(profile[k] for k in sorted(profile)) or None,
        xmp=xmp,
        dpi=dpi,
    )  # fmt: skip


def parse_webp(data: bytes) -> Header:
    """Header of a WebP: the larger of the container's and the image's own size."""
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data):
        raise ValueError(CUT)
    position, frames, width, height = 12, 0, 0, 0
    found: dict[bytes, bytes] = {}
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        start = position + 8
        if start + length > end:
            raise ValueError(CUT)
        sizes = (0, 0)
        if kind == b"VP8X":
            sizes = [1 + int.from_bytes(data[start + k : start + k + 3], "little") for k in (4, 7)]
        elif kind == b"VP8 ":
            sizes = [side & 0x3FFF for side in struct.unpack_from("<HH", data, start + 6)]
        elif kind == b"VP8L":
            (packed,) = struct.unpack_from("<I", data, start + 1)
            sizes = [1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)]
        elif kind in (b"EXIF", b"ICCP", b"XMP "):
            found.setdefault(kind, data[start : start + length])
        frames += kind == b"ANMF"
        width, height = max(width, sizes[0]), max(height, sizes[1])
        position = start + length + length % 2
    if max(width, height) > 1 << 14:
        raise ValueError("damaged image: no WebP is that long or wide")
    exif = found.get(b"EXIF", b"").removeprefix(b"Exif\0\0") or None
    return Header(
        "WEBP", width, height, 8, orientation_of(exif), frames=max(frames, 1),
        exif=exif, icc=found.get(b"ICCP") or None, xmp=found.get(b"XMP ") or None,
    )  # fmt: skip


def parse_bmp(data: bytes) -> Header:
    """Header of a BMP of any version."""
    (size,) = struct.unpack_from("<I", data, 14)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return Header("BMP", width, height, opencv=bits == 24, densest=8 / max(bits, 1))
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    across, down = struct.unpack_from("<II", data, 38)
    return Header(
        "BMP", width, abs(height),
        opencv=compression == 0 and bits in (1, 4, 8, 24),
        densest=SPARSEST if compression in (1, 2) else 8 / max(bits, 1),
        dpi=possible_dpi(across * 0.0254, down * 0.0254),
    )  # fmt: skip


_PNM = re.compile(rb"P([1-6])" + 3 * rb"(?:(?:\s|#[^\r\n]*[\r\n])+(\d{1,10}))?")


def parse_pnm(data: bytes) -> Header:
    """Header of a PBM, PGM or PPM, binary or plain."""
    match = _PNM.match(data)
    if match is None:
        raise ValueError(CUT)
    kind, *numbers = match.groups()
    plain, bitmap = kind < b"4", kind in b"14"
    if None in numbers[: 2 if bitmap else 3]:
        raise ValueError(CUT)
    width, height, top = int(numbers[0]), int(numbers[1]), 1 if bitmap else int(numbers[2])
    if not bitmap and top not in (255, 65535) and (plain or not 0 < top < 255):
        raise ValueError(f"values up to {top} are not supported; convert to 255 or 65535")
    bits = 16 if top == 65535 else 8
    per_pixel = (3 if kind in b"36" else 1) * (1 if plain else bits // 8)
    return Header(
        "PPM", width, height, bits,
        opencv=bitmap or top in (255, 65535),  # Pillow scales the others
        densest=(1 if plain else 8) if bitmap else 1 / per_pixel,
    )  # fmt: skip


def parse_gif(data: bytes) -> Header:
    """Header of a GIF: its screen, or a frame that reaches beyond it."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position, frames = 13 + gif_palette(flags), 0
    while position < len(data) and data[position] != 0x3B and frames <= MAX_FRAMES:
        if data[position] == 0x21:
            position += 2
        elif data[position] == 0x2C:
            frames += 1
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + across), max(height, top + down)
            position += 11 + gif_palette(flags)
        else:
            raise ValueError("damaged image: no GIF block")
        while length := data[position]:
            position += 1 + length
        position += 1
    if not frames:
        raise ValueError(CUT)
    return Header("GIF", width, height, opencv=False, frames=frames, densest=3000)


def gif_palette(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def parse_jpeg2000(data: bytes) -> Header:
    """Header of a JPEG 2000, in its container or without."""
    start = data.find(b"\xff\x4f\xff\x51") + 4
    if start < 4:
        raise ValueError("damaged image: no codestream")
    right, bottom, left, top, tile_width, tile_height, _, _, components = struct.unpack_from(
        ">8IH", data, start + 4
    )
    width, height = right - left, bottom - top
    depths = data[start + 38 : start + 38 + 3 * components : 3]
    tiles = -(-right // max(tile_width, 1)) * -(-bottom // max(tile_height, 1))
    box = data.find(b"ihdr", 0, start)
    if box >= 0 and struct.unpack_from(">II", data, box + 4) != (height, width):
        raise ValueError("damaged image: two sizes")
    if not 1 <= components <= 4 or len(depths) < components or tiles > 65535:
        raise ValueError("damaged image: no such JPEG 2000")
    if any(depth != 7 for depth in depths):
        raise ValueError("JPEG 2000 of other than 8 bits is not supported; convert to PNG or TIFF")
    return Header("JPEG2000", width, height, opencv=False)


def parse_avif(data: bytes) -> Header:
    """Header of an AVIF: the largest image in its container."""
    position, meta = 0, b""
    while position + 8 <= len(data) and not meta:
        length, kind = struct.unpack_from(">I4s", data, position)
        meta = data[position : position + length] if kind == b"meta" else b""
        position += max(length, 8)
    sizes = [struct.unpack_from(">II", meta, m.end() + 4) for m in re.finditer(b"ispe", meta)]
    if not sizes:
        raise ValueError("damaged image: no size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    rotation = meta.find(b"irot")
    quarters = meta[rotation + 4] & 3 if rotation >= 0 else 0  # counter-clockwise
    flags = [meta[m.end() + 2] >> 5 & 3 for m in re.finditer(b"av1C", meta)]  # of AV1's decoder
    bits = max(({2: 10, 3: 12}.get(flag, 8) for flag in flags), default=8)
    orientation = (1, 8, 3, 6)[quarters]
    return Header("AVIF", width, height, bits, orientation, opencv=False)
