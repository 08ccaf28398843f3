"""What a run writes down of itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import derain

pytest.importorskip("torch")

from derain.training.journal import PSNR, Journal, read_metrics


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_uncommitted_changes_in_any_encoding_are_written_down(tmp_path):
    """Such a file once ended a run before its first step."""
    source = Path(derain.__file__).parent
    large = shutil.ignore_patterns("*.onnx", "*.safetensors", "__pycache__")
    shutil.copytree(source, tmp_path / "derain", ignore=large)
    note = tmp_path / "note.txt"
    note.write_bytes("grün\n".encode("latin-1"))
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *author, *arguments], check=True)
    note.write_bytes("blau und grün\n".encode("latin-1"))
    code = (
        "from pathlib import Path; from derain.training.journal import git_state; "
        "print(ascii(git_state(Path('derain/training'))))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    ).stdout  # fmt: skip
    assert "blau und gr\\ufffdn" in printed
    assert "'commit': '" in printed


def test_a_run_resumed_with_other_kinds_of_rain_keeps_the_numbers_of_both(tmp_path):
    first = Journal(tmp_path, 0, ["own rain", "rain100h"])
    first.row({"step": 1, "seconds": 2.0, f"{PSNR}/own rain": 30.0})
    first.row({"step": 2, "seconds": 4.0, f"{PSNR}/own rain": 31.0})
    first.close()
    second = Journal(tmp_path, 1, ["own rain", "real"])  # the row of step 2 will come again
    second.row({"step": 2, "seconds": 5.0, f"{PSNR}/own rain": 32.0, f"{PSNR}/real": 40.0})
    second.close()
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row[f"{PSNR}/own rain"] for row in rows] == ["30", "32"]
    assert [row[f"{PSNR}/real"] for row in rows] == ["", "40"]
    assert f"{PSNR}/rain100h" in rows[0]
