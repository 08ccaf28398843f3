"""More work than there is room for, clients that go, and the end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from tests.serve.conftest import encoded, launch

RAW = {"Content-Type": "application/octet-stream"}
TILED = ("--memory", "250MB")  # which makes tiles small, so that there are many
LARGE = encoded(900, 700, "BMP")  # some seconds of work, in tiles


@pytest.fixture(scope="module")
def small():
    """A server with a short queue, whose images take many tiles; tests leave it without work."""
    found = launch(*TILED, "--queue", "3", "--jobs", "2")
    yield found
    found.process.kill()
    found.process.wait()


def running_images(address):
    text = httpx.get(f"{address}/metrics").text
    return int(float(re.findall(r"^derain_running_images (\S+)", text, re.MULTILINE)[0]))


def cancelled(address):
    text = httpx.get(f"{address}/metrics").text
    return float(re.findall(r'derain_images_total{outcome="cancelled"} (\S+)', text)[0])


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def deaths(address):
    text = httpx.get(f"{address}/metrics").text
    return float(re.findall(r"^derain_worker_deaths_total (\S+)", text, re.MULTILINE)[0])


def crash_workers(running):
    found = subprocess.run(
        ["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=True
    )
    for worker in found.stdout.split():
        os.kill(int(worker), signal.SIGSEGV)


def send_for_ever(raw):
    while True:
        raw.sendall(b"x" * 1000)
        time.sleep(0.05)


def post(address, data=LARGE, **headers):
    return httpx.post(f"{address}/v1/jobs", content=data, headers=RAW | headers, timeout=60)


def test_a_full_queue_says_when_to_come_again_and_jobs_can_be_cancelled(small):
    address = small.address
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"))
    first, second = (post(address).json() for _ in range(2))
    third = post(address)
    assert (third.status_code, third.json()["type"]) == (429, "/docs#busy")
    assert third.json()["detail"] == "2 images of yours wait already."
    assert 1 <= int(third.headers["retry-after"]) <= 60
    from_elsewhere = other.post(f"{address}/v1/jobs", content=LARGE, headers=RAW)
    assert from_elsewhere.status_code == 202
    last = other.post(f"{address}/v1/jobs", content=LARGE, headers=RAW)
    assert (last.status_code, last.json()["detail"]) == (429, "3 images wait already.")
    assert httpx.get(f"{address}/healthz").status_code == 200
    for job in (first, second, from_elsewhere.json()):
        assert httpx.delete(f"{address}/v1/jobs/{job['id']}").status_code == 204
        assert httpx.get(f"{address}/v1/jobs/{job['id']}").status_code == 404
    until(lambda: running_images(address) == 0, 10)  # long before they would have been done
    assert post(address, encoded()).status_code == 202


def test_tiles_are_told_and_work_ends_when_its_client_goes(small):
    address = small.address
    job = post(address).json()
    with httpx.stream("GET", address + job["events"], timeout=60) as events:
        lines = events.iter_lines()
        tile = json.loads(
            next(line for line in lines if line.startswith("data:") and "total" in line)[6:]
        )
    assert tile["done"] == 1
    assert tile["total"] > 4
    httpx.delete(f"{address}/v1/jobs/{job['id']}")
    until(lambda: running_images(address) == 0)
    before = cancelled(address)
    raw = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    head = "POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/bmp\r\n"
    raw.sendall(f"{head}Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE)
    until(lambda: running_images(address) == 1)
    raw.close()
    start_of_end = time.monotonic()
    until(lambda: running_images(address) == 0)
    assert time.monotonic() - start_of_end < 10
    assert cancelled(address) == before + 1


def test_sigterm_finishes_what_runs_and_refuses_the_rest(start):
    running = start("--verbose")
    address = running.address
    jobs = [
        httpx.post(f"{address}/v1/jobs", files={"file": ("secret.png", LARGE)}).json()
        for _ in range(4)
    ]
    until(lambda: running_images(address) == 2)
    ends = {}

    def follow(job):
        events = httpx.get(address + job["events"], timeout=60).text
        ends[job["id"]] = events.rpartition("event: ")[2].partition("\n")[0]
        if ends[job["id"]] == "done":
            assert httpx.get(address + job["result"], timeout=60).status_code == 200

    threads = [threading.Thread(target=follow, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    until(lambda: "derain" in httpx.get(f"{address}/metrics").text)
    running.process.terminate()
    until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
    refused = post(address, encoded())
    assert (refused.status_code, refused.json()["type"]) == (503, "/docs#stopping")
    for thread in threads:
        thread.join()
    assert sorted(ends.values()) == ["done", "done", "failed", "failed"]
    assert running.process.wait(30) == 0
    said = running.process.stderr.read()
    assert said.count("restored") == 2
    assert "secret" not in said
    assert "Traceback" not in said


def test_a_decoder_that_crashes_takes_nobody_with_it(small):
    address = small.address
    crash_workers(small)  # without work: whoever comes next only waits
    answer = httpx.post(f"{address}/v1/restore", content=encoded(), headers=RAW, timeout=60)
    assert answer.status_code == 200
    job = post(address).json()
    for runs in (1, 2):  # it is tried once more
        until(lambda: httpx.get(f"{address}/v1/jobs/{job['id']}").json()["event"] == "tile", 60)
        crash_workers(small)
        until(lambda runs=runs: deaths(address) == 1 + runs)
    events = httpx.get(address + job["events"], timeout=60).text
    names = [n for n in re.findall(r"^event: (\w+)$", events, re.MULTILINE) if n != "tile"]
    assert names == ["queued", "running", "queued", "running", "failed"]
    assert "It stops the program that decodes it." in events
    answer = httpx.post(f"{address}/v1/restore", content=encoded(), headers=RAW, timeout=60)
    assert answer.status_code == 200


def test_clients_that_are_slow_or_gone_are_not_waited_for(start):
    address = start(limits={"head": 0.4, "patience": 0.4, "absence": 0.3}).address
    port = int(address.rpartition(":")[2])
    head = b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    for slow in (b"", b"GET / HT", head, head + b"Content-Length: 100\r\n\r\n" + b"x" * 9):
        raw = socket.create_connection(("127.0.0.1", port))
        raw.settimeout(10)
        raw.sendall(slow)
        answer = raw.makefile("rb").read()
        assert answer[:12] in (b"", b"HTTP/1.1 408")
        assert answer or b"\r\n\r\n" not in slow
    raw = socket.create_connection(("127.0.0.1", port))
    raw.sendall(head + b"Content-Length: 99000000\r\n\r\n")  # too much, and it goes on
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        send_for_ever(raw)
    jobs = [post(address).json() for _ in range(16)]  # so many that the last wait, however fast
    with httpx.stream("GET", address + jobs[-1]["events"], timeout=60) as events:
        next(events.iter_lines())
    unwatched, left = (f"{address}/v1/jobs/{job['id']}" for job in jobs[-2:])
    until(lambda: httpx.get(left).json()["data"].get("type") == "/docs#cancelled")
    assert httpx.get(unwatched).json()["state"] == "queued"


def test_what_is_too_large_is_refused_and_names_are_logged_when_asked(start):
    running = start("--max-bytes", "20KB", "--max-pixels", "3000", "--log-names")
    address = running.address
    large = [
        httpx.post(f"{address}/v1/jobs", content=b"x" * 30_000, headers=RAW),
        httpx.post(f"{address}/v1/jobs", content=iter([b"x" * 9000] * 4), headers=RAW),
        httpx.post(f"{address}/v1/jobs", files={"file": b"x" * 40_000}),
        httpx.post(f"{address}/v1/jobs", content=encoded(64, 48), headers=RAW),
    ]
    for answer in large:
        assert (answer.status_code, answer.json()["type"]) == (413, "/docs#too-large")
    assert "megapixels" in large[3].json()["detail"]
    headers = {f"X-{k}": "y" * 1000 for k in range(40)}
    assert httpx.get(f"{address}/healthz", headers=headers).status_code == 431
    files = {"file": ("in\nside/photo.png", encoded())}
    answer = httpx.post(f"{address}/v1/restore", files=files, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].endswith("''photo_derained.png")
    assert running.stop() == 0
    said = running.process.stderr.read().splitlines()
    assert sum("photo.png" in line and line.startswith("restored") for line in said) == 1


def test_the_command_needs_its_extra(derain, monkeypatch):
    for name in list(sys.modules):
        if name.startswith(("derain.serve", "uvicorn")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, _, err = derain("serve", "--no-open")
    assert (code, err) == (1, "error: this needs uvicorn: `pip install derain[serve]`\n")
