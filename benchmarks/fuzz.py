"""Damaged image files through every reader: what comes of them, and how long it takes.

    python -m benchmarks.fuzz --minutes 30 [--files 100000] [--jobs 2] [--first SEED]
    python -m benchmarks.fuzz --write SEED  # the file of a seed, to look into

Readers run in processes of their own that may take one gigabyte; one that says nothing for ten
seconds is killed. Prints a table by reader and outcome, and the seeds of all that should not be:
an exception other than ImageError, a message without the file's name or of several lines, a hang,
a crash, or memory that ran out. Exits with 1 if there is any.
"""

import argparse
import multiprocessing
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.mutations import corpus, mutated_file
from derain.io.formats import ImageError, one_line

MEMORY = 10**9  # bytes beyond what the libraries take
PATIENCE = 10.0  # seconds


def _restore(path: Path) -> None:
    from derain.io.decode import read_image
    from derain.io.encode import encode_image

    encode_image(read_image(path))


def _metrics(path: Path) -> None:
    from derain.io.decode import read_rgb
    from derain.metrics.folder import find_pairs

    for pair in find_pairs(path, path):
        read_rgb(pair.path)


def _synthesize(path: Path) -> None:
    from derain.rain.folder import read_clean

    read_clean(path)


def _training(path: Path) -> None:
    from derain.io.pairs import PairPath

    PairPath("x", path, path, "left").read()


READERS: dict[str, Callable[[Path], None]] = {
    "restore": _restore,
    "metrics": _metrics,
    "synthesize": _synthesize,
    "training": _training,
}


def outcome(reader: str, path: Path) -> tuple[str, str]:
    """What a reader makes of a file: a kind for the table, and the message if it should not be."""
    try:
        READERS[reader](path)
    except ImageError as error:
        text = str(error)
        kind = "ImageError: " + re.sub(r"\d+", "N", re.split("[:;(]", text.partition(": ")[2])[0])
        if "not enough memory" in text:
            return "memory", text
        if not text.startswith(str(path)) or "\n" in text:
            return "no name, or several lines", text
        return kind, ""
    except BaseException as error:
        return f"undocumented {type(error).__name__}", one_line(error)
    return "read", ""


@dataclass
class Findings:
    """What came of the files."""

    files: int = 0
    slowest: tuple[float, int] = (0.0, 0)  # seconds for all readers of a file, its seed
    peak: int = 0  # bytes that a process held at most
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (reader, outcome)
    problems: list[tuple[int, str, str]] = field(default_factory=list)  # seed, reader, what

    def problem(self, seed: int, reader: str, kind: str, text: str = "") -> None:
        """Note what should not be."""
        self.counts[reader, kind] += 1
        self.problems.append((seed, reader, f"{kind}: {text}"))


def _work(connection: Connection, first: int, step: int) -> None:
    """Read damaged files for ever; tell of each reader before it begins, and of what came."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in corpus().items():  # which imports all that the readers need
            path = Path(folder) / name
            path.write_bytes(data)
            for reader in READERS:
                outcome(reader, path)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
        seed = first
        while True:
            name, data = mutated_file(seed)
            path = Path(folder) / name
            path.write_bytes(data)
            for reader in READERS:
                connection.send((seed, reader))
                connection.send(outcome(reader, path))
            path.unlink()
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            connection.send((seed, peak))
            seed += step


def fuzz(
    files: int = sys.maxsize, seconds: float = float("inf"), first: int = 0, jobs: int = 1
) -> Findings:
    """Run damaged files through all readers until there were enough.

    Args:
        files: End after so many.
        seconds: End after this time.
        first: The seed of the first file; the others follow.
        jobs: Processes.
    """
    findings, end = Findings(), time.monotonic() + seconds
    slots = [_Slot(first + n, jobs, findings) for n in range(jobs)]
    try:
        while findings.files < files and time.monotonic() < end:
            for slot in slots:
                slot.listen(0.1 if jobs > 1 else 1.0)
    finally:
        for slot in slots:
            slot.process.kill()
            slot.process.join()
    return findings


class _Slot:
    """A process, and what it is at."""

    def __init__(self, first: int, step: int, findings: Findings) -> None:
        self.step, self.findings, self.seed, self.reader = step, findings, first, "start"
        self._start(first)

    def _start(self, first: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(other, first, self.step), daemon=True)
        self.process.start()
        other.close()
        self.heard = self.begun = time.monotonic() + 60  # imports take their time

    def listen(self, patience: float) -> None:
        """Take in what the process has said; replace it if it died or hangs."""
        try:
            if not self.connection.poll(patience):
                if time.monotonic() - self.heard > PATIENCE:
                    self._replace("hang")
                return
            while self.connection.poll():
                self._hear(self.connection.recv())
        except (EOFError, ConnectionError):
            self.process.join()
            self._replace(f"crash, exit code {self.process.exitcode}")

    def _hear(self, said: tuple[object, object]) -> None:
        self.heard = time.monotonic()
        match said:
            case (int(seed), str(reader)):
                if seed != self.seed or self.reader == "start":
                    self.begun = self.heard
                self.seed, self.reader = seed, reader
            case (int(), int(peak)):
                self.findings.files += 1
                self.findings.peak = max(self.findings.peak, peak)
                took = self.heard - self.begun
                self.findings.slowest = max(self.findings.slowest, (took, self.seed))
            case (str(kind), str(text)):
                if text:
                    self.findings.problem(self.seed, self.reader, kind, text)
                else:
                    self.findings.counts[self.reader, kind] += 1

    def _replace(self, why: str) -> None:
        if self.reader == "start":
            raise RuntimeError(f"a process ended before its first file: {why}")
        self.findings.problem(self.seed, self.reader, why, "killed")
        self.process.kill()
        self._start(self.seed + self.step)


def table(findings: Findings) -> str:
    """Outcomes in rows, the most frequent first, readers in columns."""
    kinds = Counter[str]()
    for (_, kind), count in findings.counts.items():
        kinds[kind] += count
    lines = ["| Outcome |" + "".join(f" {r} |" for r in READERS), "|---" * (1 + len(READERS)) + "|"]
    for kind, _ in kinds.most_common():
        cells = "".join(f" {findings.counts[reader, kind]} |" for reader in READERS)
        lines.append(f"| {kind} |{cells}")
    return "\n".join(lines)


def main() -> None:
    """Fuzz, and print the table and the problems."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--files", type=int, default=sys.maxsize, help="end after so many")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--write", type=int, metavar="SEED")
    options = parser.parse_args()
    if options.write is not None:
        name, data = mutated_file(options.write)
        Path(f"{options.write}_{name}").write_bytes(data)
        print(f"{options.write}_{name}")
        return
    found = fuzz(options.files, 60 * options.minutes, options.first, options.jobs)
    print(table(found))
    print(
        f"\n{found.files:,} files, the slowest {found.slowest[0]:.2f} s for all readers "
        f"(seed {found.slowest[1]}), at most {found.peak / 1e6:.0f} MB in a process; "
        f"{len(found.problems)} problems"
    )
    for seed, reader, what in found.problems[:50]:
        print(f"seed {seed}, {reader}: {what}")
    sys.exit(1 if found.problems else 0)


if __name__ == "__main__":
    main()
