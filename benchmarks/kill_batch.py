"""Kill a batch of images at random moments, and go on: are the results the same?

    python -m benchmarks.kill_batch [--kills 50] [--seed 0]

Restores a folder of images of this project's making once undisturbed, and again with SIGKILL after
random times and `--skip-existing` after each. After every kill, each result must be byte for byte
that of the undisturbed run, and every input what it was. Whenever a batch is done it must hold all
results, and the next begins with an empty folder. Prints a line for each kill; exits with 1 if
anything was lost or half-written.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from derain.io.decode import DecodedImage
from derain.io.encode import encode_image

IMAGES = 24
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF"}


def write_images(folder: Path) -> None:
    """Write images of noise in three formats."""
    folder.mkdir()
    for k in range(IMAGES):
        pixels = np.random.default_rng(k).integers(0, 256, (240, 320, 3), np.uint8)
        suffix = list(FORMATS)[k % len(FORMATS)]
        data = encode_image(DecodedImage(pixels, FORMATS[suffix]))
        (folder / f"{k:02}{suffix}").write_bytes(data)


def contents(folder: Path) -> dict[str, bytes]:
    """The files that people see in a folder."""
    paths = folder.glob("*") if folder.is_dir() else ()
    return {path.name: path.read_bytes() for path in paths if not path.name.startswith(".")}


def start(images: Path, out: Path) -> subprocess.Popen[bytes]:
    """A batch in a process of its own."""
    command = [sys.executable, "-m", "derain", "restore", str(images), "-o", str(out)]
    return subprocess.Popen([*command, "--skip-existing"], stderr=subprocess.DEVNULL)


def wait_for_result(process: subprocess.Popen[bytes], out: Path, before: int) -> None:
    """Wait until there is a result more, or the batch has ended."""
    while len(contents(out)) <= before and process.poll() is None:
        time.sleep(0.005)


def damage(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """The results that are not those of the undisturbed run."""
    return [name for name, data in found.items() if expected.get(name) != data]


def main() -> None:
    """Run the undisturbed batch, then kill others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    wrong, kills, whole = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        images, undisturbed, out = (Path(folder, name) for name in ("in", "undisturbed", "out"))
        write_images(images)
        inputs = contents(images)
        assert start(images, undisturbed).wait() == 0
        expected = contents(undisturbed)
        assert len(expected) == IMAGES
        while kills < options.kills:
            before = len(contents(out))
            process = start(images, out)
            if rng.random() < 0.8:  # the rest are killed while they start, mostly
                wait_for_result(process, out, before)
            time.sleep(rng.uniform(0, 0.5))
            done = process.poll() is not None
            process.kill()
            code = process.wait()
            found = contents(out)
            bad = damage(found, expected)
            lost = contents(images) != inputs or (done and (code != 0 or found != expected))
            wrong += len(bad) + lost
            kills += not done
            hidden = len(list(out.glob(".*"))) if out.is_dir() else 0
            what = "batch done" if done else f"kill {kills}"
            print(f"{what}: {len(found)} results, {len(bad)} not right, ", end="")
            print(f"{hidden} unfinished hidden files{', SOMETHING WAS LOST' * lost}", flush=True)
            if done:
                whole += 1
                for path in out.iterdir():
                    path.unlink()
        code = start(images, out).wait()
        same = contents(out) == expected
        print(f"{kills} kills, {whole} batches done on the way; the last, resumed: exit code "
              f"{code}, {'all' if same else 'NOT ALL'} {IMAGES} results equal")  # fmt: skip
    sys.exit(1 if wrong or code or not same else 0)


if __name__ == "__main__":
    main()
