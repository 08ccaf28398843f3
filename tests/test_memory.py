"""Amounts of memory: as people write them, and what engines say when there is none left."""

import numpy as np
import pytest

from derain.memory import free_bytes, parse_bytes, ran_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2GB", 2e9), ("1.5 GiB", 1.5 * 2**30), ("800m", 8e8), ("64KiB", 65536), ("123456", 123456)],
)
def test_amounts_are_read_as_people_write_them(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "-1GB", "2TB", "0", "2 GB 3"])
def test_other_words_are_refused_with_an_example(text):
    with pytest.raises(ValueError, match="such as 2GB or 800MB"):
        parse_bytes(text)


def test_free_memory_falls_with_what_is_taken():
    falls = []
    for _ in range(3):  # other processes take and free at the same time
        before = free_bytes()
        taken = np.ones(1_000_000_000, np.uint8)
        falls.append(before - free_bytes())
        assert before > falls[-1] + 2**27
        del taken
    assert np.median(falls) > 300_000_000


def test_torch_and_numpy_running_out_of_memory_is_recognised():
    torch = pytest.importorskip("torch")
    for allocate in (lambda: torch.empty(10**15), lambda: np.empty(10**16, np.uint8)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert ran_out(caught.value)
