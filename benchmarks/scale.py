"""What a million files cost: Ray against one process, memory, disasters, listing, overhead.

python -m benchmarks.scale rate      # two one-core workers against one process, two threads
python -m benchmarks.scale memory    # of the driver, from 1,000 to 100,000 images
python -m benchmarks.scale disaster  # a node and the run killed, resumed, a busy S3 server
python -m benchmarks.scale list      # a million names of a generated file system
python -m benchmarks.scale overhead  # of the manifest and the object store
"""

import argparse
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from derain import scale
from derain.engines import Choice
from derain.engines.engine import Batch
from derain.io.decode import DecodedImage
from derain.io.encode import encode_image
from derain.restore import Restorer, load
from derain.weights.catalog import WEIGHTS
from derain.weights.headers import read_record

MODEL = "nafnet-small"


class Identity:
    """A network that changes nothing, in no time; a white image ends its process."""

    name, device, precision = "Identity", "CPU", "f32"

    def __init__(self) -> None:
        self.record = read_record(WEIGHTS[MODEL].file(".onnx"))

    def __call__(self, batch: Batch) -> Batch:
        """(N, 3, H, W) in [0, 1] -> the same."""
        if batch.min() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch


def identity(threads: int) -> Restorer:
    """What loads `Identity` in a worker."""
    return Restorer(Identity(), Choice("identity", "cpu", "asked for"))


def real(threads: int) -> Restorer:
    """What loads the default network in a worker."""
    return load(MODEL, device="cpu", threads=threads)


def image(seed: int, height: int, width: int, format: str = "PNG") -> bytes:
    """An image of noise, as large as a file of its size can be."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    return encode_image(DecodedImage(pixels, format))


def fill(folder: Path, count: int, height: int = 16, width: int = 16) -> Path:
    """A folder of so many images, of which ten differ."""
    folder.mkdir()
    kinds = [image(seed, height, width) for seed in range(10)]
    for number in range(count):
        (folder / f"{number:07d}.png").write_bytes(kinds[number % 10])
    return folder


def by_value() -> None:
    """Send this file's functions to the workers, which cannot import it."""
    import ray.cloudpickle

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def resident() -> float:
    """Memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(plan: scale.Plan) -> tuple[int, float]:
    """Files and seconds of a run from its first result on."""
    seen: list[tuple[float, int]] = []
    scale.restore(plan, None, lambda rows, now: seen.append((time.perf_counter(), now.finished)))
    return seen[-1][1] - seen[0][1], seen[-1][0] - seen[0][0]


def rate(count: int, height: int = 320, width: int = 480) -> None:
    """Images per second: two one-core workers, and one process with two threads."""
    from derain import batch

    with tempfile.TemporaryDirectory() as folder:
        source = fill(Path(folder, "in"), count, height, width)
        jobs, _ = batch.plan([str(source)], str(Path(folder, "plain")))
        restorer = real(2)
        batch.run(jobs[:4], restorer, batch.BatchSettings(), 2, lambda outcome: None)
        start = time.perf_counter()
        batch.run(jobs[4:], restorer, batch.BatchSettings(), 2, lambda outcome: None)
        plain = (count - 4) / (time.perf_counter() - start)
        del restorer
        files, seconds = timed(scale.Plan(str(source), str(Path(folder, "out")), real))
        print(f"one process, two threads: {plain:.2f} images/s")
        print(f"two one-core workers:     {files / seconds:.2f} images/s")
        print(f"share: {files / seconds / plain:.1%}")


def memory(most: int) -> None:
    """The driver's memory after runs over more and more images."""
    counts = [count for count in (1000, 10_000, 100_000) if count <= most]
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            source = fill(Path(folder, "in"), count)
            peak = 0.0

            def told(rows: list[scale.Row], now: scale.Progress) -> None:
                nonlocal peak
                peak = max(peak, resident())

            start = time.perf_counter()
            scale.restore(scale.Plan(str(source), str(Path(folder, "out")), identity), None, told)
            print(f"{count} images: {peak:.0f} MB, {time.perf_counter() - start:.0f} s", flush=True)


