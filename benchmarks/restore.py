"""What restoring costs: time of a warm call, and a 24-megapixel picture's time, memory and seams.

    python -m benchmarks.restore

Nothing else should run meanwhile. The large picture is made of scikit-image's photographs with our
rain on them, and goes through `derain restore` in a process of its own.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

import derain
from derain.rain import RainSynthesizer
from derain.restore import OVERLAP, TILE
from derain.tiles import starts

# The peak is read from /proc: getrusage would count the parent's memory from before the exec.
CHILD = """
import re, sys
from derain.cli import main
try: main()
finally: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def warm_seconds(precision: str, runs: int = 15) -> float:
    """Median time of a whole ``Restorer`` call on 512x384 uint8."""
    restorer = derain.load(device="cpu", precision=precision)
    picture = np.random.default_rng(0).integers(0, 256, (384, 512, 3), np.uint8)
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        restorer(picture)
        times.append(time.perf_counter() - start)
    return float(np.median(times[3:]))


def large_picture() -> np.ndarray:
    """6000x4000 with rain."""
    row = np.hstack(
        [cv2.resize(p, (2000, 2000)) for p in (data.astronaut(), data.coffee(), data.rocket())]
    )
    clean = np.vstack([row, row[:, ::-1]])
    return RainSynthesizer("rain1400", seed=3)(clean).rainy


def seam(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Largest mean step of (after - before) between columns: at tile borders, and elsewhere.

    A tile border is where a neighbour's weight begins, ends or passes the middle.
    """
    change = after.astype(np.float32).mean(2) - before.astype(np.float32).mean(2)
    steps = np.abs(np.diff(change.mean(axis=0)))
    border = np.zeros(len(steps), bool)
    for start in starts(before.shape[1], TILE, OVERLAP)[1:]:
        for offset in (0, OVERLAP // 4, OVERLAP // 2, 3 * OVERLAP // 4, OVERLAP):
            border[start + offset - 1 : start + offset + 1] = True
    return float(steps[border].max()), float(steps[~border].max())


def main() -> None:
    """Print the table."""
    print("| What | Measured |\n|---|---|")
    for precision in ("bf16", "f32"):
        print(f"| 512x384, warm call, {precision} | {warm_seconds(precision):.3f} s |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "large.jpg"), Path(folder, "out.png")
        Image.fromarray(large_picture()).save(source, quality=95)
        for precision in ("bf16", "f32"):
            command = ["derain", "restore", str(source), "-o", str(target), "--overwrite"]
            command += ["--precision", precision]
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, *command[1:]],
                stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            seconds = time.perf_counter() - start
            peak = int(done.stderr.split()[-1]) / 1e6
            print(f"| 24 megapixels, {precision} | {seconds:.1f} s, {peak:.2f} GB |", flush=True)
        pictures = [np.asarray(Image.open(path)) for path in (source, target)]
        at, elsewhere = seam(*pictures)
        print(f"| largest step at tile borders / elsewhere | {at:.3f} / {elsewhere:.3f} levels |")


if __name__ == "__main__":
    main()
