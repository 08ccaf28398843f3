"""Work in a process of its own, one run at a time: its time and its memory are nobody else's.

A network that waits for its turn costs nothing but memory, so that many can be measured round by
round and a noisy moment of the machine hits all of them alike.
"""

import contextlib
import multiprocessing
import re
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

# A fresh interpreter: a fork would inherit memory, and threads that do not survive it.
SPAWN = multiprocessing.get_context("spawn")


class TimedRun(NamedTuple):
    """One run of some work."""

    seconds: float
    peak: int | None  # bytes that the process has held at most so far; None where unknown
    result: Any


class Failed(Exception):
    """Work that could not be loaded or run; says why."""


class Worker:
    """A process that loads some work and does it when called.

    Args:
        load: Called in the new process, picklable; returns the work.

    Raises:
        Failed: Loading failed.
    """

    def __init__(self, load: Callable[[], Callable[[], Any]]) -> None:
        self._connection, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=serve, args=(theirs, load), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def __call__(self, *, return_result: bool = False) -> TimedRun:
        """Do the work once.

        Args:
            return_result: Whether to bring its result here.

        Raises:
            Failed: The work raised an error, or its process was ended.
        """
        self._connection.send(return_result)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            raise Failed("its process was ended, as happens when memory runs out") from None
        if isinstance(answer, Failed):
            raise answer
        return answer


def serve(connection: Connection, load: Callable[[], Callable[[], Any]]) -> None:
    """What a worker's process does until it is ended."""
    try:
        work = load()
        connection.send(None)
        while True:
            return_result = connection.recv()
            start = time.perf_counter()
            result = work()
            seconds = time.perf_counter() - start
            connection.send(TimedRun(seconds, peak_memory(), result if return_result else None))
    except (EOFError, KeyboardInterrupt):  # whoever asks has gone, or is going
        return
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        with contextlib.suppress(OSError):
            connection.send(Failed(lines[0]))


def peak_memory() -> int | None:
    """Bytes of memory that this process has held at most; None where it cannot be known.

    On Linux read from /proc: getrusage counts the parent's memory from before the exec too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) * 1024 if found else None
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
