"""Kill a training or its worker at random moments, and go on: are the weights the same?

    python -m benchmarks.kill_training ../shared/data/train

Trains a quarter-width MSPFN* in f32 twice on the recipe's data: once undisturbed, once with SIGKILL
after random times, checkpoints being written throughout: twenty times of the training, ten of the
worker that makes its crops, after which the training must end by itself. Prints where it was
killed, how long it took to end, and the largest difference of the final weights, which must be
zero. Needs Linux.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from derain.weights.files import load_network

KILLS = ["training", "training", "worker"] * 10
SMALL = [
    "--set", "options={width=8, lstm_widths=[8, 8, 8], fine_modules=1}", "--set", "steps=600",
    "--set", "compile=false", "--set", "precision=f32", "--set", "data.validation=4",
]  # fmt: skip
COMMON = ["--checkpoint-minutes", "0.02", "--device", "cpu", "--no-onnx", "--workers", "1"]


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """A training in a process of its own."""
    command = [sys.executable, "-m", "derain", "train", *arguments, *COMMON]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def newest(run: Path) -> int:
    """Step of the newest checkpoint; -1 without one."""
    names = [path.name for path in (run / "checkpoints").glob("step-*.pt")]
    return max((int(re.findall(r"\d+", name)[0]) for name in names), default=-1)


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    return [
        int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def main() -> None:
    """Run both and compare."""
    recipe = Path(__file__).parents[1] / "recipes" / "mspfn-lite.toml"
    rng = np.random.default_rng()
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        new = [str(recipe), "--data", sys.argv[1], *SMALL]
        assert start(*new, "--out", str(whole)).wait() == 0
        process = start(*new, "--out", str(killed))
        for kill, victim in enumerate(KILLS, 1):
            before = newest(killed)
            while newest(killed) <= before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 3))
            if process.poll() is not None:
                break  # it was done before
            for pid in [process.pid] if victim == "training" else children(process.pid):
                os.kill(pid, signal.SIGKILL)
            begun = time.monotonic()
            code, seconds = process.wait(timeout=60), time.monotonic() - begun
            print(f"kill {kill}, of the {victim}: exit code {code} after {seconds:.1f} s, ", end="")
            print(f"newest checkpoint {newest(killed)}", flush=True)
            process = start("--resume", str(killed))
        assert process.wait() == 0
        networks = [load_network(run / "mspfn-lite.safetensors")[0] for run in (whole, killed)]
        states = [network.state_dict() for network in networks]
        worst = max((states[0][name] - states[1][name]).abs().max().item() for name in states[0])
        print(f"steps {newest(whole)} and {newest(killed)}, largest difference {worst}")


if __name__ == "__main__":
    main()
