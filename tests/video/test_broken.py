"""What goes wrong: kills, cut and damaged clips, no clips. Nothing is lost or half-written."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.video.clips import X264, ffmpeg, make, needs_ffmpeg, probe, times

from derain.batch.jobs import Job
from derain.batch.runner import describe
from derain.io.formats import ImageError
from derain.restore import RestoreOptions
from derain.video import Stopped, VideoSettings, restore, segments

pytestmark = needs_ffmpeg
PLAIN = VideoSettings(temporal=False)


def leftovers(folder):
    return [path.name for path in folder.iterdir() if "partial" in path.name]


def outcome(source, target, restorer):
    """What is said of a broken clip: the problems of its result, or why there is none."""
    try:
        report = restore(source, target, restorer, VideoSettings(temporal=False, overwrite=True))
    except (ImageError, OSError) as error:
        return [str(error)]
    assert len(times(probe(target))) == report.frames
    return list(report.problems)


def hashes(path):
    return [p["data_hash"] for p in probe(path)["packets"] if p["codec_type"] == "video"]


def test_a_stopped_clip_goes_on_to_the_same_frames(tmp_path, restorer, monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 4)
    source = make(tmp_path / "a.mp4", frames=11)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    restore(source, whole, restorer)
    told: list[int] = []
    with pytest.raises(Stopped, match=r"a.mp4: stopped after 8 of 11 frames; --resume goes on"):
        restore(source, parts, restorer, on_frame=lambda p: told.append(p.done),
                cancel=lambda: told[-1] >= 6)  # fmt: skip
    assert not parts.exists()
    with pytest.raises(ImageError, match=r"unfinished work.*--resume"):
        restore(source, parts, restorer)
    other = VideoSettings(resume=True, quality=50)
    with pytest.raises(ImageError, match=r"another quality; --overwrite"):
        restore(source, parts, restorer, other)
    told.clear()
    restore(source, parts, restorer, VideoSettings(resume=True),
            on_frame=lambda p: told.append(p.done))  # fmt: skip
    assert told == [9, 10, 11]
    assert hashes(whole) == hashes(parts)
    assert times(probe(whole)) == times(probe(parts))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "parts.mp4", "whole.mp4"]


class Cancelled(Exception):
    """Raised while the network runs."""


@pytest.mark.parametrize("temporal", [True, False])
def test_no_thread_outlives_a_clip_that_is_cancelled_in_the_network(tmp_path, restorer, temporal):
    source = make(tmp_path / "a.mp4", frames=11)
    told: list[float] = []

    def cancel(fraction: float) -> None:
        told.append(fraction)
        if len(told) > 5:
            raise Cancelled

    options = RestoreOptions(on_tile=cancel)
    settings = VideoSettings(temporal=temporal, options=options)
    with pytest.raises(Cancelled) as held:  # with its traceback
        restore(source, tmp_path / "b.mp4", restorer, settings)
    assert held.tb is not None
    assert [t for t in threading.enumerate() if t.name == "derain-stage"] == []


RUN = """
import sys
from derain import load
from derain.video import VideoSettings, restore, segments
segments.LENGTH = 3
restore(sys.argv[1], sys.argv[2], load(device="cpu", threads=1), VideoSettings(resume=True),
        on_frame=lambda p: print(p.done, flush=True))
