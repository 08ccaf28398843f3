"""Real servers, in processes of their own."""

import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason='needs pip install "derain[serve]"')
httpx = pytest.importorskip("httpx", reason='needs pip install "derain[client]"')

# A server with limits that no option sets: how long it waits.
LIMITED = """
import json, sys
from derain.serve.server import serve
from derain.serve.settings import ClipLimits, Limits, Settings
limits = json.loads(sys.argv[1])
limits["clip"] = ClipLimits(**limits.get("clip", {}))
settings = Settings(limits=Limits(**limits))
serve(settings, port=0, on_start=lambda a, l: print("serving on", a, file=sys.stderr, flush=True))
"""


@dataclass
class Running:
    """A server that runs."""

    process: subprocess.Popen[str]
    address: str
    said: list[str]  # what it printed until it listened

    def stop(self) -> int:
        """Stop it as a system does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def launch(*arguments: str, limits: dict[str, Any] | None = None) -> Running:
    """Start a server, and wait until it takes images."""
    command = ["-m", "derain", "serve", "--port", "0", "--no-open", *arguments]
    if limits is not None:
        command = ["-c", LIMITED, json.dumps(limits)]
    process = subprocess.Popen(
        [sys.executable, *command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr
    said = [process.stderr.readline()]
    address = re.search(r"serving on (\S+)/", said[0])
    assert address, said[0] + process.stderr.read()
    if "--host" in arguments:  # the link and the token follow
        said += [process.stderr.readline() for _ in range(2)]
    found = Running(process, address[1], said)
    end = time.monotonic() + 60
    while httpx.get(f"{found.address}/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Start servers that end with the test."""
    started: list[Running] = []

    def run(*arguments: str, limits: dict[str, Any] | None = None) -> Running:
        started.append(launch(*arguments, limits=limits))
        return started[-1]

    yield run
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """One server as it is by default, for all tests that leave it as it is."""
    found = launch()
    yield found
    found.process.kill()
    found.process.wait()


@pytest.fixture
def http(server: Running) -> Iterator[Any]:
    """A client of that server without any help."""
    with httpx.Client(base_url=server.address, timeout=60) as client:
        yield client


def encoded(width: int = 48, height: int = 40, format: str = "PNG", **options: Any) -> bytes:
    """A small image file."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()
