"""What a run writes down of itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import derain


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
