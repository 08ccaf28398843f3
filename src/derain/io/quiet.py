"""Keep off the terminal what libraries of image formats print there by themselves.

libjpeg, libpng and libtiff print lines about damage, from inside OpenCV and Pillow, which offer no
switch for it. What is wrong with an image is said by derain, in one line that names it.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import cv2

_lock = threading.Lock()
_inside = 0  # threads that decode or encode
_before: tuple[int | None, int] = None, 0  # C's stderr and OpenCV's level when nobody does


@contextmanager
def quiet_codecs() -> Iterator[None]:
    """Drop what C code prints on stderr while any thread is in here.

    The variable ``stderr`` of C is changed, not the file behind it, so all that Python prints
    arrives, from other threads too. Where C libraries keep no such variable, on Windows for one,
    only OpenCV is quiet.
    """
    global _inside, _before
    variable, nowhere = _stderr_of_c()
    with _lock:
        if not _inside:
            silent = cv2.utils.logging.LOG_LEVEL_SILENT
            _before = variable.value, cv2.utils.logging.setLogLevel(silent)
            variable.value = nowhere
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                variable.value, level = _before
                cv2.utils.logging.setLogLevel(level)


@cache
def _stderr_of_c() -> tuple[ctypes.c_void_p, int | None]:
    """C's variable and a stream to nowhere; where it cannot be changed, a variable of no use."""
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        name = "stderr"  # a constant in other C libraries of Linux
    elif sys.platform == "darwin":
        name = "__stderrp"
    else:
        return ctypes.c_void_p(), None
    library = ctypes.CDLL(None)
    library.fopen.restype = ctypes.c_void_p
    nowhere = library.fopen(os.fsencode(os.devnull), b"w")
    if nowhere is None:
        return ctypes.c_void_p(), None
    return ctypes.c_void_p.in_dll(library, name), nowhere
