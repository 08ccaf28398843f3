"""How good the shipped weights are: PSNR Y through `derain restore` at f32, as a user runs it.

    python -m benchmarks.quality ../shared/data/test [MODEL]

Rain100H and Test100 in, compared with their clean halves; and Rain100H's clean images in,
compared with themselves: what the network does where there is no rain. Means over all images.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from derain import batch
from derain.metrics.folder import compare_folders
from derain.restore import load


def split(folder: Path, out: Path) -> None:
    """Pairs stored side by side (left clean, right rainy) as two folders of PNG."""
    for half in ("clean", "rainy"):
        (out / half).mkdir(parents=True)
    for path in sorted(folder.glob("*.jpg")):
        both = np.asarray(Image.open(path))
        middle = both.shape[1] // 2
        Image.fromarray(both[:, :middle]).save(out / "clean" / f"{path.stem}.png")
        Image.fromarray(both[:, -middle:]).save(out / "rainy" / f"{path.stem}.png")


def score(restorer: object, rainy: Path, clean: Path, out: Path) -> str:
    """PSNR and SSIM of the input and of the restored images, protocol y."""
    jobs, failed = batch.plan([str(rainy)], str(out), format="png")
    outcomes = batch.run(jobs, restorer, batch.BatchSettings(format="png"))  # type: ignore[arg-type]
    assert not failed
    assert all(o.status == "restored" for o in outcomes)
    before, after = (compare_folders(f, clean).means for f in (rainy, out))
    return " | ".join(f"{m['psnr']:.2f} / {m['ssim']:.4f}" for m in (before, after))


def main() -> None:
    """Print the table."""
    root = Path(sys.argv[1])
    restorer = load(*sys.argv[2:3], precision="f32")
    print("| Set | input, PSNR / SSIM (y) | restored |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        split(root / "test100", work / "test100")
        heavy = root / "rain100h"
        for name, rainy, clean in (
            ("Rain100H", heavy / "rainy", heavy / "clean"),
            ("Test100", work / "test100" / "rainy", work / "test100" / "clean"),
            ("clean in, clean out", heavy / "clean", heavy / "clean"),
        ):
            print(f"| {name} | {score(restorer, rainy, clean, work / name)} |", flush=True)


if __name__ == "__main__":
    main()
