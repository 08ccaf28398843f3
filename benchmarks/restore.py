"""What restoring costs: warm calls, tiles, memory, large images, a folder, a cold start.

    python -m benchmarks.restore [warm] [memory] [sizes] [folder] [cold] [--model M] [--largest MP]

Without a name all of them. Nothing else should run meanwhile. Whole commands and memory are
measured in processes of their own. The images are scikit-image's photographs with synthetic rain.
"""

import argparse
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

# The peak is read from /proc: getrusage would count the parent's memory from before the exec.
PEAK = 'int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])'
COMMAND = f"""
import re, sys
from derain.cli import main
try: main()
finally: print({PEAK}, file=sys.stderr)
"""
WORK = f"""
import re, sys
import numpy as np
import derain
model, precision, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
engine = derain.load(model, device="cpu", precision=precision).engine
before = {PEAK}
engine(np.zeros((1, 3, size, size), np.float32))
print(1024 * ({PEAK} - before) / size**2)
"""


def run(program: str, *arguments: str) -> tuple[float, str]:
    """Seconds of a Python program in a fresh process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    return time.perf_counter() - start, done.stdout + done.stderr


def restore(model: str, *arguments: str) -> tuple[float, float]:
    """Seconds and peak GB of a whole ``derain restore``."""
    seconds, said = run(COMMAND, "restore", "--model", model, "--overwrite", *arguments)
    return seconds, int(said.split()[-1]) * 1024 / 1e9


def rainy(width: int, height: int) -> np.ndarray:
    """An image of photographs, with rain."""
    size = max(width // 3, height // 2) + 1
    photographs = (data.astronaut(), data.coffee(), data.rocket())
    row = np.hstack([cv2.resize(p, (size, size)) for p in photographs])
    clean = np.vstack([row, row[:, ::-1]])[:height, :width]
    rain = RainSynthesizer("rain1400", seed=3)(clean[:1024, :1024]).rainy
    rain = cv2.subtract(rain, np.ascontiguousarray(clean[:1024, :1024]))
    tiled = np.tile(rain, (-(-height // 1024), -(-width // 1024), 1))[:height, :width]
    return cv2.add(np.ascontiguousarray(clean), np.ascontiguousarray(tiled))


def warm(model: str, folder: Path) -> None:
    """Median of a whole ``Restorer`` call on 512x384 uint8."""
    restorers = {p: derain.load(model, device="cpu", precision=p) for p in ("auto", "f32")}
    image = rainy(512, 384)
    times: dict[str, list[float]] = {name: [] for name in restorers}
    for _ in range(18):
        for name, restorer in restorers.items():
            start = time.perf_counter()
            restorer(image)
            times[name].append(time.perf_counter() - start)
    for name, restorer in restorers.items():
        row(
            f"512x384, warm call, {restorer.engine.precision}",
            f"{np.median(times[name][3:]):.3f} s",
        )


def memory(model: str, folder: Path) -> None:
    """Bytes of work per pixel of a tile: the ``memory`` of a record."""
    for precision in ("auto", "f32"):
        name = derain.load(model, device="cpu", precision=precision).engine.precision
        small, large = (float(run(WORK, model, precision, size)[1]) for size in ("512", "1024"))
        row(f"work per pixel, {name}", f"{small:.0f} bytes (tile 512), {large:.0f} (1024)")


def sizes(model: str, folder: Path, largest: float) -> None:
    """The cost curve: whole commands, JPEG to JPEG, decoding and encoding included."""
    for megapixels in (0.15, 1, 4, 24, 100):
        if megapixels > largest:
            return
        height = round((megapixels * 1e6 / 1.5) ** 0.5)
        Image.fromarray(rainy(height * 3 // 2, height)).save(folder / "a.jpg", quality=95)
        seconds, peak = restore(model, str(folder / "a.jpg"), "-o", str(folder / "b.jpg"))
        each = seconds / megapixels
        row(f"{megapixels:g} megapixels", f"{seconds:.1f} s, {each:.2f} s each, {peak:.2f} GB")


def folder_run(model: str, folder: Path, count: int = 100) -> None:
    """A folder of images, against the network alone in this process."""
    for k in range(count):
        Image.fromarray(np.roll(rainy(480, 320), 7 * k, 1)).save(folder / f"{k:03}.jpg", quality=95)
    engine = derain.load(model, device="cpu").engine
    batch = np.random.default_rng(0).random((1, 3, 320, 480), np.float32)
    engine(batch)
    start = time.perf_counter()
    for _ in range(count):
        engine(batch)
    network = time.perf_counter() - start
    whole, _ = restore(model, str(folder), "-o", str(folder / "out"))
    row(f"{count} images 480x320, network alone", f"{network:.1f} s")
    row(f"{count} images 480x320, whole command", f"{whole:.1f} s, {whole / network:.2f} times")


def cold(model: str, folder: Path) -> None:
    """One image, the whole process."""
    Image.fromarray(rainy(480, 320)).save(folder / "a.jpg", quality=95)
    arguments = (str(folder / "a.jpg"), "-o", str(folder / "b.jpg"))
    found = [restore(model, *arguments)[0] for _ in range(5)]
    row("one image 480x320, whole process", f"{np.median(found):.2f} s")


def row(what: str, measured: str) -> None:
    """One line of the table."""
    print(f"| {what} | {measured} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure what restoring costs.")
    parts = {"warm": warm, "memory": memory, "sizes": sizes, "folder": folder_run, "cold": cold}
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=[])
    parser.add_argument("--model", default="mspfn-lite")
    parser.add_argument("--largest", type=float, default=100, help="megapixels in the cost curve")
    options = parser.parse_args()
    print(f"| {options.model} | Measured |\n|---|---|")
    for name in options.parts or parts:
        extra = (options.largest,) if name == "sizes" else ()
        with tempfile.TemporaryDirectory() as folder:
            parts[name](options.model, Path(folder), *extra)


if __name__ == "__main__":
    main()
