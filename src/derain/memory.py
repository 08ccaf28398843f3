"""Amounts of memory: what is free, what people write, what an engine's failure means."""

import contextlib
import os
import re
import sys
from pathlib import Path

UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "KI": 2**10, "MI": 2**20, "GI": 2**30}
UNKNOWN = 4 * 2**30  # what is taken for free where the system does not tell


def parse_bytes(text: str) -> int:
    """``2GB``, ``1.5 GiB``, ``800M`` or a number of bytes -> bytes.

    Raises:
        ValueError: Not an amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]I?)?B?\s*", text.upper())
    if not match or float(match[1]) == 0:
        raise ValueError(f"memory must be an amount such as 2GB or 800MB: {text}")
    return int(float(match[1]) * UNITS[match[2] or ""])


def free_bytes(device: str = "cpu") -> int:
    """Memory that can be had without swapping; 4 GiB where the system does not tell.

    On Linux a container's limit counts too.

    Args:
        device: ``cuda`` and ``cuda:N`` ask that GPU, all others this machine.
    """
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(torch.device(device))[0]
    if sys.platform == "win32":
        return _free_on_windows()
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
        return min(free, _free_in_container())
    with contextlib.suppress(OSError, ValueError):  # macOS tells what there is, not what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _free_in_container() -> int:
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # "max" stands for no limit
        limit = int((group / "memory.max").read_text())
        return max(limit - int((group / "memory.current").read_text()), 0)
    return sys.maxsize


def _free_on_windows() -> int:
    if sys.platform != "win32":  # where a type checker knows no windll
        return UNKNOWN
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "p", "q", "r", "s", "t")),
        )

    status = Status(length=ctypes.sizeof(Status))
    asked = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.free if asked else UNKNOWN


def ran_out(error: BaseException) -> bool:
    """Whether an exception says that memory ran out: numpy's, torch's or OpenVINO's."""
    if isinstance(error, MemoryError):
        return True
    words = ("out of memory", "bad_alloc", "allocate", "enough memory")
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
