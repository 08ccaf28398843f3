"""Decoded pairs within reach: in memory, in one memory-mapped file, or decoded again each time.

Decoding an image takes longer than cutting a crop from it, so a training set is decoded once. A
set that fits is kept in memory; a larger one in a single file of raw pixels on disk, which the
system caches page by page and all processes of a machine share.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

import numpy as np

from derain.io.pairs import Pair, PairPath

Storage = Literal["auto", "memory", "disk", "files"]
MEMORY_FRACTION = 0.4  # of what is free; crops, network and optimiser need the rest


class Decoding(Sequence[Pair]):
    """Pairs that are decoded whenever they are asked for."""

    def __init__(self, files: Sequence[PairPath]) -> None:
        self.files = files

    def __len__(self) -> int:
        """How many pairs."""
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> "Decoding": ...
    def __getitem__(self, index: int | slice) -> "Pair | Decoding":
        """Decode one pair; a slice decodes nothing."""
        if isinstance(index, slice):
            return Decoding(self.files[index])
        return self.files[index].read()


def open_pairs(files: Sequence[PairPath], storage: Storage, folder: Path) -> Sequence[Pair]:
    """The pairs, ready to be drawn from.

    Args:
        files: Where they lie.
        storage: ``memory``, ``disk`` (a memory-mapped file below ``folder``), ``files`` (decoded
            again each time); ``auto`` takes the first of these that has room.
        folder: For the memory-mapped file.

    Raises:
        ValueError: A file is no image; names it.
        OSError: The folder cannot be written to, or its disk is full.
    """
    if storage == "auto":
        storage = best_place(estimated_bytes(files), folder)
    if storage == "memory":
        return [file.read() for file in files]
    return mapped(files, folder) if storage == "disk" else Decoding(files)


def best_place(size: int, folder: Path) -> Storage:
    """Where so many bytes have room."""
    if size < MEMORY_FRACTION * available_memory():
        return "memory"
    existing = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    return "disk" if size < 0.8 * shutil.disk_usage(existing).free else "files"


def available_memory() -> int:
    """Bytes of memory that are free; 4 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


def estimated_bytes(files: Sequence[PairPath], samples: int = 16) -> int:
    """Decoded size of all pairs, from some of them, evenly spread."""
    chosen = files[:: max(len(files) // samples, 1)]
    return sum(bytes_of(file.read()) for file in chosen) * len(files) // max(len(chosen), 1)


def bytes_of(pair: Pair) -> int:
    """Bytes of both images."""
    return pair.clean.nbytes + (0 if pair.rainy is None else pair.rainy.nbytes)


def mapped(files: Sequence[PairPath], folder: Path) -> list[Pair]:
    """The pairs as views of one memory-mapped file, which is made where it is not there yet.

    Its name holds a hash of the files' names, sizes and times, so a changed set gets a new one.
    """
    stats = [(str(f.clean), str(f.rainy), f.clean_half, *identity(f)) for f in files]
    key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:16]
    pixels, index = folder / f"pairs-{key}.bin", folder / f"pairs-{key}.json"
    if not index.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_pixels(files, pixels, index)
    shapes = json.loads(index.read_text())
    data = np.memmap(pixels, np.uint8, "r")
    pairs, start = [], 0
    for file, shape, has_rainy in ((f, *s) for f, s in zip(files, shapes, strict=True)):
        size = int(np.prod(shape))
        clean = data[start : start + size].reshape(shape)
        rainy = data[start + size : start + 2 * size].reshape(shape) if has_rainy else None
        pairs.append(Pair(file.name, clean, rainy))
        start += size * (1 + has_rainy)
    return pairs


def identity(file: PairPath) -> list[int]:
    """Sizes and times of a pair's files, which change when they do."""
    paths = [path for path in (file.clean, file.rainy) if path is not None]
    return [value for s in map(Path.stat, paths) for value in (s.st_size, s.st_mtime_ns)]


def write_pixels(files: Sequence[PairPath], pixels: Path, index: Path) -> None:
    """Decode pairs into one file; the index, written last, makes it valid."""
    partial = pixels.with_name(f".{pixels.name}.{os.getpid()}.partial")
    shapes = []
    try:
        with partial.open("wb") as out:
            for file in files:
                pair = file.read()
                out.write(pair.clean.tobytes())
                if pair.rainy is not None:
                    out.write(pair.rainy.tobytes())
                shapes.append((pair.clean.shape, pair.rainy is not None))
        partial.replace(pixels)
        partial.write_text(json.dumps(shapes))
        partial.replace(index)
    finally:
        partial.unlink(missing_ok=True)
