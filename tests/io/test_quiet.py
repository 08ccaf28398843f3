"""Decoders print nothing on the terminal, and nobody else is silenced."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import pytest
from benchmarks.mutations import mutated_file

from derain.io.decode import decode_image
from derain.io.formats import ImageError
from derain.io.quiet import quiet_codecs

SEEDS = (11, 34, 43, 120, 154, 976, 2967)  # of files that libpng, libjpeg and libtiff speak of


def decode(seed: int) -> None:
    with suppress(ImageError):
        decode_image(mutated_file(seed)[1], "x")


def speak() -> None:
    """Have libpng print a line."""
    cv2.imdecode(np.frombuffer(mutated_file(11)[1], np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.skipif(sys.platform == "win32", reason="C's stderr cannot be changed there")
def test_decoders_say_nothing_in_any_thread(capfd) -> None:
    speak()
    assert "libpng error" in capfd.readouterr().err  # what this is about
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, SEEDS * 40))
    assert capfd.readouterr() == ("", "")
    speak()
    assert "libpng error" in capfd.readouterr().err


def test_python_and_other_users_of_opencv_are_heard(capfd) -> None:
    level = cv2.utils.logging.getLogLevel()
    with quiet_codecs(), quiet_codecs():
        assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
        sys.stderr.write("a note\n")
        sys.stderr.flush()
    assert capfd.readouterr().err == "a note\n"
    assert cv2.utils.logging.getLogLevel() == level
