"""Everything but the rain comes through: packets bit for bit, times, tags, pixel formats."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.video.clips import (
    X264,
    copied,
    ffmpeg,
    make,
    needs_ffmpeg,
    picture,
    probe,
    times,
    words,
)

from derain.io.formats import ImageError
from derain.video import VideoSettings, restore

YARD = Path(__file__).parents[3] / "shared" / "data" / "video" / "yard.mp4"
pytestmark = needs_ffmpeg
PLAIN = VideoSettings(temporal=False)


def restored(source, restorer, target=None, settings=PLAIN):
    target = target or source.with_name(f"{source.stem}_derained{source.suffix}")
    report = restore(source, target, restorer, settings)
    assert [p.name for p in target.parent.iterdir() if "partial" in p.name] == []
    assert not target.with_name(f"{target.name}.segments").exists()
    return report, target


def rich(path, *picture_options):
    """A clip with all that a container can hold beside its picture."""
    folder = path.parent
    (folder / "words.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,300\nRain\n\n2\n00:00:00,350 --> 00:00:00,450\nstops\n"
    )
    (folder / "chapters.txt").write_text(
        ";FFMETADATA1\ntitle=Garten im Regen\nartist=Ünï\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\ntitle=Rain\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=200\nEND=480\ntitle=Sun\n"
    )
    subtitles = "mov_text" if path.suffix in (".mp4", ".mov") else "srt"
    ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25",
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        "-f", "lavfi", "-i", "sine=frequency=880:sample_rate=44100",
        "-i", folder / "words.srt", "-i", folder / "chapters.txt",
        "-map", 1, "-map", 0, "-map", 2, "-map", 3, "-map_metadata", 4, "-t", 0.48,
        "-c:a:0", "aac", "-c:a:1", "aac", "-c:s", subtitles, *(picture_options or X264),
        "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra",
        "-metadata:s:s:0", "language=eng", "-disposition:a:1", "default", "-disposition:a:0", 0,
        path,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_subtitles_chapters_and_metadata(tmp_path, restorer, suffix):
    source = rich(tmp_path / f"rich{suffix}", *X264, "-bf", 2)
    report, target = restored(source, restorer)
    assert report.problems == ()
    before, after = probe(source), probe(target)
    assert copied(before) == copied(after)
    assert len(copied(after)) > 40
    assert times(before) == times(after)
    assert len(times(after)) == 12 == report.frames
    assert picture(before) == picture(after)
    assert [c["tags"]["title"] for c in after["chapters"]] == ["Rain", "Sun"]
    key = ("start_time", "end_time", "tags")
    assert [[c[k] for k in key] for c in before["chapters"]] == [
        [c[k] for k in key] for c in after["chapters"]
    ]
    assert words(before["format"]["tags"]) == words(after["format"]["tags"])
    for old, new in zip(before["streams"], after["streams"], strict=True):
        assert (old["codec_name"], old["disposition"]) == (new["codec_name"], new["disposition"])
        assert words(old.get("tags", {})) == words(new.get("tags", {}))


FORMATS = {
    "h264-422-10": (X264[:-1], "yuv422p10le", "mp4"),
    "h264-444": (X264[:-1], "yuv444p", "mkv"),
    "h264-420-10": (X264[:-1], "yuv420p10le", "mov"),
    "hevc-420-10": (("-c:v", "libx265", "-x265-params", "log-level=none", "-pix_fmt"),
                    "yuv420p10le", "mp4"),
    "av1": (("-c:v", "libsvtav1", "-preset", "12", "-pix_fmt"), "yuv420p10le", "mkv"),
    "vp9": (("-c:v", "libvpx-vp9", "-cpu-used", "8", "-pix_fmt"), "yuv420p", "webm"),
    "ffv1": (("-c:v", "ffv1", "-pix_fmt"), "gbrp", "mkv"),
    "ffv1-10": (("-c:v", "ffv1", "-pix_fmt"), "gbrp10le", "mkv"),
    "grey": (("-c:v", "ffv1", "-pix_fmt"), "gray", "mkv"),
    "prores": (("-c:v", "prores_ks", "-pix_fmt"), "yuv422p10le", "mov"),
    "mjpeg": (("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt"), "yuvj422p", "avi"),
    "mpeg4": (("-c:v", "mpeg4", "-q:v", "2", "-pix_fmt"), "yuv420p", "avi"),
    "transport": (X264[:-1], "yuv420p", "ts"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
def test_codec_and_pixel_format(tmp_path, restorer, kind):
    encoding, format, suffix = FORMATS[kind]
    try:
        source = make(tmp_path / f"clip.{suffix}", *encoding, format, frames=6)
    except Exception:
        pytest.skip(f"this ffmpeg cannot make {kind}")
    report, target = restored(source, restorer)
    before, after = probe(source), probe(target)
    assert report.frames == 6
    assert picture(before) == picture(after)
    assert before["streams"][0]["codec_name"] == after["streams"][0]["codec_name"]
    assert times(before) == times(after)


TAGS = (
    "-color_range", "pc", "-colorspace", "bt709", "-color_primaries", "bt709",
    "-color_trc", "bt709",
)  # fmt: skip
TAGS_2020 = (
    "-color_range", "tv", "-colorspace", "bt2020nc", "-color_primaries", "bt2020",
    "-color_trc", "bt2020-10",
)  # fmt: skip


@pytest.mark.parametrize("tags", [TAGS, TAGS_2020], ids=["709-full", "2020"])
def test_colour_tags_and_pixel_aspect(tmp_path, restorer, tags):
    source = make(tmp_path / "c.mp4", *X264, *tags, "-vf", "setsar=4/3", frames=4)
    _, target = restored(source, restorer)
    before, after = picture(probe(source)), picture(probe(target))
    assert before == after
    assert (after["color_range"], after["sample_aspect_ratio"]) == (tags[1], "4:3")
    assert after["color_space"] == tags[3]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frame_times_of_a_variable_rate(tmp_path, restorer, suffix):
    select = "select='not(eq(mod(n,5),2))*not(eq(mod(n,7),3))'"
    source = tmp_path / f"vfr{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30", "-vf", select, "-fps_mode", "vfr",
           "-frames:v", 14, *X264, "-bf", 2, source)  # fmt: skip
    _, target = restored(source, restorer)
    before, after = times(probe(source)), times(probe(target))
    assert before == after
    assert len({round(float(b[0]) - float(a[0]), 3) for a, b in zip(after, after[1:])}) > 1  # noqa: RUF007, B905


@pytest.mark.skipif(not YARD.exists(), reason="needs ../shared/data/video/yard.mp4")
def test_a_real_clip_of_a_phone(tmp_path, restorer):
    short = tmp_path / "yard.mp4"  # the file as it is, but for its length
    ffmpeg("-i", YARD, "-map", 0, "-c", "copy", "-frames:v", 5, short)
    _, target = restored(short, restorer)
    before, after = probe(short), probe(target)
    assert times(before) == times(after)
    assert copied(before) == copied(after)
    assert picture(before) == picture(after)
    assert picture(after)["rotation"] == [-90]


@pytest.mark.parametrize("size", ["161x121", "65x33"])
def test_odd_sizes(tmp_path, restorer, size):
    source = make(tmp_path / "odd.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", frames=3,
                  picture=f"testsrc=size={size}:rate=25")  # fmt: skip
    _, target = restored(source, restorer)
    assert picture(probe(source)) == picture(probe(target))
    assert picture(probe(target))["width"] == int(size.split("x")[0])
    with pytest.raises(ImageError, match=rf"h264 cannot hold frames of {size} yuv420p"):
        restored(source, restorer, tmp_path / "h264.mkv", replace(PLAIN, codec="h264"))


def test_a_clip_of_one_frame(tmp_path, restorer):
    source = make(tmp_path / "one.mp4", frames=1)
    report, target = restored(source, restorer)
    assert report.frames == 1
    assert times(probe(source)) == times(probe(target))


def test_a_wrong_suffix_keeps_the_container(tmp_path, restorer):
    source = make(tmp_path / "real.mkv", frames=3).rename(tmp_path / "lying.mp4")
    _, target = restored(source, restorer)
    assert "matroska" in probe(target)["format"]["format_name"]


def test_another_container_and_codec_on_request(tmp_path, restorer):
    source = rich(tmp_path / "rich.mp4")
    with pytest.raises(ImageError, match=r"rich.mp4: matroska cannot hold its subtitle \(mov_text"):
        restored(source, restorer, tmp_path / "out.mkv")
    bare = tmp_path / "bare.mp4"
    ffmpeg("-i", source, "-map", "0:v", "-map", "0:a", "-c", "copy", bare)
    _, target = restored(bare, restorer, tmp_path / "x.mkv", replace(PLAIN, codec="ffv1"))
    before, after = probe(bare), probe(target)
    assert after["streams"][0]["codec_name"] == "ffv1"
    assert [packet[-1] for packet in copied(before)] == [packet[-1] for packet in copied(after)]


REFUSED = {
    "PQ": ("-color_trc", "smpte2084", "-pix_fmt", "yuv420p10le"),
    "HLG": ("-color_trc", "arib-std-b67", "-pix_fmt", "yuv420p10le"),
    "interlaced": ("-pix_fmt", "yuv420p", "-x264-params", "tff=1"),
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_would_come_out_wrong_is_refused(tmp_path, restorer, word):
    source = make(tmp_path / "a.mp4", "-c:v", "libx264", *REFUSED[word], frames=3)
    with pytest.raises(ImageError, match=rf"a.mp4: .*{word}.*first"):
        restored(source, restorer)
    assert list(tmp_path.iterdir()) == [source]


def test_a_transparent_clip_is_refused(tmp_path, restorer):
    source = make(tmp_path / "a.mkv", "-c:v", "ffv1", "-pix_fmt", "yuva420p", frames=3)
    with pytest.raises(ImageError, match=r"a.mkv: transparent clips"):
        restored(source, restorer)


def test_pixels_that_are_not_square_survive_in_matroska(tmp_path, restorer):
    source = make(tmp_path / "a.mkv", *X264, "-vf", "setsar=4/3", frames=3)
    _, target = restored(source, restorer)
    assert picture(probe(target)) == picture(probe(source))
    source = make(tmp_path / "a.webm", "-c:v", "libvpx-vp9", "-vf", "setsar=4/3", frames=3)
    with pytest.raises(ImageError, match=r"webm; choose another --codec, or .mkv"):
        restored(source, restorer)
