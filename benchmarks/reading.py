"""How long it takes to read an image, by format: all that is right with it, and pixels alone.

    python -m benchmarks.reading [--megapixels 12]

Prints milliseconds of processor time, the least of some readings: `read_image` as `derain restore`
reads (16 bits, metadata), `read_rgb` as training and metrics do.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from derain.io.decode import DecodedImage, read_image, read_rgb
from derain.io.encode import encode_image

FORMATS = {
    "8-bit JPEG": ("JPEG", 8), "8-bit PNG": ("PNG", 8), "8-bit WebP": ("WEBP", 8),
    "8-bit TIFF": ("TIFF", 8), "16-bit PNG": ("PNG", 16), "16-bit TIFF": ("TIFF", 16),
    "BMP": ("BMP", 8), "PPM": ("PPM", 8),
}  # fmt: skip


def least(read: Callable[[], object], times: int = 5) -> float:
    """Milliseconds of processor time that the quickest of some readings takes."""
    took: list[float] = []
    for _ in range(times):
        begun = time.process_time()
        read()
        took.append(1000 * (time.process_time() - begun))
    return min(took)


def main() -> None:
    """Print a row per format."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megapixels", type=float, default=12)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    height = round((options.megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height * 4 // 3, height)
    coarse = np.random.default_rng(0).integers(0, 256, (height // 16, size[0] // 16, 3), np.uint8)
    pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    print(f"{size[0]}x{size[1]}    read_image      read_rgb")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image")
        files = {
            name: encode_image(
                DecodedImage(pixels if bits == 8 else pixels.astype(np.uint16) * 257, format)
            )
            for name, (format, bits) in FORMATS.items()
        }
        raw = io.BytesIO()
        Image.fromarray(pixels).save(raw, "TIFF")
        files["raw TIFF"] = raw.getvalue()
        for name, data in files.items():
            path.write_bytes(data)
            whole, rgb = least(lambda: read_image(path)), least(lambda: read_rgb(path))
            print(f"{name:12} {whole:8.0f} ms   {rgb:8.0f} ms", flush=True)


if __name__ == "__main__":
    main()
