"""Clips through a real server: each in its own process, within limits, and gone when it ends."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.serve.conftest import Running, encoded, httpx
from tests.video.clips import X264, ffmpeg, make, needs_ffmpeg

pytest.importorskip("av", reason='needs pip install "derain[video]"')

from derain.client import Client, ServerProblem

pytestmark = [pytest.mark.slow, needs_ffmpeg]

RAW = {"Content-Type": "application/octet-stream"}
SMALL = "testsrc2=size=64x48:rate=25"
PATIENCE = 120.0  # seconds; the machine may be busy


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small frames with sound."""
    path = tmp_path_factory.mktemp("clips") / "street.mp4"
    sources = ("-f", "lavfi", "-i", SMALL, "-f", "lavfi", "-i", "sine=frequency=440")
    ffmpeg(*sources, "-frames:v", 8, "-shortest", *X264, "-c:a", "aac", path)
    return path


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More frames than any test waits for."""
    return make(tmp_path_factory.mktemp("clips") / "long.mp4", frames=3000, picture=SMALL)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def first_frame(client: Client, clip: Path) -> Any:
    """A job of which a frame is done, and its events from there."""
    job = client.submit(clip)
    events = job.events()
    for event in events:
        assert event.name in ("queued", "running", "frame"), event
        if event.name == "frame":
            return job, events
    raise AssertionError("no frame")


def problem(address: str, data: bytes) -> dict[str, Any]:
    """Why a clip fails, at once or later."""
    answer = httpx.post(f"{address}/v1/jobs", content=data, headers=RAW, timeout=PATIENCE)
    if answer.status_code == 202:
        httpx.get(address + answer.json()["events"], timeout=PATIENCE)
        answer = httpx.get(address + answer.json()["result"], timeout=PATIENCE)
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


def test_a_clip_comes_back_as_the_command_writes_it(
    server: Running, clip: Path, derain: Any, tmp_path: Path
) -> None:
    assert derain("restore", clip, "-o", tmp_path / "dry.mp4", "--strength", 0.5)[0] == 0
    with Client(server.address) as client:
        told = client.models()
        assert told["video"] is True
        assert told["clip_limits"]["bytes"] > told["limits"]["bytes"]
        job = client.submit(clip, strength=0.5)
        events = list(job.events())
        job.save(tmp_path / "served.mp4")
    assert (tmp_path / "served.mp4").read_bytes() == (tmp_path / "dry.mp4").read_bytes()
    names = list(dict.fromkeys(event.name for event in events))
    assert names == ["queued", "running", "frame", "done"]
    frames = [event.data for event in events if event.name == "frame"]
    assert [frame["total"] for frame in frames] == [8] * len(frames)
    assert frames[-1] == {"done": 8, "total": 8, "left": 0.0}
    facts = events[-1].data
    assert (facts["frames"], facts["width"], facts["height"]) == (8, 64, 48)
    assert (facts["format"], facts["notes"]) == ("MP4", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dry.mp4", "served.mp4"]


def test_a_player_can_ask_for_parts_and_events_for_what_it_missed(http: Any, clip: Path) -> None:
    job = http.post("/v1/jobs", files={"file": ("../a street.mp4", clip.read_bytes())}).json()
    whole = http.get(job["events"], timeout=PATIENCE).text
    numbers = [int(n) for n in re.findall(r"^id: (\d+)$", whole, re.MULTILINE)]
    assert numbers == sorted(set(numbers))
    again = http.get(job["events"]).text
    assert again.count("event: frame") == 1  # the last alone is told again
    assert again.endswith(whole[whole.rindex("id: ") :])
    last = http.get(job["events"], headers={"Last-Event-ID": str(numbers[-2])}).text
    assert last.startswith(f"id: {numbers[-1]}\nevent: done\n")

    result = http.get(job["result"])
    assert result.headers["content-type"] == "video/mp4"
    assert result.headers["accept-ranges"] == "bytes"
    assert result.headers["content-disposition"].endswith("''a%20street_derained.mp4")
    data, size = result.content, len(result.content)
    assert size > 1000
    for asked, part in {
        "bytes=0-": data, "bytes=0-0": data[:1], "bytes=100-299": data[100:300],
        f"bytes={size - 5}-{size + 99}": data[-5:], "bytes=-7": data[-7:],
    }.items():  # fmt: skip
        answer = http.get(job["result"], headers={"Range": asked})
        assert answer.content == part
        assert answer.headers["content-length"] == str(len(part))
        if part == data:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 206
        first = data.index(part) if len(part) > 50 else size - len(part) if part != data[:1] else 0
        told = f"bytes {first}-{first + len(part) - 1}/{size}"
        assert answer.headers["content-range"] == told
    for odd in ("bytes=5-4", "bytes=-", "lines=1-2", "bytes=0-1,4-5"):
        assert http.get(job["result"], headers={"Range": odd}).content == data
    beyond = http.get(job["result"], headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/docs#no-such-part")
    assert beyond.headers["content-range"] == f"bytes */{size}"


def test_a_clip_that_is_given_up_leaves_no_process_and_no_file(
    start: Callable[..., Running], long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    running = start(limits={"absence": 0.3})
    address = running.address

    def worker() -> list[str]:
        listed = ["pgrep", "-P", str(running.process.pid), "-f", "derain.serve.clip_worker"]
        return subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()

    with Client(address) as client:
        job, _ = first_frame(client, long)
        assert len(worker()) == 1
        assert len(list(tmp_path.glob("derain-clip-*"))) == 1
        job.cancel()
        until(lambda: not worker() and not list(tmp_path.iterdir()))
        # A follower that goes away, and no other comes.
        job, events = first_frame(client, long)
        events.close()
        state = f"{address}/v1/jobs/{job.id}"
        until(lambda: httpx.get(state).json()["data"].get("type") == "/docs#cancelled")
        until(lambda: not worker() and not list(tmp_path.iterdir()))
        # A decoder that crashes.
        job, events = first_frame(client, long)
        os.kill(int(worker()[0]), signal.SIGSEGV)
        assert list(events)[-1].data["detail"] == "It stops the program that decodes it."
        # The server itself, in the middle.
        first_frame(client, long)
        (left,) = worker()
        running.process.kill()
        until(lambda: not Path(f"/proc/{left}").exists())
        until(lambda: not list(tmp_path.glob("derain-clip-*")))


def test_sigterm_ends_a_clip_and_says_so(start: Callable[..., Running], long: Path) -> None:
    running = start("--verbose")
    with Client(running.address) as client:
        _, events = first_frame(client, long)
        running.process.terminate()
        last = list(events)[-1]
    assert (last.name, last.data["type"]) == ("failed", "/docs#stopping")
    assert "send the clip again" in last.data["detail"]
    assert running.process.wait(PATIENCE) == 0
    assert running.process.stderr
    assert "Traceback" not in running.process.stderr.read()


def test_clips_beyond_a_limit_or_damaged_are_problem_documents(
    start: Callable[..., Running], clip: Path, long: Path, tmp_path: Path
) -> None:
    small = {"pixels": 5000, "frames": 10, "seconds": 4.0, "bytes": 200_000}
    address = start(limits={"clip": small, "bytes": 30_000}).address
    wide = make(tmp_path / "wide.mp4", frames=2, picture="testsrc2=size=96x64:rate=25")
    slow = make(tmp_path / "slow.mp4", frames=9, picture="testsrc2=size=64x48:rate=1")
    many = make(tmp_path / "many.mkv", frames=12, picture=SMALL)
    data = clip.read_bytes()
    for path, why in (
        (wide, "Frames of 96x64 are over the limit of 0.005 megapixels."),
        (slow, "9 s are over the limit of 4 s."),
        (many, "12 frames are over the limit of 10."),
        (long, "More than 0.2 MB; send it smaller."),
    ):
        found = problem(address, path.read_bytes())
        assert (found["status"], found["detail"]) == (413, why)
    assert problem(address, data[:2000])["status"] == 422
    assert "/" not in problem(address, data[:2000])["detail"]
    playlist = b"\0\0\0\x18ftypisom" + b"#EXTM3U\nhttp://127.0.0.1:1/x.ts\n"
    assert problem(address, playlist)["status"] == 422
    image = httpx.post(f"{address}/v1/restore", content=data, headers=RAW)
    assert (image.status_code, image.json()["type"]) == (415, "/docs#not-an-image")
    query = {"format": "png"}
    asked = httpx.post(f"{address}/v1/jobs", content=data, headers=RAW, params=query)
    assert (asked.status_code, asked.json()["type"]) == (422, "/docs#bad-option")
    with Client(address) as client, pytest.raises(ServerProblem, match=r"0\.03 MB"):
        client.submit(b"\xff\xd8\xff" + bytes(40_000))


def test_a_result_beyond_its_place_is_a_problem_document(
    start: Callable[..., Running], clip: Path
) -> None:
    address = start(limits={"clip": {"growth": 1, "least": 2000, "most": 2000}}).address
    found = problem(address, clip.read_bytes())
    assert (found["status"], found["detail"]) == (413, "Its result has more than 0.002 MB.")
    address = start(limits={"held": 100_000}).address
    found = problem(address, clip.read_bytes())
    assert (found["status"], found["type"]) == (429, "/docs#busy")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_one_problem_document_and_images_go_on(
    start: Callable[..., Running], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.decode()[:100]}")
    try:
        monkeypatch.setenv("TMPDIR", str(disk))
        small = {"growth": 1, "least": 1000, "most": 1000}
        address = start(limits={"clip": small}).address
        data = clip.read_bytes()
        # Free is less than has to be kept free, and then more than that but less than is used.
        for free in (4096, len(data) + 3 * small["most"] + 4096):
            (disk / "filler").write_bytes(bytes(256 * 1024 - free))
            found = problem(address, data)
            assert (found["status"], found["type"]) == (507, "/docs#no-space"), free
        answer = httpx.post(f"{address}/v1/restore", content=encoded(), headers=RAW, timeout=60)
        assert answer.status_code == 200
        assert [path.name for path in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        shutil.rmtree(disk, ignore_errors=True)
