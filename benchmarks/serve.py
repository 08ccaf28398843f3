"""What `derain serve` bears: images per second, latency, mixed load, hostile requests.

    python -m benchmarks.serve [rate] [latency] [mixed] [hostile] [--minutes 10] [--hostile 1000]

Without a name all of them. Servers and load are real processes, sockets and threads on this
machine, so they share its cores. The images are those of `benchmarks.restore`.
"""

import argparse
import contextlib
import io
import random
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

import derain
from benchmarks.hostile_requests import HEAD, RAW, hostile_request
from benchmarks.restore import rainy
from derain.batch import BatchSettings, restore_data
from derain.client import Client, ServerProblem

CLIENTS = 8


class Server:
    """A server in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "derain", "serve", "--port", "0", "--no-open", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr
        self.address = re.findall(r"http://\S+:\d+", self.process.stderr.readline())[0]
        self.port = int(self.address.rpartition(":")[2])
        while httpx.get(f"{self.address}/readyz").status_code != 200:
            time.sleep(0.1)

    def busy(self) -> tuple[float, float]:
        """Seconds of processor time of the process that answers, and of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return busy(self.process.pid), sum(busy(int(child)) for child in children.split())

    def memory(self) -> tuple[float, float]:
        """MB of the process that answers, and of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return resident(self.process.pid), sum(resident(int(child)) for child in children.split())


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Server]:
    """A server that ends with the block."""
    server = Server(*arguments)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(60)


def resident(process: int) -> float:
    """MB of a process in memory."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{process}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) * 1024 / 1e6
    return 0.0


def busy(process: int) -> float:
    """Seconds of processor time of a process, to the nanosecond."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def jpeg(width: int, height: int, shift: int = 0) -> bytes:
    """An image file."""
    buffer = io.BytesIO()
    Image.fromarray(np.roll(rainy(width, height), shift, 1)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def rate(count: int) -> None:
    """Eight clients against the command on a folder of the same images."""
    images = [jpeg(480, 320, 7 * k) for k in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, used = [], [resource.getrusage(resource.RUSAGE_CHILDREN)]
        for some in (images[:1], images):  # the first run tells what starting takes
            for k, data in enumerate(some):
                (folder / f"{k:03}.jpg").write_bytes(data)
            start = time.perf_counter()
            command = [sys.executable, "-m", "derain", "restore", name, "-o", f"{name}/out"]
            command += ["--overwrite"]
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
            used.append(resource.getrusage(resource.RUSAGE_CHILDREN))
    first, whole = np.diff([each.ru_utime + each.ru_stime for each in used])
    alone = (count - 1) / (seconds[1] - seconds[0])
    with serving() as server:
        left = list(images)

        def work() -> None:
            with Client(server.address) as client:
                client.restore(images[0])
                ready.wait()
                while left:
                    with contextlib.suppress(IndexError):
                        client.restore(left.pop())

        ready = threading.Barrier(CLIENTS + 1)
        threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        ready.wait()
        start, before = time.perf_counter(), server.busy()
        for thread in threads:
            thread.join()
        served = count / (time.perf_counter() - start)
        answering, working = np.subtract(server.busy(), before) / count
    row(f"`derain restore`, {count} images 480x320, whole command", f"{count / seconds[1]:.2f} /s")
    row("the same without its start", f"{alone:.2f} /s")
    row(f"{CLIENTS} clients", f"{served:.2f} /s, {100 * served / alone:.0f} % of that")
    row("processor time per image, command", f"{(whole - first) / (count - 1):.3f} s")
    row("processor time per image, workers", f"{working:.3f} s")
    row("processor time per image, answering", f"{answering:.3f} s")


def latency(count: int) -> None:
    """One client's call against the same work in this process."""
    image = jpeg(480, 320)
    restorer, settings = derain.load(), BatchSettings()
    with serving() as server, Client(server.address) as client:

        def call() -> None:
            client.restore(image)

        def here() -> None:
            restore_data(image, "image", restorer, settings)

        def empty() -> None:
            with contextlib.suppress(ServerProblem):
                client.restore(b"no image")

        times: dict[Callable[[], None], list[float]] = {call: [], here: [], empty: []}
        used = {what: [] for what in times}  # processor time of all who have a part in it
        for turn in range(count + 3):
            for what in times:
                start, before = time.perf_counter(), time.process_time() + sum(server.busy())
                what()
                if turn >= 3:
                    times[what].append(1000 * (time.perf_counter() - start))
                    now = time.process_time() + sum(server.busy())
                    used[what].append(1000 * (now - before))
    names = ("through the server", "in this process", "refused by the server")
    for name, found in zip(names, times.values(), strict=True):
        row(f"one call {name}", f"median {np.median(found):.1f} ms, fastest {min(found):.1f} ms")
    work = np.subtract(used[call], used[here])
    row("added processor time of server and client", f"median of pairs {np.median(work):.1f} ms")
    differences = np.subtract(times[call], times[here])
    fastest = min(times[call]) - min(times[here])
    row(
        "added", f"median of pairs {np.median(differences):.1f} ms, of the fastest {fastest:.1f} ms"
    )


