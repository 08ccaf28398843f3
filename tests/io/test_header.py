"""The gate refuses hostile files before anything is allocated, and keeps good ones."""

import io
import os
import resource
import stat
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derain.io.decode import decode_image
from derain.io.formats import FORMATS, ImageError
from derain.io.gate import read_header
from derain.io.header import MAX_PAGES

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)


def saved(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    IMAGE.save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


PNG, JPEG = saved("PNG"), saved("JPEG", progressive=True)
SCAN = JPEG.index(b"\xff\xda")


def webp_of(width: int) -> bytes:
    data = saved("WEBP", xmp=b"x")  # which makes it say its size in the container too
    place = data.index(b"VP8X") + 12
    return data[:place] + (width - 1).to_bytes(3, "little") + data[place + 3 :]


def png_of(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG[:8] + header + PNG[33:]


def jpeg_of(width: int, height: int) -> bytes:
    frame = JPEG.index(b"\xff\xc2") + 5
    return JPEG[:frame] + struct.pack(">HH", height, width) + JPEG[frame + 4 :]


def tiff_pages(count: int) -> bytes:
    """Directories of a height and a width, each with a link to the next."""
    page = struct.pack("<H", 2)
    page += b"".join(struct.pack("<HHII", tag, 3, 1, 5) for tag in (256, 257))
    links = [struct.pack("<I", 8 + 30 * (n + 1)) for n in range(count - 1)] + [bytes(4)]
    return b"II*\0\x08\0\0\0" + b"".join(page + link for link in links)


GIF = struct.pack("<6sHHBBBBHHHHB", b"GIF89a", 15000, 15000, 0, 0, 0, 44, 0, 0, 15000, 15000, 0)
HOSTILE = {
    "a chunk of 4 GB": (PNG[:33] + b"\xff\xff\xff\xf0IDAT" + bytes(30), "cut off"),
    "a wrong checksum": (PNG[:60] + b"\0" + PNG[61:], "wrong checksum|cut off"),
    "a million empty chunks": (PNG[:33] + 10**6 * chunk(b"teSt", b"") + PNG[33:], "too many"),
    "a PNG too large for its bytes": (png_of(20000, 12000), "cannot hold 20000x12000"),
    "a PNG over the limit": (png_of(20000, 20000), "20000x20000 is over the limit of 250 mega"),
    "a line of pixels": (png_of(1 << 21, 1), "too long or too wide"),
    "a PNG of nothing": (png_of(0, 5), "0x5 pixels"),
    "a JPEG too large for its bytes": (jpeg_of(15000, 16000), "cannot hold 15000x16000"),
    "a JPEG of 300 scans": (JPEG[:-2] + 300 * JPEG[SCAN:-2] + JPEG[-2:], "more than 100 scans"),
    "a JPEG without its end": (JPEG[:-2], "cut off"),
    "a GIF too large for its bytes": (GIF + b"\x02\x02\x44\x01\0;", "cannot hold 15000x15000"),
    "a TIFF of many pages": (tiff_pages(60_000), f"more than {MAX_PAGES} pages"),
    "a TIFF of two pages": (tiff_pages(2), "has 2 pages or frames; split it"),
    "an animated PNG": (
        saved("PNG", save_all=True, append_images=[Image.fromarray(255 - PIXELS)]), "has 2 pages"
    ),
    "an animated WebP": (
        saved("WEBP", save_all=True, append_images=[Image.fromarray(255 - PIXELS)]), "has 2 pages"
    ),
    "a WebP too wide for its format": (webp_of(16385), "no WebP is that long or wide"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(64), r"not an image .* \(HEIC: convert it first\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_by_name(kind: str) -> None:
    data, words = HOSTILE[kind]
    with pytest.raises(ImageError, match=rf"^x.jpg: .*({words})") as caught:
        read_header(data, "x.jpg")
    assert "\n" not in str(caught.value)


def test_hostile_files_take_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data, _ in HOSTILE.values():
        with pytest.raises(ImageError):
            decode_image(data, "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("format", sorted(set(FORMATS.values())))
def test_every_cut_of_a_file_is_refused_or_decoded(format: str) -> None:
    data = saved(format)
    refused = 0
    ends = range(0, len(data) - 1, max(1, len(data) // 97))
    for end in ends:
        try:
            assert decode_image(data[:end], "cut").pixels.shape == PIXELS.shape
        except ImageError:
            refused += 1
    assert refused > 0.9 * len(ends)


@pytest.mark.parametrize("key", ["transparency", "xmp", "dpi", "icc_profile", "exif", "gamma"])
def test_text_under_a_metadata_name_does_no_harm(key: str) -> None:
    data = PNG[:33] + chunk(b"tEXt", key.encode() + b"\0some words") + PNG[33:]
    image = decode_image(data, "x")
    assert np.array_equal(image.pixels, PIXELS)
    assert (image.alpha, image.exif, image.icc, image.xmp, image.dpi) == (None,) * 5


@pytest.mark.parametrize("resolution", [(0xFFFFFFFF, 1), (1, 0), (0, 0), (0, 1)])
def test_an_impossible_resolution_is_ignored_and_the_image_kept(resolution) -> None:
    data = saved("TIFF", dpi=(300, 300))
    possible = struct.pack("<II", 300, 1)
    assert possible in data
    image = decode_image(data.replace(possible, struct.pack("<II", *resolution)), "x")
    assert np.array_equal(image.pixels, PIXELS)
    assert image.dpi is None


def test_a_directory_that_links_to_itself_is_one_page() -> None:
    data = bytearray(saved("TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    struct.pack_into("<I", data, start + 2 + 12 * entries, start)
    assert np.array_equal(decode_image(bytes(data), "x").pixels, PIXELS)


def test_large_images_pass_where_the_limit_says_so_whatever_pillow_allows() -> None:
    """Pillow's own limit ends at 179 megapixels."""
    image = Image.new("1", (20_000, 9_500))
    for format, options in (("TIFF", {"compression": "group4"}), ("PNG", {})):
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        header = read_header(buffer.getvalue(), "x")
        assert header.upright_size == (9_500, 20_000)


def test_no_other_program_is_started(tmp_path) -> None:
    """Pillow would hand PostScript to Ghostscript, whatever the file is called."""
    trap = tmp_path / "bin" / "gs"
    trap.parent.mkdir()
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    trap.chmod(trap.stat().st_mode | stat.S_IEXEC)
    source = tmp_path / "pairs" / "rainy"
    for folder in (source, source.with_name("clean")):
        folder.mkdir(parents=True)
        (folder / "a.jpg").write_bytes(HOSTILE["PostScript"][0])
    environment = os.environ | {"PATH": f"{trap.parent}:{os.environ['PATH']}"}
    for command in (
        ["restore", source, "-o", tmp_path / "out", "--device", "cpu"],
        ["metrics", source, source],
        ["synthesize", source, "-o", tmp_path / "rain"],
        ["evaluate", "--data", tmp_path, "--set", "pairs", "-m", "psnr", "-o", tmp_path / "report"],
        ["data", "check", tmp_path, "--set", "pairs"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "derain", *map(str, command)],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "a.jpg: not an image that derain can read" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "started").exists()
