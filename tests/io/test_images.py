"""What must survive reading and writing an image."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, features

from derain.io.decode import DecodedImage, decode_image, upright
from derain.io.encode import encode_image, grey_of
from derain.io.exif import upright_exif

RNG = np.random.default_rng(0)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>rating</a></x:xmpmeta>"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(dtype: type = np.uint8, channels: int = 3, height: int = 21, width: int = 34):
    return RNG.integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def exif(orientation: int = 1) -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Camera & Co", orientation
    tags.get_ifd(0x8769)[0x829A] = (1, 250)
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "BMP"])
def test_lossless_formats_return_every_pixel(format):
    image = DecodedImage(noise(), format)
    again = decode_image(encode_image(image, quality=100), "x")
    assert np.array_equal(again.pixels, image.pixels)
    assert again.format == format


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bits_survive(format, grey, alpha):
    pixels = noise(np.uint16)
    pixels = np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels
    image = DecodedImage(
        pixels, format, grey, noise(np.uint16, 1)[..., 0] if alpha else None,
        exif=upright_exif(exif().removeprefix(b"Exif\0\0")), icc=SRGB, dpi=(240, 240), xmp=XMP,
    )  # fmt: skip
    data = encode_image(image)
    again = decode_image(data, "x")
    assert again.pixels.dtype == np.uint16
    assert np.array_equal(again.pixels, pixels)
    assert again.icc == SRGB
    assert again.xmp == XMP
    assert again.dpi == pytest.approx((240, 240), abs=0.01)
    if alpha:
        assert again.alpha is not None
        assert image.alpha is not None
        assert np.array_equal(again.alpha, image.alpha)
    else:
        assert again.grey is grey
    tags = Image.open(io.BytesIO(data)).getexif()
    assert tags[0x010F] == "Camera & Co"
    assert tags.get_ifd(0x8769)[0x829A] == (1, 250)
    assert tags.get_ifd(0x8825)[1] == "N"


def test_sixteen_bit_tiff_is_read_alike_by_another_library():
    tifffile = pytest.importorskip("tifffile")
    pixels = noise(np.uint16, height=300, width=700)  # several strips
    data = encode_image(DecodedImage(pixels, "TIFF"))
    assert np.array_equal(tifffile.imread(io.BytesIO(data)), pixels)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata_rides_along(format):
    image = Image.fromarray(noise())
    data = saved(image, format, exif=exif(), icc_profile=SRGB, dpi=(300, 300))
    again = Image.open(io.BytesIO(encode_image(decode_image(data, "x"))))
    assert again.info["icc_profile"] == SRGB
    tags = again.getexif()
    assert tags[0x010F] == "Camera & Co"
    assert tags.get_ifd(0x8769)[0x829A] == (1, 250)
    assert tags.get_ifd(0x8825)[1] == "N"
    if format != "WEBP":  # which stores no resolution
        assert again.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_reset(orientation):
    original = Image.fromarray(noise())
    data = saved(original, "PNG", exif=exif(orientation))
    image = decode_image(data, "x")
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert np.array_equal(image.pixels, np.asarray(expected))
    again = decode_image(encode_image(image), "x")
    assert np.array_equal(again.pixels, image.pixels)
    assert Image.open(io.BytesIO(encode_image(image))).getexif()[0x0112] == 1
    # 16-bit pixels are turned by our own code.
    assert np.array_equal(upright(np.asarray(original), orientation), np.asarray(expected))


def test_maker_notes_keep_their_place_and_the_thumbnail_is_cut():
    note = bytes(range(200))
    # IFD0 with orientation, a maker-note-like blob and a link to a thumbnail directory.
    header = b"II*\0" + struct.pack("<I", 8)
    entries = struct.pack("<H", 2)
    entries += struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack("<HHII", 0x927C, 7, 200, 38)
    block = header + entries + struct.pack("<I", 4711) + note
    edited = upright_exif(block)
    assert edited is not None
    assert edited[38:] == note
    assert edited[34:38] == bytes(4)
    assert struct.unpack_from("<H", edited, 8 + 2 + 8) == (1,)
    assert len(edited) == len(block)


def test_damaged_exif_is_dropped_not_fatal():
    assert upright_exif(b"II*\0\xff\xff\xff\x7f") is None
    assert upright_exif(b"nonsense") is None


@pytest.mark.parametrize(
    ("mode", "grey", "alpha"),
    [("1", True, False), ("L", True, False), ("LA", True, True), ("P", False, False),
     ("RGB", False, False), ("RGBA", False, True), ("CMYK", False, False)],
)  # fmt: skip
def test_every_mode_becomes_rgb_and_keeps_grey_and_alpha(mode, grey, alpha):
    format = "TIFF" if mode == "CMYK" else "PNG"
    original = Image.fromarray(noise(channels=3 if mode == "P" else 4)).convert(mode)
    image = decode_image(saved(original, format), "x")
    assert image.pixels.shape == (21, 34, 3)
    assert image.grey is grey
    assert (image.alpha is not None) is alpha
    if image.alpha is not None:
        assert np.array_equal(image.alpha, np.asarray(original)[..., -1])
    if mode != "CMYK":
        expected = np.asarray(original.convert("RGB"))
        assert np.array_equal(image.pixels, expected)


def test_a_transparent_palette_colour_becomes_alpha():
    original = Image.fromarray(noise(channels=1)[..., 0] % 4, "P")
    original.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image = decode_image(saved(original, "PNG", transparency=2), "x")
    assert image.alpha is not None
    assert np.array_equal(image.alpha == 0, np.asarray(original) == 2)


def test_a_cmyk_profile_is_not_attached_to_rgb_pixels():
    data = saved(Image.fromarray(noise()).convert("CMYK"), "JPEG", icc_profile=b"not a profile")
    assert decode_image(data, "x").icc is None


def test_grey_is_the_rounded_mean_of_the_channels():
    pixels = noise(height=64, width=64)
    expected = np.floor(pixels.astype(float).mean(2) + 0.5)
    assert np.array_equal(grey_of(pixels), expected)


def test_jpeg_quality_is_high_by_default_and_settable():
    yy, xx = np.mgrid[:64, :64]
    pixels = np.dstack([xx * 4, yy * 4, (xx + yy) * 2]).astype(np.uint8)
    sizes = {q: len(encode_image(DecodedImage(pixels, "JPEG"), q)) for q in (50, 95)}
    again = decode_image(encode_image(DecodedImage(pixels, "JPEG")), "x").pixels
    assert sizes[50] < sizes[95]
    assert np.abs(again.astype(int) - pixels).max() <= 4


def test_pure_noise_becomes_a_jpeg_too(capfd):
    # More than two bytes per pixel, for which Pillow's buffer is too small.
    image = DecodedImage(noise(height=240, width=320), "JPEG", exif=upright_exif(exif()[6:]))
    data = encode_image(image)
    assert len(data) > 2 * 240 * 320
    assert decode_image(data, "x").exif == image.exif
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"just some text", "not an image"),
        (saved(Image.fromarray(noise(height=200, width=200)), "JPEG")[:4000], "damaged"),
        (saved(Image.fromarray(noise(height=200, width=200)), "PNG")[:4000], "damaged"),
        (saved(Image.new("F", (4, 4)), "TIFF"), "32 bits"),
        (
            saved(Image.new("L", (4, 4)), "GIF", save_all=True,
                  append_images=[Image.new("L", (4, 4), 9)]),
            "2 pages or frames",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_restored_is_refused_by_name(data, words):
    with pytest.raises(ValueError, match=words) as caught:
        decode_image(data, "holiday.jpg")
    assert "holiday.jpg" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_sixteen_bit_png_is_refused():
    data = encode_image(DecodedImage(noise(np.uint16, height=99, width=99), "PNG"))
    with pytest.raises(ValueError, match=r"holiday.png: damaged"):
        decode_image(data[: len(data) // 2], "holiday.png")


def test_a_bomb_is_refused_before_it_is_decoded_and_the_limit_can_be_lifted():
    data = saved(Image.new("1", (30_000, 10_000)), "PNG")
    with pytest.raises(ValueError, match=r"30000x10000 .* 250 megapixels; --max-pixels"):
        decode_image(data, "bomb.png")
    limit = Image.MAX_IMAGE_PIXELS
    small = saved(Image.new("L", (40, 30)), "PNG")
    with pytest.raises(ValueError, match="limit"):
        decode_image(small, "x", max_pixels=1199)
    assert decode_image(small, "x", max_pixels=1200).pixels.shape == (30, 40, 3)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (DecodedImage(noise(np.uint16), "JPEG"), "16 bits; choose PNG or TIFF"),
        (DecodedImage(noise(), "JPEG", alpha=noise(channels=1)[..., 0]), "transparency; choose"),
    ],
)
def test_a_format_that_cannot_hold_the_image_says_which_can(image, words):
    with pytest.raises(ValueError, match=words):
        encode_image(image)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_goes_through():
    image = decode_image(saved(Image.fromarray(noise()), "AVIF", icc_profile=SRGB), "x")
    assert decode_image(encode_image(image), "x").icc == SRGB