def mixed(minutes: float) -> None:
    """Good, slow, aborting, oversized and malformed clients, all at once."""
    answers: Counter[str] = Counter()
    images = [jpeg(*size) for size in ((96, 64), (240, 160), (480, 320))]
    end = time.monotonic() + 60 * minutes
    with serving("--max-bytes", "5MB", "--queue", "16", "--jobs", "12") as server:

        def good(client: Client) -> None:
            image = random.choice(images)
            if random.random() < 0.5:
                note("good", 200 if client.restore(image)[:2] == b"\xff\xd8" else 0)
            else:
                job = client.submit(image)
                note("good", 200 if job.result()[:2] == b"\xff\xd8" else 0)
                job.cancel()

        def malformed(client: Client) -> None:
            note(*hostile_request(server.address, random.randrange(10**6)))
            time.sleep(0.05)

        def oversized(client: Client) -> None:
            with httpx.Client() as plain:
                data = bytes(6_000_000)
                response = plain.post(f"{server.address}/v1/restore", content=data, headers=RAW)
                note("oversized", response.status_code)
            time.sleep(0.5)

        def slow(client: Client) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
                with contextlib.suppress(OSError):
                    while time.monotonic() < end:
                        raw.sendall(b"x" * 100)
                        time.sleep(1)
                note("slow, cut off", int(raw.recv(100)[9:12] or 0))

        def aborting(client: Client) -> None:
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                length = len(images[2])
                raw.sendall(HEAD + f"Content-Length: {length}\r\n\r\n".encode())
                raw.sendall(images[2][: random.choice([length // 2, length])])
                time.sleep(random.random() / 5)
            note("aborting", 0)
            time.sleep(0.5)

        def note(who: str, status: int) -> None:
            answers[f"{who}: {status or 'no answer wanted'}"] += 1

        def again(what: Callable[[Client], None]) -> None:
            with Client(server.address, patience=600) as client:
                while time.monotonic() < end:
                    try:
                        what(client)
                    except ServerProblem as problem:
                        note(what.__name__, problem.status)
                    except (httpx.TransportError, OSError) as error:
                        answers[f"{what.__name__}: {type(error).__name__}"] += 1

        kinds = [good] * 4 + [malformed, oversized, slow, slow, aborting]
        threads = [threading.Thread(target=again, args=(kind,)) for kind in kinds]
        memory: list[tuple[float, float]] = []
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            time.sleep(1)
            memory.append(server.memory())
        for thread in threads:
            thread.join()
        alive = httpx.get(f"{server.address}/readyz").status_code
    for name in sorted(answers):
        row(f"mixed load, {minutes:g} minutes, {name}", str(answers[name]))
    first = min(60, len(memory) // 2)
    for name, values in zip(("server", "worker"), np.array(memory).T, strict=True):
        minute = [np.median(values[k : k + 60]) for k in range(first, len(values), 60)]
        text = f"{minute[0]:.0f} MB in its second minute, {minute[-1]:.0f} at the end"
        row(f"memory of the {name}", f"{text}, {min(minute):.0f} to {max(minute):.0f} between")
    row("afterwards", f"/readyz answers {alive}")


def hostile(count: int) -> None:
    """Mutated uploads, bombs, path tricks, wrong hosts and origins: 4xx each, and life goes on."""
    found: Counter[str] = Counter()
    image = jpeg(96, 64)
    with serving() as server, Client(server.address) as client:
        before, process = client.restore(image), server.process.pid

        for seed in range(count):
            kind, status = hostile_request(server.address, seed)
            found[f"{kind}: {status or 'closed'}"] += 1
        same = client.restore(image) == before
        alive = server.process.poll() is None and server.process.pid == process
        deaths = client.request("GET", "/metrics").text
    for name in sorted(found):
        row(f"hostile, {name}", str(found[name]))
    row("afterwards", f"{'alive' if alive else 'dead'}, result {'equal' if same else 'other'}")
    row("worker deaths", re.findall(r"^derain_worker_deaths_total (\S+)", deaths, re.MULTILINE)[0])


def row(what: str, measured: str) -> None:
    """One line of the table."""
    print(f"| {what} | {measured} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Measure what a server bears.")
    parser.add_argument("parts", nargs="*", help="rate, latency, mixed, hostile")
    parser.add_argument("--minutes", type=float, default=10, help="of mixed load")
    parser.add_argument("--hostile", type=int, default=1000, help="requests")
    parser.add_argument("--images", type=int, default=48, help="for the rate; half for latency")
    options = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "rate": lambda: rate(options.images),
        "latency": lambda: latency(options.images // 2),
        "mixed": lambda: mixed(options.minutes),
        "hostile": lambda: hostile(options.hostile),
    }
    if unknown := set(options.parts) - set(parts):
        parser.error(f"unknown part {min(unknown)}; known: {', '.join(parts)}")
    print("| `derain serve` | Measured |\n|---|---|")
    for name in options.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
