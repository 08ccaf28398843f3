"""Damaged clips through `derain restore`: what comes of them, and how long it takes.

    python -m benchmarks.fuzz_video [--files 50] [--first SEED] [--kinds mp4 mkv webm]

A clip of this project's making is damaged in each container, by flipped bytes, cuts and blocks of
zeros, and goes through the command in a process of its own. Prints a row for each container, and
the seeds of all that should not be: a traceback, a crash, a hang of a minute, an error without
words, or a file left half-written. Exits with 1 if there is any.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from benchmarks.video_speed import pan

CODECS = {"mp4": "libx264", "mkv": "libx264", "webm": "libvpx-vp9"}
SIZE, FRAMES = (48, 64), 12
PATIENCE = 60  # seconds


def good(path: Path) -> bytes:
    """A clip in the container of a path's suffix."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(CODECS[path.suffix[1:]], rate=25)
        assert isinstance(video, VideoStream)
        video.height, video.width, video.pix_fmt = *SIZE, "yuv420p"
        for image in pan(SIZE, FRAMES):
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        out.mux(video.encode(None))
    return path.read_bytes()


def damaged(data: bytes, seed: int) -> bytes:
    """A file with flipped bytes, a block of zeros, a piece cut out, or without its end."""
    rng = np.random.default_rng(seed)
    edited = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        place, length = int(rng.integers(len(edited))), int(rng.integers(1, 257))
        match rng.integers(4):
            case 0 | 1:
                edited[place] ^= int(rng.integers(1, 256))
            case 2:
                edited[place : place + length] = bytes(len(edited[place : place + length]))
            case _:
                del edited[place : place + length]
    if rng.random() < 0.2:
        del edited[int(rng.integers(8, len(edited))) :]
    return bytes(edited)


def outcome(source: Path, target: Path) -> str:
    """What the command makes of a clip, in a word; with more words where it should not be."""
    command = [sys.executable, "-m", "derain", "restore", str(source), "-o", str(target)]
    command += ["--device", "cpu", "--overwrite"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return "bad: hang"
    said = done.stderr.decode(errors="replace")
    left = [path.name for path in target.parent.iterdir() if path not in (source, target)]
    if "Traceback" in said or done.returncode not in (0, 1):
        return f"bad: exit code {done.returncode}: {said[-300:]}"
    if left:
        return f"bad: left behind {left}"
    if done.returncode == 0:
        return "restored"
    words = "warning: " if target.exists() else "error: "
    if f"{words}{source}" not in said:
        return f"bad: no reason given: {said[-300:]}"
    return "restored in part" if target.exists() else "refused"


def main() -> None:
    """Print the table and the problems."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=50, help="of each container")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--kinds", nargs="+", choices=list(CODECS), default=list(CODECS))
    options = parser.parse_args()
    problems: list[str] = []
    print("| Container | restored | restored in part | refused | bad |\n|---|---|---|---|---|")
    for kind in options.kinds:
        counts = Counter[str]()
        for seed in range(options.first, options.first + options.files):
            with tempfile.TemporaryDirectory() as folder:
                source, target = Path(folder, f"a.{kind}"), Path(folder, f"b.{kind}")
                source.write_bytes(damaged(good(source), seed))
                what = outcome(source, target)
            counts[what.partition(":")[0]] += 1
            if what.startswith("bad"):
                problems.append(f"{kind}, seed {seed}: {what}")
        cells = (str(counts[name]) for name in ("restored", "restored in part", "refused", "bad"))
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
