"""Rain on a folder of clean images: `derain synthesize`.

Writes rainy/, clean/, optionally rain/, and manifest.jsonl with one line per pair. The manifest
is what says that a pair is finished, so a run that was stopped goes on where it was, and the
index of a pair follows from its name alone, so a folder that grows keeps the rain it had.
"""

import hashlib
import json
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from derain.io.atomic import write_atomically
from derain.io.decode import Image8, read_image
from derain.io.encode import encode_pixels
from derain.io.formats import ImageError
from derain.io.levels import quantise
from derain.io.pairs import find_images
from derain.rain.ranges import Changes
from derain.rain.synthesizer import RainSynthesizer, Target

MIN_SIZE = 16  # px; SSIM needs 11, the networks' smallest tile 16


@dataclass
class FolderResult:
    """What became of a folder."""

    written: int = 0
    present: int = 0  # pairs that an earlier run had finished
    failed: dict[str, str] = field(default_factory=dict)  # clean image -> why, naming it


@dataclass(frozen=True)
class _Task:
    """One pair to make."""

    source: Path
    name: str  # of the output, with "/" between folders and the suffix .png
    variant: int
    index: int


def synthesize_folder(
    clean: Path,
    out: Path,
    preset: str = "rain100h",
    *,
    count: int = 1,
    seed: int = 0,
    overrides: Changes | None = None,
    target: Target = "hazy",
    layers: Sequence[NDArray[Any]] | None = None,
    save_rain: bool = False,
    jobs: int = 1,
    min_size: int = MIN_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> FolderResult:
    """Make `count` rainy versions of every clean image.

    Args:
        clean: An image, or a folder whose images (also in its sub-folders) are taken.
        out: Folder for rainy/NAME.png, clean/NAME.png (the target), rain/NAME.png (8-bit grey)
            and manifest.jsonl. With several versions NAME ends in _1, _2, ...
        preset: As for `RainSynthesizer`, like `overrides`, `seed`, `target` and `layers`.
        count: Versions per image.
        seed: At least 0.
        overrides: Changed ranges.
        target: Target of the realistic presets.
        layers: The user's own photographs of rain, see `rain.layers`.
        save_rain: Also write the rain layers.
        jobs: Processes. The files do not depend on it.
        min_size: Pixels; a smaller image is listed as failed.
        progress: Called with (pairs done, pairs in all).

    Returns:
        How many pairs were written, how many were there, and which images failed and why.

    Raises:
        ImageError: If `clean` does not exist or holds no image.
        ValueError: If an argument is impossible, or `out` was made with other settings.
    """
    if count < 1 or jobs < 1:
        raise ValueError(f"count and jobs must be at least 1, not {count} and {jobs}")
    if clean.is_dir() and out.resolve().is_relative_to(clean.resolve()):
        raise ValueError(f"{out} lies inside {clean}: its images would be rained on again")
    maker = _Maker(
        RainSynthesizer(preset, overrides, seed, target, layers), out, save_rain, min_size
    )
    result = FolderResult()
    tasks = _plan(clean, count, result.failed)
    settings = {"preset": preset, "seed": seed, "target": target, "overrides": _plain(overrides)}
    finished = _resume(out, settings, save_rain)
    todo = [task for task in tasks if task.name not in finished]
    result.present = len(tasks) - len(todo)
    done = result.present
    with (out / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        for task, record in zip(todo, _in_order(maker, todo, jobs), strict=True):
            if isinstance(record, str):
                result.failed[str(task.source)] = record
            else:
                manifest.write(json.dumps({"file": task.name, **record, **settings}) + "\n")
                manifest.flush()
                result.written += 1
            done += 1
            if progress:
                progress(done, len(tasks))
    return result


@dataclass(frozen=True)
class _Maker:
    """Makes one pair: a function with its settings, small enough to send to a process."""

    synthesizer: RainSynthesizer
    out: Path
    save_rain: bool
    min_size: int

    def __call__(self, task: _Task) -> dict[str, Any] | str:
        """Write the files of one pair; return its manifest record, or why there is none."""
        try:
            image = read_clean(task.source)
        except ImageError as error:
            return str(error)
        height, width = image.shape[:2]
        if min(height, width) < self.min_size:
            least = f"the minimum is {self.min_size} px"
            return f"{task.source}: {width}x{height} px is too small; {least}"
        sample = self.synthesizer(image, index=task.index)
        outputs = {"clean": sample.target, "rainy": sample.rainy}
        if self.save_rain:
            outputs = {"rain": quantise(sample.rain), **outputs}
        for folder, pixels in outputs.items():
            _write(self.out / folder / task.name, pixels)
        return {"source": str(task.source), "variant": task.variant, **sample.params}


def read_clean(path: Path) -> Image8:
    """An image to rain on: (H, W, 3) uint8, or (H, W) if it is grey.

    Raises:
        ImageError: It cannot be decoded; names it.
    """
    image = read_image(path, depth=8)
    return image.pixels[..., 0].copy() if image.grey else image.pixels


def _plan(clean: Path, count: int, failed: dict[str, str]) -> list[_Task]:
    """One task per pair; an image whose output name is taken goes to `failed`."""
    tasks: list[_Task] = []
    owners: dict[Path, Path] = {}
    root = clean.parent if clean.is_file() else clean
    for source in find_images(clean, recursive=True):
        stem = source.relative_to(root).with_suffix("")
        if stem in owners:
            failed[str(source)] = f"{source}: has the same name as {owners[stem].name}"
            continue
        owners[stem] = source
        for variant in range(1, count + 1):
            ending = f"_{variant}" if count > 1 else ""
            index = rain_index(stem.as_posix(), variant)
            tasks.append(_Task(source, f"{stem.as_posix()}{ending}.png", variant, index))
    return tasks


def rain_index(name: str, variant: int = 1) -> int:
    """Which rain an image gets: 48 bits that follow from its name, exact as a JSON number.

    Args:
        name: The image's path below its folder, without suffix, with "/" between folders.
        variant: Number of the version, from 1 on.
    """
    text = f"{name}#{variant}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big")


def _resume(out: Path, settings: dict[str, Any], save_rain: bool) -> set[str]:
    """Names of the pairs that are finished; drops the torn last line of a killed run.

    Raises:
        ValueError: If the folder was made with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "manifest.jsonl"
    text = manifest.read_bytes().decode("utf-8", "replace") if manifest.exists() else ""
    lines = text.splitlines(keepends=True)
    folders = ("clean", "rainy", "rain") if save_rain else ("clean", "rainy")
    kept: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            continue
        try:
            record = json.loads(line)
            file, made_with = Path(record["file"]), {key: record[key] for key in settings}
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f"{manifest}: line {number} is damaged; choose another folder"
            ) from None
        for key, value in settings.items():
            if made_with[key] != value:
                raise ValueError(
                    f"{out} was made with {key} {made_with[key]!r}, not {value!r}: "
                    "choose another folder"
                )
        if all((out / folder / file).exists() for folder in folders):
            kept[record["file"]] = line
    if list(kept.values()) != lines:
        write_atomically(manifest, "".join(kept.values()).encode())
    return set(kept)


def _in_order(maker: _Maker, tasks: Sequence[_Task], jobs: int) -> Iterator[dict[str, Any] | str]:
    """Results in the order of the tasks; only a few tasks wait at a time."""
    if jobs == 1:
        yield from map(maker, tasks)
        return
    spawn = multiprocessing.get_context("spawn")  # safe beside the threads of OpenCV or torch
    with ProcessPoolExecutor(jobs, spawn, cv2.setNumThreads, (1,)) as pool:
        waiting: deque[Any] = deque()
        for task in tasks:
            waiting.append(pool.submit(maker, task))
            if len(waiting) >= 4 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a PNG so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Level 3 is twice as fast as 6, its files 5 % larger.
    write_atomically(path, encode_pixels(image, "PNG", compress_level=3))


def _plain(overrides: Changes | None) -> dict[str, Any]:
    """Overrides as JSON gives them back: lists, no tuples."""
    return json.loads(json.dumps(dict(overrides or {})))
