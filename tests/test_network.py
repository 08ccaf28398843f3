"""Nothing leaves the machine: what the system records of a command's processes and connections."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STRACE = shutil.which("strace")
LIKE_ITS_MAKER = """
import os, socket
if not os.fork():
    socket.socket().connect_ex(("127.0.0.1", 9))
    os._exit(0)
os.wait()
"""

needs_strace = pytest.mark.skipif(not STRACE, reason="needs strace")


def trace(record: Path) -> list[str]:
    return [STRACE or "", "-f", "-qq", "-s", "200", "-o", str(record), "-e", "signal=none",
            "-e", "trace=execve,fork,vfork,clone,clone3,connect,sendto,sendmsg"]  # fmt: skip


def stranger(home: Path) -> dict[str, str]:
    """The environment of somebody who was never asked about telemetry; CI systems send none."""
    home.mkdir()
    return {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD")} | {
        "HOME": str(home)
    }


def calls(record: Path, said: str = "") -> list[str]:
    lines = record.read_text().splitlines()
    if not any("execve(" in line for line in lines):
        pytest.skip(f"strace may not trace here: {said[:200]}")
    return lines


def forked(lines: list[str]) -> list[str]:
    """Processes that were started; threads are none."""
    return [s for s in lines if re.search(r"\b(v?fork|clone3?)\(", s) and "CLONE_THREAD" not in s]


def addressed(lines: list[str]) -> list[str]:
    """Connections and messages to an address of any network, this machine's own included."""
    return [s for s in lines if re.search(r"(connect|sendto|sendmsg)\(.*AF_INET", s)]


@needs_strace
def test_restoring_starts_no_process_and_calls_nobody(tmp_path: Path) -> None:
    record, home = tmp_path / "record", tmp_path / "home"
    image, out = ROOT / "examples" / "rainy.jpg", tmp_path / "out.png"
    command = [sys.executable, "-m", "derain", "restore", str(image), "-o", str(out)]
    done = subprocess.run(
        [*trace(record), *command], env=stranger(home), capture_output=True, text=True
    )
    lines = calls(record, done.stderr)
    assert out.is_file(), done.stderr
    assert forked(lines) == []
    assert addressed(lines) == []
    assert not (home / "intel").exists()  # where OpenVINO's telemetry names the machine


@needs_strace
def test_a_server_answers_and_calls_nobody(tmp_path: Path) -> None:
    httpx = pytest.importorskip("httpx", reason='needs pip install "derain[client]"')
    pytest.importorskip("uvicorn", reason='needs pip install "derain[serve]"')
    from derain.client import Client

    record, home = tmp_path / "record", tmp_path / "home"
    command = [sys.executable, "-m", "derain", "serve", "--port", "0", "--no-open"]
    process = subprocess.Popen(
        [*trace(record), *command], env=stranger(home), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr
        said = process.stderr.readline()
        address = re.search(r"serving on (\S+)/", said)
        if not address:
            calls(record, said)  # which skips where nothing may be traced
        assert address, said
        with Client(address[1], patience=300) as client:
            while httpx.get(f"{address[1]}/readyz", timeout=60).status_code != 200:
                pass
            assert client.restore(ROOT / "examples" / "rainy.jpg")[:2] == b"\xff\xd8"
        lines = calls(record)
        server = next(int(line.split()[0]) for line in lines if "execve(" in line)
        os.kill(server, signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()
    assert addressed(calls(record)) == []
    assert len([line for line in calls(record) if "execve(" in line]) == 2  # itself and a worker
    assert not (home / "intel").exists()


@needs_strace
def test_the_record_would_show_a_process_that_calls(tmp_path: Path) -> None:
    record = tmp_path / "record"
    subprocess.run([*trace(record), sys.executable, "-c", LIKE_ITS_MAKER], check=False)
    lines = calls(record)
    assert forked(lines)
    assert addressed(lines)


def test_openvino_is_imported_in_one_place() -> None:
    found = []
    for folder in ("src", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                if any(name.partition(".")[0] == "openvino" for name in names):
                    found.append(path.relative_to(ROOT).as_posix())
    assert set(found) == {"src/derain/engines/untracked.py"}
