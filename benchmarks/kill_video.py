"""Kill the restoration of a clip at random moments, and go on: are the frames the same?

    python -m benchmarks.kill_video [--kills 10] [--seed 0] [--frames 1000]

Restores a clip of this project's making once undisturbed, and again with SIGKILL after random
times and `--resume` after each. No result may appear before it is whole, no segment may be half
written, and the last result must have the packets of the undisturbed one. Prints a line for each
kill; exits with 1 if anything was lost.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from benchmarks.video_speed import write_clip

SIZE = (96, 128)


def start(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """A run in a process of its own."""
    command = [sys.executable, "-m", "derain", "restore", str(source), "-o", str(target)]
    return subprocess.Popen([*command, "--resume"], stderr=subprocess.DEVNULL)


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    """Time and bytes of each packet."""
    with av.open(str(path)) as clip:
        return [(packet.pts, bytes(packet)) for packet in clip.demux() if packet.size]


def segments(target: Path) -> dict[str, bytes]:
    """The finished parts beside a result."""
    folder = target.with_name(f"{target.name}.segments")
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.segment"))}


def main() -> None:
    """Run undisturbed, then with kills."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=1000, help="of the clip, 48 to a segment")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as name:
        source, whole, target = (Path(name, n) for n in ("a.mp4", "whole.mp4", "parts.mp4"))
        write_clip(source, SIZE, options.frames)
        begin = time.perf_counter()
        assert start(source, whole).wait() == 0
        seconds = time.perf_counter() - begin
        print(f"undisturbed: {seconds:.1f} s", flush=True)
        expected, kills, wrong = packets(whole), 0, 0
        while kills < options.kills:
            before = segments(target)
            process = start(source, target)
            time.sleep(rng.uniform(0.05, 0.35) * seconds)
            done = process.poll() is not None
            process.kill()
            process.wait()
            after = segments(target)
            bad = (
                sum(after.get(k) != data for k, data in before.items())
                if not target.exists()
                else 0
            )
            bad += target.exists() and packets(target) != expected
            wrong += bad
            kills += not done
            what = "done" if done else f"kill {kills}"
            print(f"{what}: {len(after)} segments, {bad} not right", flush=True)
            if target.exists():
                target.unlink()
        code = start(source, target).wait()
        same = code == 0 and packets(target) == expected and not segments(target)
    print(
        f"{kills} kills; resumed: {'the same' if same else 'NOT THE SAME'} {len(expected)} packets"
    )
    sys.exit(0 if same and not wrong else 1)


if __name__ == "__main__":
    main()
