"""What Pillow does for us: kinds of images that OpenCV cannot hold, and the metadata of TIFF.

A file comes here after the gate (``header``), and each format is opened by its own class: Pillow
never guesses, so no other program can be started, and its global limit plays no part.
"""

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from derain.io.codecs import DIRECTORIES, EXIF_TAGS
from derain.io.exif import ORIENTATION
from derain.io.header import Header, possible_dpi

log = logging.getLogger(__name__)

READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "PPM": PpmImagePlugin.PpmImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
try:
    from PIL import AvifImagePlugin

    READERS["AVIF"] = AvifImagePlugin.AvifImageFile
except ImportError:  # before Pillow 11.2
    pass

_catching = threading.Lock()  # Python's list of warning filters is one for all threads


@contextmanager
def warnings_to_log(name: str) -> Iterator[None]:
    """Send what Pillow warns of to the log, each text once."""
    with _catching, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                log.info("%s: %s", name, text)


def open_checked(header: Header, data: bytes) -> ImageFile.ImageFile:
    """Open a file that passed the gate by its format's own class.

    Raises:
        Exception: Anything, from a damaged file.
    """
    reader = READERS.get(header.format)
    if reader is None:
        raise ValueError(f"{header.format} needs a newer Pillow: `pip install -U Pillow`")
    return reader(io.BytesIO(data))


def decode(header: Header) -> tuple[NDArray[Any], Header]:
    """Decode the pixels of a checked file.

    Returns:
        (H, W) or (H, W, 2, 3 or 4) uint8, as stored; and the header, with what came to light.

    Raises:
        Exception: Anything, from a damaged file; for ``derain.io.decode`` to name.
    """
    with warnings_to_log(header.format), open_checked(header, header.payload) as image:
        check_mode(image)
        image.load()
        orientation = header.orientation
        if header.format == "AVIF":  # a rotation of the container
            orientation = image.getexif().get(ORIENTATION, 1)
        icc = header.icc or _bytes(image, "icc_profile")
        if image.mode == "CMYK":
            values = np.asarray(cmyk_to_rgb(image, icc))
            header = replace(header, icc=None)
        else:
            mode = plain_mode(image)
            values = np.asarray(image if image.mode == mode else image.convert(mode))
    return values, replace(header, orientation=orientation)


def check_mode(image: Image.Image) -> None:
    """Refuse what derain does not restore, before any pixel is decoded.

    Raises:
        ValueError: Several pages or frames, or 32 bits per channel.
    """
    frames = getattr(image, "n_frames", 1) if image.format != "TIFF" else 1  # counted before
    if frames > 1 and image.format != "MPO":  # a photograph with its depth or gain map
        raise ValueError(f"has {frames} pages or frames; split it first")
    if image.mode in ("I", "F"):
        raise ValueError("32 bits per channel are not supported; convert to 16")


def plain_mode(image: Image.Image) -> str:
    """The mode among L, LA, RGB and RGBA that holds all of an 8-bit image."""
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        return "LA" if transparent else "L"
    return "RGBA" if transparent else "RGB"


def cmyk_to_rgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK to sRGB, by its own profile where it has a valid one."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def with_metadata(header: Header, data: bytes, name: str) -> Header:
    """Add what Pillow finds beside the pixels; what is damaged is left out, and logged."""
    try:
        with warnings_to_log(name), open_checked(header, data) as image:
            found = replace(
                header,
                exif=_exif(image),
                # Pixels that were CMYK have been converted from their profile.
                icc=None if image.mode == "CMYK" else _bytes(image, "icc_profile"),
                xmp=_bytes(image, "xmp"),
                dpi=_dpi(image),
            )
    except Exception:  # whose text speaks of Pillow's insides
        log.warning("%s: metadata are damaged and left out", name)
        return header
    return found


def _bytes(image: Image.Image, key: str) -> bytes | None:
    """An entry of ``info``, whose types a file decides."""
    value = image.info.get(key)
    return value if isinstance(value, bytes) and value else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    """The resolution, if it is a possible one."""
    match image.info.get("dpi"):
        case (across, down):
            return possible_dpi(float(across), float(down))
    return None


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF as a TIFF block, byte for byte where the file stores one."""
    if stored := _bytes(image, "exif"):
        return stored.removeprefix(b"Exif\0\0")
    exif = image.getexif()
    kept = Image.Exif()
    for tag in EXIF_TAGS:
        value = exif.get_ifd(tag) if tag in DIRECTORIES else exif.get(tag)
        if value:
            kept[tag] = value
    return kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else None
