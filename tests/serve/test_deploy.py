"""The files in `deploy/` do what they say, tried without a container engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

httpx = pytest.importorskip("httpx", reason='needs pip install "derain[client]"')

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text()
UNIT = ROOT / "deploy" / "derain.service"
HOME = "/opt/derain"  # where both files install


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A fresh virtual environment, made by the Containerfile's own commands.

    The packages that derain needs are lent from here, so that only derain itself is installed.
    """
    found = tmp_path_factory.mktemp("opt") / "derain"
    making, *installing = re.findall(r"^RUN (.+)$", CONTAINER, re.MULTILINE)
    subprocess.run(adapted(making, found), shell=True, check=True)
    packages = next(found.glob("lib/python*/site-packages"), found / "Lib" / "site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"])
    for command in installing:
        done = subprocess.run(
            adapted(command, found), shell=True, check=False, capture_output=True, text=True
        )
        if "No matching distribution found for hatchling" in done.stderr:
            pytest.skip("no package registry to build with")
        assert done.returncode == 0, done.stderr[-2000:]
    return found


def adapted(command, home):
    """A command for a machine where neither /opt nor /src is ours."""
    return command.replace(HOME, str(home)).replace("/src", str(ROOT)).replace(
        "python3 ", f"{sys.executable} "
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the files are for Linux")
def test_the_container_s_commands_install_and_start_a_server(home, tmp_path):
    entry = json.loads(re.findall(r"^ENTRYPOINT (.+)$", CONTAINER, re.MULTILINE)[0])
    command = [adapted(part, home) for part in entry]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        [*command, "--port", "0"], stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    )
    try:
        assert process.stderr
        port = re.findall(r"serving on \S+:(\d+)/", process.stderr.readline())[0]
        token = re.findall(r"Bearer (\S+)", process.stderr.readline() + process.stderr.readline())
        check = re.findall(r"^HEALTHCHECK CMD (.+)$", CONTAINER, re.MULTILINE)[0]
        check = adapted(check, home).replace("8000", port)
        subprocess.run(check, shell=True, check=True, env=environment, stdout=subprocess.DEVNULL)
        headers = {"Authorization": f"Bearer {token[0]}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            example = client.get("/example.jpg")  # out of the wheel, as the page is
            assert example.content == (ROOT / "examples" / "rainy.jpg").read_bytes()
            page = (ROOT / "src" / "derain" / "serve" / "page" / "index.html").read_bytes()
            assert client.get("/").content == page
            end = time.monotonic() + 60
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the files are for Linux")
def test_the_unit_starts_what_is_installed(home, tmp_path):
    text = adapted(UNIT.read_text(), home)
    command = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)[0]
    said = subprocess.run([*command.split(), "--help"], capture_output=True, text=True, check=True)
    assert "Serve a page and an API" in said.stdout
    if shutil.which("systemd-analyze"):
        (tmp_path / UNIT.name).write_text(text)
        found = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / UNIT.name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (found.returncode, found.stderr) == (0, "")
