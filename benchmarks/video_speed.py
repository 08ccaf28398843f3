"""Speed and memory of clips.

    python -m benchmarks.video_speed speed                    # three sizes, the network itself
    python -m benchmarks.video_speed memory                   # an hour of 1080p
    python -m benchmarks.video_speed memory --seconds 60 --stand-in

`speed` restores a clip that FFmpeg's encoder wrote of a photograph of noise that pans, at 360p,
720p and 1080p, and prints frames per second of the whole and of the network alone on the same
frames, and their quotient. `memory` sends frames of 1080p through `derain.video.stream`, with
fusion, from a reader that gives the same few again and again, and prints the peak of the process's
memory as it goes; it ends with 1 if it is over 1.5 GB or still grows in the second half.
With `--stand-in` a blur takes the network's place, which makes an hour last minutes and is said.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from derain.restore import DEFAULTS, RestoreOptions, Restorer, load
from derain.video import VideoSettings, restore, stream

SIZES = {"360p": (360, 640), "720p": (720, 1280), "1080p": (1080, 1920)}
HEAD = """\
| Size | frames per second | the network alone | time of the whole / the network |
|---|---|---|---|"""
RATE = 25
LIMIT = 1.5e9  # bytes
GROWTH = 50e6  # bytes that the second half may add


def pan(size: tuple[int, int], frames: int) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 3) of noise with large and small structure, 3 px further each time."""
    height, width = size
    wide = width + 3 * frames
    rng = np.random.default_rng(0)
    image = np.zeros((height, wide, 3), np.float32)
    for scale in (1, 4, 16, 64):
        shape = (-(-height // scale), -(-wide // scale), 3)
        noise = rng.normal(0, scale**0.5, shape).astype(np.float32)
        image += cv2.resize(noise, (wide, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image * 12 + 128, 0, 255).astype(np.uint8)
    for k in range(frames):
        yield np.ascontiguousarray(image[:, 3 * k : 3 * k + width])


def write_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """A clip of H.264 in MP4."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=RATE)
        assert isinstance(video, VideoStream)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        for k, image in enumerate(pan(size, frames)):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def speed(restorer: Restorer, frames: int, names: list[str]) -> None:
    """Print a row for each size."""
    print(HEAD)
    for name in names:
        images = list(pan(SIZES[name], min(frames, 8)))
        restorer.restore_pixels(images[0])
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "a.mp4")
            write_clip(source, SIZES[name], frames)
            start = time.perf_counter()
            restore(source, Path(folder, "b.mp4"), restorer, VideoSettings())
            whole = (time.perf_counter() - start) / frames
        start = time.perf_counter()
        for image in images:
            restorer.restore_pixels(image)
        network = (time.perf_counter() - start) / len(images)
        print(
            f"| {name} | {1 / whole:.2f} | {1 / network:.2f} | {whole / network:.2f} |", flush=True
        )


class StandIn(Restorer):
    """A blur in the network's place."""

    def restore_pixels(
        self, pixels: NDArray[Any], options: RestoreOptions = DEFAULTS
    ) -> NDArray[Any]:
        """(H, W, 3) -> the same shape and type."""
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1))


def peak() -> float:
    """Bytes, the most that this process has held."""
    status = Path("/proc/self/status").read_text()
    return float(status.split("VmHWM:")[1].split()[0]) * 1024


def memory(restorer: Restorer, seconds: int) -> bool:
    """Print the peak ten times; whether it stays flat and below the limit."""
    total = seconds * RATE
    few = list(pan(SIZES["1080p"], 8))
    looped = (few[k % len(few)] for k in range(total))
    half, step = 0.0, max(total // 10, 1)
    for done, _ in enumerate(stream(looped, restorer), 1):
        if done == total // 2:
            half = peak()
        if done % step == 0:
            print(f"{done / RATE:6.0f} s of {seconds}: peak {peak() / 1e6:.0f} MB", flush=True)
    return peak() < LIMIT and peak() - half < GROWTH


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--frames", type=int, default=48, help="of each clip")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--seconds", type=int, default=3600, help="of the simulated clip")
    parser.add_argument("--stand-in", action="store_true", help="a blur instead of the network")
    options = parser.parse_args()
    restorer = load(device="cpu")
    if options.what == "speed":
        speed(restorer, options.frames, options.sizes)
        return
    if options.stand_in:
        print("a blur stands in for the network, whose own memory is thus not in these numbers")
        restorer = StandIn(restorer.engine, restorer.choice)
    sys.exit(0 if memory(restorer, options.seconds) else 1)


if __name__ == "__main__":
    main()