def list_names(count: int) -> None:
    """Seconds and memory for listing the names of a generated file system."""
    import fsspec

    from derain.io import places

    class Generated(fsspec.AbstractFileSystem):
        """Folders of a thousand names each."""

        protocol = "generated"

        def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
            inner = path.strip("/").partition("/")[2]
            if inner:
                names = (f"{path}/{n:04d}.png" for n in range(1000))
                return [{"name": name, "size": 1, "type": "file"} for name in names]
            folders = (f"{path}/{n:06d}" for n in range(count // 1000))
            return [{"name": name, "size": 0, "type": "directory"} for name in folders]

    fsspec.register_implementation("generated", Generated, clobber=True)
    names: Iterator[places.Found] = places.list_files("generated://bucket", recursive=True)
    next(names)
    start, before, peak, listed = time.perf_counter(), resident(), 0.0, 1
    for listed, _ in enumerate(names, 2):
        if listed % 10_000 == 0:
            peak = max(peak, resident())
    seconds = time.perf_counter() - start
    print(f"{listed} names: {seconds:.1f} s, {before:.0f} MB before, {peak:.0f} MB at most")


def overhead(count: int, height: int = 320, width: int = 480) -> None:
    """What reading, writing and the manifest cost, as shares of the restoring.

    The server has a process of its own, so processor time is that of a worker alone. The first
    call of each kind, which loads packages and connects, is not counted.
    """
    from derain.batch import BatchSettings
    from derain.io import places
    from derain.scale.alone import restore_here
    from derain.scale.manifest import ROWS, Row, Writer

    restorer = real(1)

    def told(what: str, spent: tuple[float, float], images: int, of: tuple[float, float]) -> None:
        each = [value / images for value in spent]
        shares = ", ".join(f"{a / b:.2%}" for a, b in zip(each, of, strict=True))
        print(f"  {what:20} {each[0]:7.2f} ms of processor, {each[1]:7.2f} ms in all ({shares})")

    with s3_server() as bucket, tempfile.TemporaryDirectory() as folder:
        writer = Writer(scale.Plan(folder, f"{bucket}/out", real))
        row = Row("a" * 40, "a" * 40, "done", sha256_in="0" * 64, sha256_out="1" * 64)
        part = cost(lambda number: writer.add([row] * ROWS), 5)
        for format in ("PNG", "JPEG"):
            data = image(0, height, width, format)

            def restored(number: int, data: bytes = data) -> None:
                restore_here(data, "image", restorer, BatchSettings())

            def stored(number: int, data: bytes = data) -> None:
                places.write(f"{bucket}/in/{number}", data)
                places.read(f"{bucket}/in/{number}")

            restoring = cost(restored, count)
            print(f"{count} images of {width}x{height}, {format} of {len(data) / 1000:.0f} kB:")
            told("restoring", restoring, 1, restoring)
            told("writing and reading", cost(stored, count), 1, restoring)
            told("manifest", part, ROWS, restoring)


def cost(call: Callable[[int], object], count: int) -> tuple[float, float]:
    """Milliseconds of this process's processor time and of the clock for a call."""
    call(0)
    clock, processor = time.perf_counter(), time.process_time()
    for number in range(1, count + 1):
        call(number)
    return (
        1000 * (time.process_time() - processor) / count,
        1000 * (time.perf_counter() - clock) / count,
    )


@contextmanager
def s3_server() -> Iterator[str]:
    """An S3 server in a process of its own; the URL of a bucket in it."""
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    server = processes.Process(target=serve, args=(there,), daemon=True)
    server.start()
    os.environ |= {
        "AWS_ENDPOINT_URL": here.recv(),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    import fsspec

    fsspec.filesystem("s3", use_listings_cache=False).mkdir("images")
    try:
        yield "s3://images"
    finally:
        server.terminate()
        server.join()


def serve(told: Connection) -> None:
    """Be the S3 server; tells its address."""
    from moto.server import ThreadedMotoServer
    from werkzeug.serving import WSGIRequestHandler

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else a line for each request
    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # which keeps connections, as S3 does
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told.send(f"http://{host}:{port}")
    threading.Event().wait()  # until the process is ended


def disaster(count: int) -> None:
    """A run whose node is killed, which is killed itself, and which is resumed."""
    from derain.batch import BatchSettings
    from derain.io import places
    from derain.scale.alone import restore_here

    with s3_server() as bucket:
        good = [f"{number:05d}.png" for number in range(count)]
        bad = [f"bad-{number:02d}.png" for number in range(20)]
        for number, name in enumerate(good):
            places.write(f"{bucket}/in/{name}", image(number, 32, 32))
        for name in bad:
            places.write(f"{bucket}/in/{name}", b"nothing")
        for resumed in (False, True):
            arguments = ["--child", bucket, *(["--resume"] if resumed else [])]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.scale", *arguments], check=False
            )
            print(
                f"{'resumed' if resumed else 'first'} run ended with {done.returncode}", flush=True
            )
        last: dict[str, dict[str, Any]] = {}
        times: dict[str, int] = {}
        for row in scale.read_manifest(f"{bucket}/out"):
            last[row["source"]] = row
            times[row["source"]] = times.get(row["source"], 0) + (row["status"] == "done")
        restorer = real(1)
        equal = sum(
            places.read(f"{bucket}/out/{name}")
            == restore_here(
                places.read(f"{bucket}/in/{name}"), name, restorer, BatchSettings()
            ).data
            for name in good
        )
        print(f"{equal} of {count} good files bit-equal to a plain run")
        print(f"done more than once: {sum(n > 1 for n in times.values())}")
        print(f"bad files named: {sum(last[name]['status'] == 'failed' for name in bad)} of 20")


def child(bucket: str, resume: bool) -> None:
    """A run on three nodes, of which one is killed; the first run is killed itself after that."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False)
    by_value()

    def told(rows: list[scale.Row], now: scale.Progress) -> None:
        if nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.clear()
        if not resume and now.total and now.finished > now.total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    progress = scale.restore(
        scale.Plan(f"{bucket}/in", f"{bucket}/out", real, resume=resume), None, told
    )
    print(progress)


def main() -> None:
    """Run what is asked for."""
    commands: dict[str, tuple[Callable[[int], None], int]] = {
        "rate": (rate, 1000),
        "memory": (memory, 100_000),
        "disaster": (disaster, 2000),
        "list": (list_names, 1_000_000),
        "overhead": (overhead, 50),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", nargs="?", choices=commands)
    parser.add_argument("--count", type=int, help="images or names")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.resume)
        return
    run, count = commands[asked.command]
    if asked.command in ("rate", "memory"):
        by_value()
    run(asked.count or count)


if __name__ == "__main__":
    # Under its own name, under which its functions are sent to workers.
    from benchmarks.scale import main as run

    run()
