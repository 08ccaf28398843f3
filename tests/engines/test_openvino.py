"""The OpenVINO engine in a process of its own."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import gc, os, signal, threading
import numpy as np
import derain

box = [derain.load(device="cpu")]
box[0](np.zeros((32, 32, 3), np.uint8))

def drop():
    box.clear()
    gc.collect()

thread = threading.Thread(target=drop)
thread.start()
thread.join()
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(1))
for _ in range(100):
    os.kill(os.getpid(), signal.SIGUSR1)
print(len(seen))
"""


def test_a_signal_is_safe_after_another_thread_dropped_the_last_restorer():
    """A plugin unloaded in another thread left a freed signal stack, and the process crashed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert 1 <= int(done.stdout) <= 100


SAMPLED = """
import os, threading
import numpy as np
import derain

allowed = os.sched_getaffinity(0)
restorer = derain.load(device="cpu", threads=1)
done = threading.Event()

def run():
    for _ in range(10):
        restorer(np.zeros((128, 128, 3), np.uint8))
    done.set()

def affinities():
    for task in os.listdir("/proc/self/task"):
        try:
            yield frozenset(os.sched_getaffinity(int(task)))
        except ProcessLookupError:  # it has ended
            pass

threading.Thread(target=run).start()
seen = set()
while not done.is_set():
    seen.update(affinities())
print(sorted(map(sorted, seen)) == [sorted(allowed)])
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two cores",
)
def test_threads_that_are_counted_are_not_tied_to_cores():
    """Several one-thread processes all sat on the first core and got a quarter of the rate."""
    done = subprocess.run(
        [sys.executable, "-c", SAMPLED], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True", done.stderr


def test_openvinos_converter_is_not_loaded_before_somebody_asks_for_it():
    program = """
import sys
from derain.engines.untracked import openvino
assert "openvino.tools.ovc" not in sys.modules
assert callable(openvino.convert_model)
assert "openvino_telemetry" not in sys.modules
assert not hasattr(openvino, "nothing")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
