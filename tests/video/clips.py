"""Clips for the tests, made by ffmpeg from its own test sources, and what ffprobe says of them."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None,
    reason="ffmpeg is not installed (apt install ffmpeg)",
)
PICTURE = "testsrc2=size=160x120:rate=25"


def ffmpeg(*arguments: object) -> None:
    """Run ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-y", "-nostdin", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def make(path: Path, *encoding: object, frames: int = 12, picture: str = PICTURE) -> Path:
    """A clip of ffmpeg's test picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", frames, *(encoding or X264), path)
    return path


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


def probe(path: Path) -> dict[str, Any]:
    """Streams, container, chapters, packets with hashes, frames, as ffprobe sees them."""
    shown = ("-show_streams", "-show_format", "-show_chapters", "-show_packets", "-show_frames")
    command = ["ffprobe", "-v", "error", *shown, "-show_data_hash", "md5", "-of", "json"]
    done = subprocess.run([*command, str(path)], check=True, capture_output=True)
    found = json.loads(done.stdout)
    mixed = found.pop("packets_and_frames")
    found["packets"] = [entry for entry in mixed if entry["type"] == "packet"]
    found["frames"] = [entry for entry in mixed if entry["type"] == "frame"]
    return found


def copied(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All packets but those of the picture: stream, times and hash."""
    keys = ("stream_index", "pts_time", "dts_time", "duration_time", "data_hash")
    return [
        tuple(packet.get(key) for key in keys)
        for packet in sorted(found["packets"], key=lambda p: p["stream_index"])
        if packet["codec_type"] != "video"
    ]


def times(found: dict[str, Any]) -> list[tuple[str, str]]:
    """When each frame of the picture is shown, and for how long."""
    return [
        (frame["pts_time"], frame.get("duration_time", ""))
        for frame in found["frames"]
        if frame["media_type"] == "video"
    ]


def picture(found: dict[str, Any]) -> dict[str, Any]:
    """What is said of the picture stream and must not change."""
    keys = (
        "index", "width", "height", "pix_fmt", "sample_aspect_ratio", "color_range", "color_space",
        "color_primaries", "color_transfer", "time_base", "avg_frame_rate", "disposition",
    )  # fmt: skip
    stream = next(s for s in found["streams"] if s["codec_type"] == "video")
    rotation = [data.get("rotation") for data in stream.get("side_data_list", [])]
    aspect = stream.get("sample_aspect_ratio", "1:1")  # unknown and 1:1 look the same
    found = {key: stream.get(key) for key in keys}
    return found | {"rotation": rotation, "sample_aspect_ratio": aspect}


def words(tags: dict[str, str]) -> dict[str, str]:
    """Metadata but for what names the program that wrote the file."""
    own = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}
    return {key: value for key, value in tags.items() if key.lower() not in own}
