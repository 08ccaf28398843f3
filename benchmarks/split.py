"""How long grouping images by background takes: python -m benchmarks.split [COUNT].

Random signatures stand for the images: twenty for each background, which differ in a few bits, as
recompressed images do. Opening the images comes on top.
"""

import sys
import time

import numpy as np

from derain.data.split import group_signatures

VARIANTS = 20  # images of one background


def main() -> None:
    """Group so many signatures and print the time."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    signatures = np.repeat(rng.integers(0, 2, (count // VARIANTS, 256), np.uint8) == 1, VARIANTS, 0)
    for part in np.array_split(signatures, max(1, count // 100_000)):
        part ^= rng.random(part.shape, np.float32) < 0.01
    start, cpu = time.perf_counter(), time.process_time()
    groups = group_signatures(signatures)
    seconds, used = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{len(signatures)} images, {len(np.unique(groups))} backgrounds "
        f"(right: {count // VARIANTS}): {seconds:.1f} s, {used:.1f} s of processor time"
    )


if __name__ == "__main__":
    main()
