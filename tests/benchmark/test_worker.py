"""Work in a process of its own: its errors arrive, and its memory is its own."""

import os
import sys
from functools import partial

import numpy as np
import pytest

from derain.benchmark.worker import Failed, Worker


def test_errors_arrive_whether_in_loading_or_in_working():
    with pytest.raises(Failed, match="invalid literal for int"):
        Worker(partial(int, "rain"))  # type: ignore[arg-type]  # wrong, which is the point
    worker = Worker(partial(partial, int, "rain"))
    with pytest.raises(Failed, match="invalid literal for int"):
        worker()
    worker.close()


def test_a_process_that_is_ended_is_reported():
    worker = Worker(partial(partial, os._exit, 9))
    with pytest.raises(Failed, match="its process was ended"):
        worker()
    worker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no peak memory on Windows")
def test_memory_is_the_workers_own():
    held = np.ones(50_000_000)  # 400 MB here that no worker may count
    peaks = []
    for size in (0, 200_000_000):
        worker = Worker(partial(partial, bytearray, size))
        run = worker(return_result=size == 0)
        peaks.append(run.peak)
        assert run.result == (b"" if size == 0 else None)
        worker.close()
    assert held.nbytes > peaks[0]
    assert 190e6 < peaks[1] - peaks[0] < 260e6
