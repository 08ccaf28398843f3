"""What the first directory of a TIFF says (TIFF 6 and BigTIFF), for the gate."""

import struct

from derain.io.exif import ORIENTATION, upright_exif
from derain.io.header import MAX_PAGES, SPARSEST, Header

# TIFF tags
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_FILL_ORDER, _STRIPS, _STRIP_BYTES = 266, 273, 279
_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA, _SAMPLE_FORMAT = 284, 322, 323, 338, 339
_FAX = (2, 3, 4)
# Compression -> bytes that one byte can stand for: none, LZW, deflate twice, PackBits, JPEG
_TIFF_RATIOS = {1: 1, 5: 2731, 8: 1032, 32946: 1032, 32773: 64, 7: 1800}


def parse_tiff(data: bytes) -> Header:
    """Header of a TIFF; its pages are counted, and an orientation hidden from decoders."""
    tags, pages = _tiff_directories(data)
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    bits, samples = tags.get(_BITS, [1]), tags.get(_SAMPLES, [1])[0]
    compression, photometric = tags.get(_COMPRESSION, [1])[0], tags.get(_PHOTOMETRIC, [1])[0]
    orientation = tags.get(ORIENTATION, [1])[0]
    tile = tags.get(_TILE_WIDTH, [0])[0] * tags.get(_TILE_HEIGHT, [0])[0]
    depth = max(bits)
    if not 1 <= samples <= 5 or depth < 1:
        raise ValueError(f"TIFF of {samples} channels is not supported; convert it to RGB")
    if tile > 4 * width * height + (1 << 22):
        raise ValueError("damaged image: tiles larger than the image")
    if 8 < depth <= 16 and (
        set(bits) != {16} or set(tags.get(_SAMPLE_FORMAT, [1])) != {1} or photometric > 2
        or samples not in (1, 3, 4) or tags.get(_PLANAR, [1])[0] != 1
    ):  # fmt: skip
        raise ValueError("16-bit TIFF of this kind is not supported; convert it to 16-bit RGB")
    plain = (photometric, samples) in ((0, 1), (1, 1), (2, 3), (3, 1)) and set(bits) <= {1, 8}
    # OpenCV multiplies 8-bit colours by their alpha.
    plain &= _EXTRA not in tags and compression in (*_TIFF_RATIOS, *_FAX)
    densest = _TIFF_RATIOS.get(compression, SPARSEST) * 8 / (depth * samples)
    turned = 2 <= orientation <= 8
    if turned and data[2:4] in (b"+\0", b"\0+"):
        raise ValueError("BigTIFF with an orientation is not supported; convert it to TIFF")
    return Header(
        "TIFF", width, height, max(depth, 8), orientation if turned else 1,
        opencv=depth == 16 or plain,
        inverted=depth == 16 and photometric == 0,
        frames=pages,
        densest=SPARSEST if compression in _FAX else densest,
        # Decoders would turn some of those with an orientation.
        payload=_as_ppm(data, tags) or (turned and upright_exif(data)) or b"",
    )  # fmt: skip


def _as_ppm(data: bytes, tags: dict[int, list[int]]) -> bytes:
    """The samples of a raw TIFF as a PPM, which OpenCV reads in half the time.

    Empty unless they are grey or RGB, of 8 bits, without alpha, and lie in one piece.
    """
    width, height = tags[_WIDTH][0], tags[_HEIGHT][0]
    samples = tags.get(_SAMPLES, [1])[0]
    size, offsets = width * height * samples, tags.get(_STRIPS, [])
    said = {_FILL_ORDER: [1], _PLANAR: [1], _SAMPLE_FORMAT: [1]} | tags
    expected = {
        _BITS: 8, _COMPRESSION: 1, _PHOTOMETRIC: 2 if samples == 3 else 1, _STRIP_BYTES: size,
        _FILL_ORDER: 1, _PLANAR: 1, _SAMPLE_FORMAT: 1,
    }  # fmt: skip
    if (
        samples not in (1, 3) or len(offsets) != 1 or offsets[0] + size > len(data)
        or _EXTRA in tags or _TILE_WIDTH in tags
        or any(set(said.get(tag, [])) != {value} for tag, value in expected.items())
    ):  # fmt: skip
        return b""
    start = b"P%d %d %d 255\n" % (6 if samples == 3 else 5, width, height)
    return start + data[offsets[0] : offsets[0] + size]


def _tiff_directories(data: bytes) -> tuple[dict[int, list[int]], int]:
    """The numbers in a TIFF's first directory, at most 8 of a tag, and how many there are."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    pointer, number, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    codes = {1: "B", 3: "H", 4: "I", 16: "Q"}
    (offset,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    tags: dict[int, list[int]] = {}
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) <= MAX_PAGES:
        (entries,) = struct.unpack_from(order + number, data, offset)
        first = offset + struct.calcsize(number)
        for start in range(first, first + entry * min(entries, 65535), entry) if not seen else ():
            tag, kind, count = struct.unpack_from(order + "HH" + pointer, data, start)
            if kind in codes and count:
                value = start + 4 + struct.calcsize(pointer)
                if count * struct.calcsize(codes[kind]) > struct.calcsize(pointer):
                    (value,) = struct.unpack_from(order + pointer, data, value)
                code = f"{order}{min(count, 8)}{codes[kind]}"
                if value + struct.calcsize(code) <= len(data):
                    tags.setdefault(tag, list(struct.unpack_from(code, data, value)))
        seen.add(offset)
        (offset,) = struct.unpack_from(order + pointer, data, first + entry * entries)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise ValueError("damaged image: no size")
    return tags, len(seen)
