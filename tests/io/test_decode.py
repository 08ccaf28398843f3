"""OpenCV and Pillow give the same pixels, so which of them decodes a file does not matter."""

import base64
import io
import logging
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, features

from derain.io.decode import decode_image, read_image
from derain.io.formats import ImageError
from derain.io.gate import read_header
from derain.io.levels import quantise, to_8_bits

COARSE = np.random.default_rng(0).integers(0, 256, (9, 14, 4), np.uint8)
RGBA = cv2.resize(COARSE, (83, 57), interpolation=cv2.INTER_CUBIC)
IMAGE = Image.fromarray(RGBA[..., :3].copy())


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


FILES = {
    "jpeg": saved(IMAGE, "JPEG", quality=60),
    "jpeg 4:4:4": saved(IMAGE, "JPEG", subsampling=0),
    "jpeg progressive": saved(IMAGE, "JPEG", progressive=True),
    "jpeg grey": saved(IMAGE.convert("L"), "JPEG"),
    "jpeg cmyk": saved(IMAGE.convert("CMYK"), "JPEG"),
    "png": saved(IMAGE, "PNG"),
    "png 1 bit": saved(IMAGE.convert("1"), "PNG"),
    "png palette": saved(IMAGE.quantize(100), "PNG"),
    "png grey and alpha": saved(IMAGE.convert("LA"), "PNG"),
    "png palette with a transparent colour": saved(IMAGE.quantize(9), "PNG", transparency=2),
    "png grey with a transparent level": saved(IMAGE.convert("L"), "PNG", transparency=2),
    "webp": saved(IMAGE, "WEBP", quality=60),
    "webp lossless, alpha": saved(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True),
    "tiff": saved(IMAGE, "TIFF"),
    "tiff grey": saved(IMAGE.convert("L"), "TIFF"),
    "tiff white is zero": saved(IMAGE.convert("L"), "TIFF", tiffinfo={262: 0}),
    "tiff lzw": saved(IMAGE, "TIFF", compression="tiff_lzw"),
    "tiff jpeg": saved(IMAGE, "TIFF", compression="jpeg"),
    "tiff group 4": saved(IMAGE.convert("1"), "TIFF", compression="group4"),
    "tiff alpha": saved(Image.fromarray(RGBA), "TIFF"),
    "tiff palette": saved(IMAGE.quantize(100), "TIFF"),
    "tiff cmyk": saved(IMAGE.convert("CMYK"), "TIFF"),
    "bmp": saved(IMAGE, "BMP"),
    "bmp 32 bits": saved(Image.fromarray(RGBA), "BMP"),
    "bmp palette": saved(IMAGE.quantize(100), "BMP"),
    "bmp 1 bit": saved(IMAGE.convert("1"), "BMP"),
    "ppm": saved(IMAGE, "PPM"),
    "pgm": saved(IMAGE.convert("L"), "PPM"),
    "pbm": saved(IMAGE.convert("1"), "PPM"),
    "gif": saved(IMAGE.quantize(100), "GIF"),
    "jpeg 2000": saved(IMAGE, "JPEG2000"),
}


@pytest.mark.parametrize("kind", FILES)
def test_pixels_are_those_of_pillow(kind: str) -> None:
    with Image.open(io.BytesIO(FILES[kind])) as image:
        expected = np.asarray(image.convert("RGB"))
        alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
        grey = image.mode in ("1", "L", "LA")
    decoded = decode_image(FILES[kind], "x")
    assert np.array_equal(decoded.pixels, expected)
    assert (decoded.alpha is None) == (alpha is None)
    if decoded.alpha is not None and alpha is not None:
        assert np.array_equal(decoded.alpha, np.asarray(alpha))
    assert decoded.grey == grey


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_pixels_are_upright_or_as_stored(format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    turned = saved(IMAGE, format, exif=exif.tobytes(), **lossless)
    plain = decode_image(saved(IMAGE, format, **lossless), "x").pixels
    stored = decode_image(turned, "x", orientation="stored").pixels
    assert np.array_equal(stored, plain)
    header = read_header(turned, "x")
    assert header.upright_size == decode_image(turned, "x").pixels.shape[:2]
    assert (header.upright_size == (57, 83)) == (orientation < 5)


def tiff16(photometric: int, samples: np.ndarray) -> bytes:
    """An uncompressed 16-bit TIFF of one channel."""
    height, width = samples.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, photometric), (273, 122),
            (277, 1), (278, height), (279, 2 * samples.size)]  # fmt: skip
    entries = b"".join(np.array([tag, 4, 1, 0, value, 0], "<u2").tobytes() for tag, value in tags)
    start = b"II*\0\x08\0\0\0" + len(tags).to_bytes(2, "little")
    return start + entries + bytes(4) + samples.astype("<u2").tobytes()


