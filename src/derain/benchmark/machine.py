"""What this machine is and how fast it multiplies matrices: the limit that networks are held to."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from derain import engines
from derain.benchmark.worker import Failed, Worker

SIZE = 2048  # of the square matrices; larger ones are not multiplied faster
RUNS = 8


def describe(before: float | None) -> dict[str, str | float | None]:
    """Processor, cores that may be used, system, and how busy others keep it.

    Args:
        before: ``busy()`` before anything was measured; it is looked at again now.
    """
    after = busy()
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(affinity(0)) if affinity else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "busy": None if after is None else max(after, before or 0.0),
    }


def busy(seconds: float = 0.5) -> float | None:
    """Fraction of the processor that is in use while we only wait; None where unknown."""
    counters = Path("/proc/stat")
    if not counters.exists():
        return None

    def read() -> tuple[int, int]:
        ticks = [int(word) for word in counters.read_text().splitlines()[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]  # idle, and waiting for a disk

    before = read()
    time.sleep(seconds)
    passed, idle = (now - then for now, then in zip(read(), before, strict=True))
    return max(0.0, 1 - idle / passed) if passed else None


def matrix_rates(
    wanted: Sequence[tuple[str, str]], threads: int | None = None
) -> dict[tuple[str, str], float]:
    """Measure how fast large matrices are multiplied.

    Args:
        wanted: Devices and precisions, such as ("cpu", "bf16").
        threads: CPU threads; None for all.

    Returns:
        FLOP/s of the fastest of some runs, by OpenVINO or torch, whichever is faster. What cannot
        be measured is left out.
    """
    loads = [multiply_openvino, *([multiply_torch] if engines.ENGINES["torch"].installed else [])]
    rates: dict[tuple[str, str], float] = {}
    for device, precision in wanted:
        for load in loads:
            with suppress(Failed):
                rate = matrix_rate(partial(load, device, precision, threads))
                rates[device, precision] = max(rate, rates.get((device, precision), 0))
    return rates


def matrix_rate(load: Callable[[], Callable[[], Any]]) -> float:
    """FLOP/s of the fastest of some runs.

    Raises:
        Failed: It cannot be measured.
    """
    worker = Worker(load)
    try:
        return 2 * SIZE**3 / min(worker().seconds for _ in range(RUNS))
    finally:
        worker.close()


def multiply_torch(device: str, precision: str, threads: int | None) -> Callable[[], Any]:
    """A product of two matrices by torch."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.rand(SIZE, SIZE, device=device).to(dtype) for _ in range(2))

    def work() -> float:
        return (a @ b)[0, 0].item()  # which waits for a GPU to finish

    work()
    return work


def multiply_openvino(device: str, precision: str, threads: int | None) -> Callable[[], Any]:
    """A product of two matrices by OpenVINO."""
    import numpy as np

    from derain.engines.openvino import core
    from derain.engines.untracked import openvino as ov

    if device != "cpu":
        raise ValueError("OpenVINO runs on the CPU here")
    a, b = np.random.default_rng(0).random((2, SIZE, SIZE), np.float32)
    ops = ov.opset13
    rows = ops.parameter([SIZE, SIZE], np.float32)
    product = ops.matmul(rows, ops.constant(b), False, False)
    # OpenVINO's type stubs give this class a base that does not take these.
    model = ov.Model([product], [rows])  # type: ignore[misc]
    config = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = core().compile_model(model, "CPU", config)

    def work() -> Any:
        return compiled(a)[0][0, 0]

    work()
    return work
