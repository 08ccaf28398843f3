"""The orientation in an EXIF block, read and reset in place."""

import struct
from collections.abc import Iterator

ORIENTATION = 0x0112  # EXIF tag


def _entries(block: bytes | bytearray) -> Iterator[tuple[str, int, int]]:
    """Byte order, tag and position of the first directory's entries; then its link as tag -1."""
    order = {b"II": "<", b"MM": ">"}[bytes(block[:2])]
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        yield order, struct.unpack_from(order + "H", block, entry)[0], entry
    yield order, -1, start + 2 + 12 * count


def orientation_of(block: bytes | None) -> int:
    """The orientation 1..8 that an EXIF block (a TIFF) states; 1 where it states none."""
    try:
        for order, tag, entry in _entries(block or b""):
            if tag == ORIENTATION:
                (value,) = struct.unpack_from(order + "H", block or b"", entry + 8)
                return value if 1 <= value <= 8 else 1
    except (struct.error, KeyError):
        pass
    return 1


def upright_exif(block: bytes | None) -> bytes | None:
    """Set the orientation tag to 1 and cut the link to the thumbnail, leaving all else in place.

    Editing in place keeps maker notes valid, whose offsets count from the start of the block.

    Returns:
        The block, or None where there is none or it is damaged.
    """
    if block is None:
        return None
    edited = bytearray(block)
    try:
        for order, tag, entry in _entries(block):
            if tag == ORIENTATION:
                struct.pack_into(order + "HIHH", edited, entry + 2, 3, 1, 1, 0)
            elif tag == -1:
                struct.pack_into(order + "I", edited, entry, 0)
    except (struct.error, KeyError):
        return None
    return bytes(edited)
