"""Animated GIF, PNG and WebP: all that is not rain stays, in flat memory, whatever the bytes."""

import io
import random
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from tests.video.test_broken import mutated

from derain.io.animation import open_animation
from derain.io.clips import is_animation
from derain.io.formats import ImageError
from derain.io.header import MAX_FRAMES
from derain.io.join import Show, write_animation
from derain.video import Stopped, VideoSettings, restore, segments

PHOTO = data.astronaut()
DELAYS = [50, 70, 100, 20, 200]  # ms
SUFFIXES = ("gif", "png", "webp")
FAST = VideoSettings(temporal=False)


def crop(k, alpha=False):
    image = Image.fromarray(PHOTO[100:148, 40 + 3 * k : 104 + 3 * k])
    if alpha:
        mask = np.zeros((48, 64), np.uint8)
        mask[10 + k : 40, 20:60] = 255
        image.putalpha(Image.fromarray(mask))
    return image


def moving(path, alpha=False, **options):
    frames = [crop(k, alpha) for k in range(len(DELAYS))]
    options = {"duration": DELAYS, "disposal": 2 if alpha else 0, "lossless": True} | options
    if path.suffix != ".gif":
        options.pop("disposal")
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


def opened(path) -> Any:  # Pillow's class of all images has no frames
    return Image.open(path)


def seen(path):
    """Frames as RGBA, delays in ms, loops."""
    with opened(path) as image:
        frames, delays = [], []
        for k in range(image.n_frames):
            image.seek(k)
            image.load()
            frames.append(np.asarray(image.convert("RGBA")))
            delays.append(image.info.get("duration"))
        return frames, delays, image.info.get("loop"), image.format


@pytest.fixture
def identity(restorer, monkeypatch):
    """The network, which gives back what it gets."""
    monkeypatch.setattr(type(restorer), "restore_pixels", lambda self, pixels, options: pixels)
    return restorer


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("alpha", [False, True])
def test_times_loops_size_and_transparency_stay(tmp_path, restorer, suffix, alpha):
    source = moving(tmp_path / f"a.{suffix}", alpha, loop=3)
    report = restore(source, tmp_path / f"b.{suffix}", restorer)
    assert (report.frames, report.size, report.problems) == (5, (48, 64), ())
    before, after = seen(source), seen(tmp_path / f"b.{suffix}")
    assert after[1:] == (DELAYS, 3, before[3])
    for old, new in zip(before[0], after[0], strict=True):
        assert np.array_equal(old[..., 3], new[..., 3])
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a.{suffix}", f"b.{suffix}"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_without_rain_come_back_as_they_were(tmp_path, identity, suffix):
    source = moving(tmp_path / f"a.{suffix}", loop=0)
    lossless = VideoSettings(temporal=False, quality=100)
    restore(source, tmp_path / f"b.{suffix}", identity, lossless)
    before, after = seen(source), seen(tmp_path / f"b.{suffix}")
    assert after[2] == 0
    for old, new in zip(before[0], after[0], strict=True):
        assert np.array_equal(old, new)


def test_a_gif_that_plays_once_and_one_whose_later_frame_is_larger(tmp_path, identity):
    source = moving(tmp_path / "a.gif")
    restore(source, tmp_path / "b.gif", identity, FAST)
    assert seen(tmp_path / "b.gif")[2] is None
    raw = bytearray(source.read_bytes())
    raw[6:10] = (32).to_bytes(2, "little") * 2  # the screen, smaller than the frames
    (tmp_path / "small.gif").write_bytes(raw)
    restore(tmp_path / "small.gif", tmp_path / "c.gif", identity, FAST)
    assert {frame.shape for frame in seen(tmp_path / "c.gif")[0]} == {(48, 64, 4)}


@pytest.mark.parametrize("target", SUFFIXES)
@pytest.mark.parametrize("source", SUFFIXES)
def test_one_format_becomes_another_by_the_name(tmp_path, identity, source, target):
    path = moving(tmp_path / f"a.{source}", alpha=True, loop=4)
    restore(path, tmp_path / f"b.{target}", identity, VideoSettings(temporal=False, quality=100))
    before, after = seen(path), seen(tmp_path / f"b.{target}")
    assert after[1:3] == before[1:3]
    for old, new in zip(before[0], after[0], strict=True):
        visible = old[..., 3] > 0
        assert np.array_equal(visible, new[..., 3] > 0)
        assert np.abs(old[visible].astype(int) - new[visible]).mean() < 2


