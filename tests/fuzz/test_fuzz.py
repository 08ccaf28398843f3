"""Whatever comes in, a reader gives an image or one line that names the file.

About half a minute of what `python -m benchmarks.fuzz` does for as long as one likes.
"""

import numpy as np
import pytest
from benchmarks.fuzz import READERS, fuzz
from benchmarks.mutations import corpus, mutate, with_checksums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from derain.io.decode import decode_image
from derain.io.encode import encode_image
from derain.io.formats import FORMATS, ImageError
from derain.io.gate import MAX_LENGTH, read_header

BOUNDED = settings(
    max_examples=1000, deadline=10_000, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
STARTS = [data[:40] for data in corpus().values()]


def read(data: bytes) -> bool:
    """Decode and encode; False where the file is refused."""
    image, message = None, ""
    try:
        image = decode_image(data, "name.x")
    except ImageError as error:
        message = str(error)
    if image is None:
        assert message.startswith("name.x: ")
        assert "\n" not in message
        return False
    height, width = image.pixels.shape[:2]
    assert image.pixels.shape[2] == 3
    assert image.pixels.dtype in (np.uint8, np.uint16)
    assert image.alpha is None or image.alpha.shape == (height, width)
    assert all(isinstance(b, bytes) or b is None for b in (image.exif, image.icc, image.xmp))
    again = decode_image(encode_image(image), "again")
    assert again.pixels.shape == image.pixels.shape
    return True


@pytest.mark.parametrize("name", corpus())
def test_the_corpus_is_read_or_refused_for_what_it_is(name: str) -> None:
    refused = ("animated", "pages", "deep.jp2")
    assert read(corpus()[name]) == (not name.startswith(refused))
    header = read_header(corpus()[name], name) if read(corpus()[name]) else None
    assert header is None or header.format == FORMATS["." + name.rpartition(".")[2]]


# Another test's library may have told the processor to round subnormal numbers to 0.
PLACES = st.floats(0, 1, allow_subnormal=False)


@BOUNDED
@given(name=st.sampled_from(sorted(corpus())), seed=st.integers(0, 2**32 - 1))
def test_damaged_files(name: str, seed: int) -> None:
    read(mutate(corpus()[name], np.random.default_rng(seed)))


@BOUNDED
@given(
    name=st.sampled_from(sorted(corpus())),
    edits=st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=8)), max_size=4),
    end=PLACES,
)
def test_bytes_overwritten_and_cut_off(name: str, edits: list, end: float) -> None:
    data = bytearray(corpus()[name])
    for place, piece in edits:
        start = int(place * (len(data) - 1))
        data[start : start + len(piece)] = piece
    read(with_checksums(bytes(data[: 1 + int(end * len(data))])))


@BOUNDED
@given(start=st.sampled_from(STARTS), kept=st.integers(2, 40), rest=st.binary(max_size=300))
def test_a_good_start_and_then_anything(start: bytes, kept: int, rest: bytes) -> None:
    data = start[:kept] + rest
    if read(data):
        header = read_header(data, "name.x")
        assert 1 <= header.width <= MAX_LENGTH
        assert 1 <= header.height <= MAX_LENGTH


def test_every_reader_in_processes_with_memory_and_time_limits() -> None:
    findings = fuzz(files=1500, seconds=60)
    assert findings.problems == []
    assert findings.files >= 1500
    read_by = {reader for reader, kind in findings.counts if kind == "read"}
    assert read_by == set(READERS)
