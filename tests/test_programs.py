"""No program is started while images are read, whatever they are: the system's own record of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.mutations import corpus, mutated_file

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
FOREIGN = ("eps1.jpg", "eps2.png", "eps3.tif")
# `derain metrics` ends at the first broken image, so each is measured for itself.
METRICS = """
import sys
from pathlib import Path
from derain.metrics.folder import compare_folders
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        compare_folders(path, path, ["psnr"])
    except ValueError as error:
        print(error, file=sys.stderr)
"""
WITH_PILLOW = "from PIL import Image; Image.open({!r}).load()"  # which asks for Ghostscript


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format, a hundred damaged files, and EPS under other names."""
    folder = tmp_path_factory.mktemp("images")
    for name, data in [*corpus().items(), *(mutated_file(seed) for seed in range(100))]:
        (folder / f"{len(list(folder.iterdir())):03}_{name}").write_bytes(data)
    for name in FOREIGN:
        (folder / name).write_bytes(EPS)
    return folder


def started(command: list[str], record: Path) -> tuple[list[str], str]:
    """The programs that a command starts, itself the first, and what it says on stderr."""
    strace = shutil.which("strace")
    trace = [strace or "", "-f", "-qq", "-e", "trace=execve,execveat", "-e", "signal=none"]
    done = subprocess.run([*trace, "-o", str(record), *command], capture_output=True, text=True)
    lines = [line for line in record.read_text().splitlines() if "exec" in line]
    if not lines:
        pytest.skip(f"strace may not trace here: {done.stderr[:200]}")
    return lines, done.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("command", ["restore", "metrics", "synthesize"])
def test_reading_starts_no_program(images: Path, tmp_path: Path, command: str) -> None:
    python, out = [sys.executable], ["-o", str(tmp_path / "out")]
    if command == "metrics":
        run = [*python, "-c", METRICS, str(images)]
    else:
        run = [*python, "-m", "derain", command, str(images), *out]
    programs, said = started(run, tmp_path / "record")
    assert len(programs) == 1
    assert all(f"{images / name}: not an image" in said for name in FOREIGN)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_record_would_show_one(images: Path, tmp_path: Path) -> None:
    code = WITH_PILLOW.format(str(images / FOREIGN[0]))
    programs, _ = started([sys.executable, "-c", code], tmp_path / "record")
    assert len(programs) > 1