def test_the_picture_for_programs_without_apng_stays_beside_the_animation(tmp_path, identity):
    frames = [crop(k) for k in range(4)]
    path = tmp_path / "a.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], default_image=True, duration=40)
    restore(path, tmp_path / "b.png", identity, FAST)
    with opened(path) as before, opened(tmp_path / "b.png") as after:
        assert (before.default_image, after.default_image) == (True, True)
        assert before.n_frames == after.n_frames == 4
    for old, new in zip(seen(path)[0], seen(tmp_path / "b.png")[0], strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_metadata_stay(tmp_path, identity, suffix):
    exif = Image.Exif()
    exif[0x010E] = "a wet street"
    icc = (b"\0" * 36 + b"acsp").ljust(128, b"\0")
    path = moving(tmp_path / f"a.{suffix}", exif=exif.tobytes(), icc_profile=icc)
    restore(path, tmp_path / f"b.{suffix}", identity, FAST)
    with Image.open(tmp_path / f"b.{suffix}") as image:
        assert image.getexif()[0x010E] == "a wet street"
        assert image.info["icc_profile"] == icc


@pytest.mark.parametrize("delay", ["1/3", "1001/24000", "65535/65534", "0", "1/65535", "300"])
def test_every_time_of_an_apng_is_kept_exactly(tmp_path, identity, delay):
    buffer = io.BytesIO()
    crop(0).save(buffer, "PNG")
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        stills = iter([(buffer.getvalue(), Fraction(delay))] * 2)
        write_animation(file, "PNG", stills, Show((48, 64), 2, 0))
    restore(path, tmp_path / "b.png", identity, FAST)
    assert (tmp_path / "b.png").read_bytes().count(b"fcTL") == 2
    for frame in open_animation(tmp_path / "b.png").frames():
        assert frame.delay == Fraction(delay)


def test_a_stopped_animation_goes_on(tmp_path, identity, monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 2)
    path = moving(tmp_path / "a.gif", loop=0)
    restore(path, tmp_path / "whole.gif", identity, FAST)
    with pytest.raises(Stopped, match=r"a.gif: stopped after 2 of 5 frames; --resume goes on"):
        restore(path, tmp_path / "b.gif", identity, FAST, cancel=lambda: True)
    restore(path, tmp_path / "b.gif", identity, VideoSettings(temporal=False, resume=True))
    assert (tmp_path / "b.gif").read_bytes() == (tmp_path / "whole.gif").read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_of_one_frame_is_no_animation(tmp_path, suffix):
    crop(0).save(tmp_path / f"a.{suffix}")
    assert not is_animation(tmp_path / f"a.{suffix}")
    assert is_animation(moving(tmp_path / f"b.{suffix}"))
    crop(0).save(tmp_path / f"c.{suffix}", save_all=True)
    assert not is_animation(tmp_path / f"c.{suffix}")


def test_what_cannot_be_written_or_is_too_much_is_said(tmp_path, identity):
    path = moving(tmp_path / "a.gif")
    with pytest.raises(ImageError, match=r"b.mp4: .*a.gif is animated and becomes .gif, .png"):
        restore(path, tmp_path / "b.mp4", identity, FAST)
    small = VideoSettings(max_pixels=48 * 64 * 5 - 1)
    with pytest.raises(ImageError, match=r"a.gif: 5 frames of 64x48 are together over the limit"):
        restore(path, tmp_path / "b.gif", identity, small)
    frame = b"," + bytes(8)[:4] + b"\1\0\1\0\0" + b"\2\2\x44\1\0"
    many = b"GIF89a\1\0\1\0\0\0\0" + frame * (MAX_FRAMES + 2) + b";"
    (tmp_path / "many.gif").write_bytes(many)
    with pytest.raises(ImageError, match=f"many.gif: has more than {MAX_FRAMES} pages or frames"):
        restore(tmp_path / "many.gif", tmp_path / "c.gif", identity, FAST)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "many.gif"]


def outcome(path, target, restorer):
    """What is said of a damaged animation; its result is whole, or there is none."""
    try:
        if not is_animation(path):
            return []
        report = restore(path, target, restorer, VideoSettings(temporal=False, overwrite=True))
    except ImageError as error:
        return [str(error)]
    frames, *_ = seen(target)
    assert len(frames) == report.frames
    target.unlink()
    return list(report.problems)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_animations_end_in_a_result_or_one_line(tmp_path, identity, suffix):
    whole = moving(tmp_path / f"a.{suffix}").read_bytes()
    rng = random.Random(0)
    cut = [whole[: len(whole) * part // 11] for part in range(4, 11)]
    bad, target, said = tmp_path / f"bad.{suffix}", tmp_path / f"b.{suffix}", 0
    for content in [*cut, *(mutated(whole, rng.randrange(10**6)) for _ in range(50))]:
        bad.write_bytes(content)
        lines = outcome(bad, target, identity)
        assert all(f"bad.{suffix}: " in line and "\n" not in line for line in lines)
        said += bool(lines)
    assert said > 5
    assert {p.name for p in tmp_path.iterdir()} == {f"a.{suffix}", f"bad.{suffix}"}


def test_a_frame_that_is_missing_is_reported_and_those_before_are_kept(tmp_path, identity):
    path = moving(tmp_path / "a.png")
    raw = path.read_bytes()
    second = raw.index(b"fcTL", raw.index(b"fdAT") + 1)
    path.write_bytes(raw[: second - 4] + b"\0\0\0\0IEND\xaeB`\x82")
    report = restore(path, tmp_path / "b.png", identity, FAST)
    assert report.frames == 2
    assert report.problems[0].startswith(f"{path}: frame 3 of 5 cannot be decoded")
    assert len(seen(tmp_path / "b.png")[0]) == 2


READ = """
import sys
from pathlib import Path
from derain.io.animation import open_animation
from derain.io.encode import encode_image
from derain.io.join import Show, write_animation
image = open_animation(Path(sys.argv[1]))
stills = ((encode_image(frame.image), frame.delay) for frame in image.frames())
with open(sys.argv[2], "wb") as file:
    write_animation(file, image.header.format, stills, Show((600, 800), image.count, 0))
status = Path("/proc/self/status").read_text()  # of this program alone, unlike getrusage
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's record of peak memory")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_frame_at_a_time_is_held(tmp_path, suffix):
    peaks = []
    for count in (4, 40):
        frames = [Image.new("RGB", (800, 600), (k, 5 * k, 99)) for k in range(count)]
        path = tmp_path / f"{count}.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        command = [sys.executable, "-c", READ, str(path), str(tmp_path / f"out.{suffix}")]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert peaks[1] - peaks[0] < 25_000  # kB; 36 frames would be 52,000 and more