"""


@pytest.mark.slow
def test_kills_at_any_moment_cost_nothing_but_time(tmp_path, restorer, monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 3)
    source = make(tmp_path / "a.mp4", frames=14)
    whole, parts = tmp_path / "whole.mp4", tmp_path / "parts.mp4"
    restore(source, whole, restorer)
    for after in (1, 3, 4, 2, 3):  # frames of each attempt
        run = subprocess.Popen([sys.executable, "-c", RUN, source, parts], stdout=subprocess.PIPE)
        assert run.stdout
        for _ in range(after):
            run.stdout.readline()
        time.sleep(random.Random(after).random() * 0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert not parts.exists() or hashes(parts) == hashes(whole)
    if parts.exists():  # perhaps killed before the segments were deleted
        with pytest.raises(ImageError, match="exists already"):
            restore(source, parts, restorer, VideoSettings(resume=True))
    else:
        restore(source, parts, restorer, VideoSettings(resume=True))
    assert hashes(whole) == hashes(parts)
    assert not (tmp_path / "parts.mp4.segments").exists()


def test_resuming_deletes_segments_of_a_result_that_is_whole_and_keeps_younger_ones(tmp_path):
    whole, replaced = tmp_path / "whole.mp4", tmp_path / "replaced.mp4"
    for target in (whole, replaced):
        target.touch()
        segments.Segments(target, {}).prepare(resume=False, overwrite=False)
        segments.Segments(target, {}).save(0, segments.Segment([], 0.0))
    os.utime(whole, (2e9, 2e9))  # after its segment
    os.utime(replaced, (1e9, 1e9))
    for target in (whole, replaced):
        segments.remove_joined(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "replaced.mp4",
        "replaced.mp4.segments",
        "whole.mp4",
    ]
    assert segments.Segments(replaced, {}).finished() == 1


def test_a_second_ctrl_c_ends_at_once_without_an_abort(tmp_path):
    source = make(tmp_path / "a.mp4", frames=200)
    command = [sys.executable, "-m", "derain", "restore", source, "--device", "cpu"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE)
    segment, end = tmp_path / "a_derained.mp4.segments" / "000000.segment", time.monotonic() + 120
    while not segment.exists() and time.monotonic() < end:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    assert run.returncode in (130, -signal.SIGINT)  # the latter where it was about to end
    assert b"Traceback" not in err
    assert segment.exists()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk can be mounted by root alone")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_says_so_and_resume_finishes(tmp_path, small_disk, restorer, monkeypatch):
    monkeypatch.setattr(segments, "LENGTH", 4)
    source = make(tmp_path / "a.mp4", frames=10)
    whole, target, filler = tmp_path / "whole.mp4", small_disk / "b.mp4", small_disk / "filler"
    restore(source, whole, restorer, PLAIN)

    def fill(progress):
        if progress.done == 6:  # in the second segment
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    with pytest.raises(OSError, match=r"the disk is full; make room, then --resume") as caught:
        restore(source, target, restorer, PLAIN, on_frame=fill)
    assert describe(caught.value, Job(str(source), target)).startswith(f"{target}: the disk is")
    kept = sorted(path.name for path in (small_disk / "b.mp4.segments").iterdir())
    assert kept == ["000000.segment", "plan.json"]
    assert not target.exists()
    filler.unlink()
    told: list[int] = []
    resumed = VideoSettings(temporal=False, resume=True)
    restore(source, target, restorer, resumed, on_frame=lambda p: told.append(p.done))
    assert told == [5, 6, 7, 8, 9, 10]
    assert hashes(target) == hashes(whole)
    assert [path.name for path in small_disk.iterdir()] == ["b.mp4"]


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_clip_without_its_end_gives_what_is_there(tmp_path, restorer, suffix):
    source = make(tmp_path / f"a.{suffix}", *X264, "-g", 4, frames=40)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    report = restore(source, tmp_path / f"b.{suffix}", restorer, PLAIN)
    assert 5 < report.frames < 36
    assert len(times(probe(tmp_path / f"b.{suffix}"))) == report.frames
    assert report.problems
    assert all(str(source) in problem for problem in report.problems)


@pytest.mark.parametrize("part", range(1, 11))
def test_truncated_at_ten_places(tmp_path, restorer, part):
    source = make(tmp_path / "a.mp4", *X264, "-movflags", "+faststart", frames=10)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * part // 11])
    target = tmp_path / "b.mp4"
    found = outcome(source, target, restorer)
    assert found
    assert all(str(source) in line for line in found)
    assert leftovers(tmp_path) == []


def test_a_damaged_frame_in_the_middle_is_reported_and_the_rest_restored(tmp_path, restorer):
    source = make(tmp_path / "a.mkv", *X264, "-g", 1, frames=9)
    data = bytearray(source.read_bytes())
    packet = probe(source)["packets"][4]
    start = int(packet["pos"]) + 60
    data[start : start + 400] = b"\xff" * 400
    source.write_bytes(data)
    report = restore(source, tmp_path / "b.mkv", restorer, PLAIN)
    assert report.frames >= 8
    assert any("0.16 s" in problem for problem in report.problems)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.mp4", b"", "empty file"),
        ("text.mp4", b"no clip at all, but text" * 40, "not a clip"),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "not a clip"),
        ("list.mkv", b"ffconcat version 1.0\nfile '/etc/hostname'\n", "not a clip"),
    ],
)
def test_what_is_no_clip_is_said_in_one_line(tmp_path, restorer, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=rf"{name}: .*{words}") as error:
        restore(tmp_path / name, tmp_path / "out.mp4", restorer)
    assert "\n" not in str(error.value)


def test_a_clip_of_sound_alone(tmp_path, restorer):
    source = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=440", "-t", 0.2, "-c:a", "aac", source)
    with pytest.raises(ImageError, match=r"sound.mp4: has no video"):
        restore(source, tmp_path / "b.mp4", restorer)
    assert list(tmp_path.iterdir()) == [source]


def test_a_clip_without_frames(tmp_path, restorer):
    source = make(tmp_path / "a.mkv", frames=1)
    start = int(probe(source)["packets"][0]["pos"])
    empty = tmp_path / "none.mkv"
    empty.write_bytes(source.read_bytes()[:start])
    with pytest.raises(ImageError, match=r"none.mkv: no frame in it can be decoded"):
        restore(empty, tmp_path / "b.mkv", restorer)
    assert not (tmp_path / "b.mkv").exists()


def mutated(data, seed):
    rng = random.Random(seed)
    data = bytearray(data)
    for _ in range(rng.choice((1, 4, 20))):
        where = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[where] = rng.randrange(256)
            case 1:
                data[where : where + rng.randrange(64)] = rng.randbytes(rng.randrange(64))
            case 2:
                data[where : where + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
            case _:
                del data[where : where + rng.randrange(200)]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_hostile_mutations_end_in_a_result_or_one_line(tmp_path, restorer, suffix, monkeypatch):
    # The network sees decoded pixels, whatever the file; it would only cost time here.
    monkeypatch.setattr(type(restorer), "restore_pixels", lambda self, pixels, options: pixels)
    encoding = X264 if suffix != "avi" else ("-c:v", "mpeg4", "-q:v", "4")
    source = make(tmp_path / f"good.{suffix}", *encoding, frames=5,
                  picture="testsrc2=size=64x48:rate=25")  # fmt: skip
    data, target = source.read_bytes(), tmp_path / f"out.{suffix}"
    for seed in range(50):
        bad = tmp_path / f"bad.{suffix}"
        bad.write_bytes(mutated(data, seed))
        start = time.monotonic()
        for line in outcome(bad, target, restorer):
            assert f".{suffix}" in line
            assert "\n" not in line
        assert time.monotonic() - start < 60
    assert leftovers(tmp_path) == []


def test_the_command_line_goes_on_and_says_what_is_missing(derain, tmp_path):
    make(tmp_path / "in" / "good.mp4", frames=3)
    make(tmp_path / "in" / "cut.ts", *X264, "-g", 4, frames=30)
    (tmp_path / "in" / "bad.mp4").write_bytes(b"x" * 99)
    data = (tmp_path / "in" / "cut.ts").read_bytes()
    (tmp_path / "in" / "cut.ts").write_bytes(data[: len(data) // 4 - 30])
    code, _, err = derain("restore", tmp_path / "in", "-o", tmp_path / "out", "--no-temporal",
                          "--device", "cpu")  # fmt: skip
    assert code == 1
    assert "bad.mp4: not a clip" in err
    assert (tmp_path / "out" / "good.mp4").exists()
    assert (tmp_path / "out" / "cut.ts").exists()
    code, _, err = derain("restore", tmp_path / "in" / "good.mp4", "-o", tmp_path / "out",
                          "--resume")  # fmt: skip
    assert (code, "skipped" in err) == (0, True)
    assert os.listdir(tmp_path / "out")  # noqa: PTH208
