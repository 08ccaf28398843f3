"""What no library here writes: 16-bit PNG and TIFF with their metadata, 16-bit PPM."""

import struct
import zlib
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, TiffTags

DIRECTORIES = (34665, 34853)  # tags of the camera's and the place's directory
EXIF_TAGS = (270, 271, 272, 305, 306, 315, 33432, *DIRECTORIES)  # of a TIFF, that carry EXIF


class Extras(Protocol):
    """What rides along with the pixels."""

    @property
    def exif(self) -> bytes | None:
        """A TIFF block."""

    @property
    def icc(self) -> bytes | None:
        """A colour profile."""

    @property
    def xmp(self) -> bytes | None:
        """An XML packet."""

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Dots per inch, across and down."""


def encode_png16(samples: NDArray[Any], extras: Extras) -> bytes:
    """16-bit PNG by OpenCV, with the metadata chunks it does not write itself."""
    if samples.ndim == 3:
        samples = np.dstack([samples[..., 2::-1], samples[..., 3:]])
    ok, encoded = cv2.imencode(".png", samples)
    if not ok:
        raise ValueError("16-bit PNG: encoding failed")
    chunks = b""
    if extras.icc:
        chunks += png_chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(extras.icc))
    if extras.dpi:
        dots = (round(d / 0.0254) for d in extras.dpi)
        chunks += png_chunk(b"pHYs", struct.pack(">IIB", *dots, 1))
    if extras.exif:
        chunks += png_chunk(b"eXIf", extras.exif)
    if extras.xmp:  # a keyword, not compressed, in no language
        chunks += png_chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + extras.xmp)
    data = encoded.tobytes()
    header = 8 + 25  # signature and IHDR; metadata must stand before the pixels
    return data[:header] + chunks + data[header:]


def encode_ppm16(samples: NDArray[Any]) -> bytes:
    """16-bit PPM or, of one channel, PGM; its values are big-endian."""
    height, width = samples.shape[:2]
    kind = b"P5" if samples.ndim == 2 else b"P6"
    return b"%b\n%d %d\n65535\n" % (kind, width, height) + samples.astype(">u2").tobytes()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """Length, kind, data and checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_tiff(samples: NDArray[Any], extras: Extras) -> bytes:
    """TIFF of 8 or 16 bits, compressed; no library here writes 16-bit colour, or EXIF within.

    Layout: header, directory, strips. The directory is Pillow's, sub-directories included; it
    counts the strips' offsets from its own end.
    """
    samples = np.atleast_3d(samples)
    samples = samples.astype(samples.dtype.newbyteorder("<"))
    height, width, count = samples.shape
    rows = max(1, (1 << 20) // samples[0].nbytes)
    differences = samples.copy()
    differences[:, 1:] -= samples[:, :-1]
    strips = [
        zlib.compress(differences[top : top + rows].tobytes(), 6) for top in range(0, height, rows)
    ]
    lengths = [len(strip) for strip in strips]
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if extras.exif:
        exif = Image.Exif()
        exif.load(extras.exif)
        for tag in EXIF_TAGS:
            value = exif.get_ifd(tag) if tag in DIRECTORIES else exif.get(tag)
            if value:
                directory[tag] = dict(value) if tag in DIRECTORIES else value
    directory[256], directory[257] = width, height
    directory[258] = (8 * samples.itemsize,) * count
    directory[259], directory[317] = 8, 2  # deflate, horizontal differencing
    directory[262] = 2 if count > 2 else 1
    directory[277], directory[278] = count, rows
    directory.tagtype[273] = directory.tagtype[279] = TiffTags.LONG
    directory[273] = tuple(int(offset) for offset in np.cumsum([0, *lengths[:-1]]))
    directory[279] = tuple(lengths)
    if count in (2, 4):
        directory[338] = 2  # unassociated alpha
    if extras.icc:
        directory.tagtype[34675] = TiffTags.UNDEFINED
        directory[34675] = extras.icc
    if extras.xmp:
        directory.tagtype[700] = TiffTags.BYTE
        directory[700] = extras.xmp
    if extras.dpi:
        directory[282], directory[283], directory[296] = *extras.dpi, 2
    return b"II*\x00\x08\x00\x00\x00" + directory.tobytes(8) + b"".join(strips)