def test_sixteen_bits_are_right_or_refused() -> None:
    deep = np.arange(6, dtype=np.uint16).reshape(2, 3) * 13000
    assert np.array_equal(decode_image(tiff16(1, deep), "x").pixels[..., 0], deep)
    assert np.array_equal(decode_image(tiff16(0, deep), "x").pixels[..., 0], 65535 - deep)
    pgm = b"P5\n3 2\n65535\n" + deep.astype(">u2").tobytes()
    assert np.array_equal(decode_image(pgm, "x").pixels[..., 1], deep)
    with pytest.raises(ImageError, match=r"x: JPEG 2000 of other than 8 bits .* convert"):
        decode_image(saved(Image.fromarray(deep), "JPEG2000"), "x")
    with pytest.raises(ImageError, match=r"x: values up to 1000 are not supported"):
        decode_image(pgm.replace(b"65535", b"1000"), "x")


@pytest.mark.parametrize("kind", ["tiff", "tiff grey"])
def test_raw_tiff_is_read_as_the_quicker_ppm_unless_it_is_cut_off(kind: str) -> None:
    data = FILES[kind]
    payload = read_header(data, "x").payload
    assert payload[:12] == (b"P6 83 57 255" if kind == "tiff" else b"P5 83 57 255")
    with pytest.raises(ImageError, match="x: damaged image"):
        decode_image(data[: len(data) // 2], "x")


# 16x16 pixels of one grey, by `ffmpeg -f lavfi -i color=c=0x9c9c9c:s=16x16 -c:v libaom-av1
# -still-picture 1 -pix_fmt yuv444p10le -frames:v 1`; Pillow writes none of 10 bits.
AVIF_OF_10_BITS = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAAD5bWV0YQAAAAAAAAAvaGRscgAAAAAAAAAAcGlj"
    "dAAAAAAAAAAAAAAAAFBpY3R1cmVIYW5kbGVyAAAAAA5waXRtAAAAAAABAAAAHmlsb2MAAAAARAAAAQABAAAA"
    "AQAAASEAAAAVAAAAKGlpbmYAAAAAAAEAAAAaaW5mZQIAAAAAAQAAYXYwMUNvbG9yAAAAAGppcHJwAAAAS2lw"
    "Y28AAAAUaXNwZQAAAAAAAAAQAAAAEAAAABBwaXhpAAAAAAMKCgoAAAAMYXYxQ4EgQAAAAAATY29scm5jbHgA"
    "AgACAAIAAAAAF2lwbWEAAAAAAAAAAQABBAECgwQAAAAdbWRhdAoFOAz/24QyDBgAAABQAABAAppnLg=="
)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_of_10_bits_is_read_at_8_with_a_word(caplog) -> None:
    assert read_header(AVIF_OF_10_BITS, "x").bits == 10
    pixels = decode_image(AVIF_OF_10_BITS, "x.avif", depth=8).pixels
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels.astype(int) - 0x9C).max() <= 1
    assert not caplog.text  # 8 were asked for
    decode_image(AVIF_OF_10_BITS, "x.avif")
    assert "x.avif: its 10 bits per channel become 8" in caplog.text
    assert read_header(saved(IMAGE, "AVIF"), "x").bits == 8


def test_eight_of_sixteen_bits_are_the_nearest() -> None:
    deep = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(deep), np.floor(deep / 257 + 0.5))
    assert np.array_equal(to_8_bits(deep), quantise(deep / 65535))
    assert np.array_equal(quantise(deep / np.float32(65535), 65535), deep)


def test_what_pillow_warns_of_goes_to_the_log(caplog, recwarn) -> None:
    data = saved(IMAGE, "TIFF", dpi=(300, 300))
    one, two = (struct.pack("<HHI", 282, 5, count) for count in (1, 2))
    assert one in data
    data = data.replace(one, two)  # two horizontal resolutions
    with caplog.at_level(logging.INFO, "derain"):
        decode_image(data, "odd.tif")
    assert not recwarn.list
    assert "odd.tif: " in caplog.text


def test_a_missing_or_unreadable_file_is_named(tmp_path) -> None:
    with pytest.raises(ImageError, match=r"gone.png: No such file"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match=r"folder.png: Is a directory"):
        read_image(tmp_path / "folder.png")
