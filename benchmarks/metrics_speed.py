"""How long the metrics take for a set of 100 images of 480x320, files and decoding included.

    python benchmarks/metrics_speed.py --jobs 2 --parameters FOLDER

FOLDER holds the parameter files of NIQE and SSEQ; without it they are left out. The images are
made up; the metrics do the same work for any image of that size. Targets are ours,
for two cores.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from derain.metrics import ParametersError
from derain.metrics.folder import compare_folders

TARGETS = {("psnr", "ssim"): 4.0, ("psnr", "ssim", "fsim"): 40.0, ("niqe", "sseq"): 60.0}


def make_images(folder: Path, count: int) -> None:
    """Smooth scenes, and the same under bright streaks, as PNG."""
    rng = np.random.default_rng(0)
    for n in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (10, 15, 3), np.uint8))
        clean = np.asarray(coarse.resize((480, 320), Image.Resampling.BICUBIC)).copy()
        clean = np.clip(clean + rng.normal(0, 6, clean.shape), 0, 255).astype(np.uint8)
        rainy = clean.copy()
        for x in rng.integers(0, 478, 60):
            rainy[:, x : x + 2] = np.maximum(rainy[:, x : x + 2], 220)
        for kind, image in (("clean", clean), ("rainy", rainy)):
            (folder / kind).mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / kind / f"{n}.png")


def main() -> None:
    """Print one line per group of metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--parameters", type=Path)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{options.count} images of 480x320, {options.jobs} jobs, {cores} cores to run on")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, options.count)
        for metrics, target in TARGETS.items():
            start, worked = time.perf_counter(), time.process_time()
            try:
                compare_folders(
                    folder / "rainy", folder / "clean", metrics, jobs=options.jobs,
                    parameters=options.parameters,
                )  # fmt: skip
            except ParametersError as error:
                print(f"{' + '.join(metrics):20} left out: {error}")
                continue
            seconds, cpu = time.perf_counter() - start, time.process_time() - worked
            allowed = target * options.count / 100
            print(
                f"{' + '.join(metrics):20} {seconds:6.2f} s ({cpu:.2f} s of processor), "
                f"target {allowed:g} s"
            )


if __name__ == "__main__":
    main()
