"""What moves the result: one change of a recipe at a time, at a fixed budget, on validation pairs.

    python -m benchmarks.ablations ../shared/data/train RUNS               # the whole table
    python -m benchmarks.ablations ../shared/data/train RUNS base l1+ssim  # these rows

Every row sees as many pixels of crops as 1,200 steps of eight 64x64 crops, its learning rate comes
down to nothing in that time, and seed and validation pairs are the same. PSNR over RGB, f32, as
`benchmarks.validation` measures it. A row whose weights are already in RUNS is only measured.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.validation import header, row, validation
from derain.restore import load
from derain.training.recipe import read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"
PIXELS = 1200 * 8 * 64 * 64
BASE = ["data.stages=[]", "loss={charbonnier=1.0, edge=0.05}"]  # MSPFN's loss
# Row -> recipe, patch, batch, and the changes to the base.
ROWS: dict[str, tuple[str, int, int, list[str]]] = {
    "base": ("nafnet-small", 64, 8, []),
    "base, clipped at 0.55": ("nafnet-small", 64, 8, ["optimiser.clip=0.55"]),  # shows the noise
    "charbonnier alone": ("nafnet-small", 64, 8, ["loss={charbonnier=1.0}"]),
    "l1+ssim": ("nafnet-small", 64, 8, ["loss={l1=1.0, ssim=0.2}"]),
    "ssim alone": ("nafnet-small", 64, 8, ["loss={ssim=1.0}"]),
    "+ 0.05 fft": ("nafnet-small", 64, 8, ["loss={charbonnier=1.0, edge=0.05, fft=0.05}"]),
    "4 crops of 96": ("nafnet-small", 96, 4, []),
    "2 crops of 128": ("nafnet-small", 128, 2, []),
    "14 crops of 48": ("nafnet-small", 48, 14, []),
    "4 crops": ("nafnet-small", 64, 4, []),
    "16 crops": ("nafnet-small", 64, 16, []),
    "learning rate 5e-4": ("nafnet-small", 64, 8, ["optimiser.lr=5e-4"]),
    "learning rate 2e-3": ("nafnet-small", 64, 8, ["optimiser.lr=2e-3"]),
    "no EMA": ("nafnet-small", 64, 8, ["optimiser.ema=0.0"]),
    "no pairs of Rain800": ("nafnet-small", 64, 8, ["data.sources.0.weight=0.0"]),
    "three times the pairs of Rain800": ("nafnet-small", 64, 8, ["data.sources.0.weight=0.84"]),
    "no clean-to-clean": ("nafnet-small", 64, 8, ["data.sources.3.weight=0.0"]),
    "MH2F-Net, residual": ("mh2fnet-small", 64, 8, []),
    "MH2F-Net, no residual": ("mh2fnet-small", 64, 8, ["options.residual=false"]),
}


def train(row: str, data: Path, run: Path) -> Path:
    """Train one row unless that is done, and return its weights."""
    recipe, patch, batch, changes = ROWS[row]
    weights = run / f"{recipe}.safetensors"
    if not weights.exists():
        sizes = [f"data.patch={patch}", f"data.batch={batch}"]
        steps = f"steps={PIXELS // (batch * patch**2)}"
        settings = [
            part for change in (steps, *sizes, *BASE, *changes) for part in ("--set", change)
        ]
        command = [sys.executable, "-m", "derain", "train", str(RECIPES / f"{recipe}.toml")]
        options = ["--data", str(data), "--out", str(run), "--no-onnx"]
        options += ["--checkpoint-minutes", "1000"]  # the last one alone
        subprocess.run([*command, *options, *settings], check=True, stdout=subprocess.DEVNULL)
    return weights


def main() -> None:
    """Print the table."""
    data, runs = Path(sys.argv[1]), Path(sys.argv[2])
    pairs = validation(read_recipe(RECIPES / "nafnet-small.toml"), data)
    print(header("", pairs))
    for name in sys.argv[3:] or ROWS:
        weights = train(name, data, runs / name.replace(" ", "-"))
        print(row(name, load(str(weights), precision="f32"), pairs), flush=True)


if __name__ == "__main__":
    main()
