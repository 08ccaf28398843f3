"""One worker of a run: a network of its own, and pieces of work, one or two at a time."""

import hashlib
import os
import pickle
import socket
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from derain.batch.runner import EXISTS
from derain.io import places
from derain.io.formats import ImageError, one_line, printable
from derain.io.gate import most_bytes, read_place
from derain.io.pairs import is_image_name
from derain.scale import tar
from derain.scale.alone import Result, restore_alone, restore_here
from derain.scale.manifest import Row
from derain.scale.plan import TAR, File, Plan, Shard, result_name

COLUMN = "shard"  # of the tables that Ray carries: pickled pieces in, pickled rows out


def packed(value: Any) -> pa.Table:
    """A table of one row, which Ray keeps together."""
    return pa.table({COLUMN: pa.array([pickle.dumps(value)], pa.binary())})


def unpacked(table: pa.Table) -> list[Any]:
    """What such tables hold."""
    return [pickle.loads(value.as_py()) for value in table[COLUMN]]


class Worker:
    """Restores pieces of work; two calls at a time hide reading and writing behind the network.

    Args:
        plan: The run.
        ledger: The actor of `Ledger`.
    """

    def __init__(self, plan: Plan, ledger: Any) -> None:
        self.plan, self.ledger = plan, ledger
        self.restorer = plan.load(plan.cpus)
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """A table of pieces -> a table of (number, rows) for each."""
        for shard in unpacked(table):
            yield packed((shard.number, self.run(shard)))

    def run(self, shard: Shard) -> list[Row]:
        """The rows of a piece; what an earlier worker finished of it is not done again."""
        known: dict[str, Row] = ray.get(self.ledger.begin.remote(shard.number))
        if shard.target or shard.files[0].name.lower().endswith(TAR):
            return self._run_tar(shard)
        return [known.get(file.name) or self._run_file(shard, file) for file in shard.files]

    def _run_file(self, shard: Shard, file: File) -> Row:
        start = time.perf_counter()
        target = result_name(file.name, self.plan.settings.format)
        attempt = self._start(shard, file.name)
        row = Row(file.name, "", "failed", attempts=attempt, bytes_in=file.size)
        try:
            place = places.below(self.plan.out, target)
            there = not shard.fresh and attempt == 1 and places.exists(place)
            if there and self._skips(file):
                row = replace(row, target=target, status="skipped", reason="its result is there")
            elif there and not self.plan.settings.overwrite:
                raise ImageError(EXISTS.format(place))
            else:
                row = self._restored(row, target, file, place)
        except Exception as error:
            row = replace(row, reason=_reason(error, file.name))
        row = replace(row, seconds=time.perf_counter() - start, worker=self.name)
        row = replace(row, model=self.plan.model)
        self.ledger.end.remote(shard.number, file.name, row)
        return row

    def _restored(self, row: Row, target: str, file: File, place: str) -> Row:
        source = places.below(self.plan.source, file.name)
        data = read_place(source, self.plan.settings.max_pixels, file.size)
        result = self._restore(data, source, row.attempts)
        places.write(place, result.data)
        return _done(row, target, data, result)

    def _start(self, shard: Shard, name: str) -> int:
        return ray.get(self.ledger.start.remote(shard.number, name))

    def _skips(self, file: File) -> bool:
        return self.plan.settings.skip_existing or (self.plan.resume and not file.failed_before)

    def _restore(self, data: bytes, name: str, attempt: int) -> Result:
        """Restore an image; one that was in flight when a worker died, in a process of its own."""
        plan = self.plan
        if attempt > 1:
            return restore_alone(data, name, plan.load, plan.cpus, plan.settings)
        return restore_here(data, name, self.restorer, plan.settings)

    def _run_tar(self, shard: Shard) -> list[Row]:
        """A tar shard, read or made; its result is there when all of it is."""
        name = shard.target or shard.files[0].name
        row = Row(name, "", "failed", worker=self.name, model=self.plan.model)
        rows: list[Row] = []
        start = time.perf_counter()
        try:
            place = places.below(self.plan.out, name)
            again = self._start(shard, "") > 1
            if not shard.fresh and not again and places.exists(place):
                if self._skips(replace(shard.files[0], failed_before=False)):
                    skipped = "its result is there"
                    return [replace(row, target=name, status="skipped", reason=skipped)]
                if not self.plan.settings.overwrite:
                    raise ImageError(EXISTS.format(place))
            with tempfile.TemporaryDirectory(prefix="derain-") as folder:
                made = Path(folder, "out.tar")
                with tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as into:
                    entries = self._files(shard) if shard.target else self._members(shard, folder)
                    damage = ""
                    try:
                        for each, data, mtime in entries:
                            rows += self._run_member(shard, into, each, data, mtime)
                    except tar.Damaged as error:  # what came before is kept
                        damage = f"{name}: {error}"
                if damage and not rows:
                    raise ImageError(damage)
                size = made.stat().st_size
                places.upload(made, place)
            status = "failed" if damage else "done"
            row = replace(row, target=name, status=status, reason=damage, bytes_out=size)
        except Exception as error:
            rows = []  # nothing of it was written
            row = replace(row, reason=_reason(error, name))
        return [*rows, replace(row, seconds=time.perf_counter() - start)]

    def _files(self, shard: Shard) -> Iterator[tuple[Row, bytes, int]]:
        """The images of a new tar shard."""
        for file in shard.files:
            row = Row(file.name, "", "failed", bytes_in=file.size)
            try:
                source = places.below(self.plan.source, file.name)
                data = read_place(source, self.plan.settings.max_pixels, file.size)
            except ValueError as error:
                row, data = replace(row, reason=_reason(error, file.name)), b""
            yield row, data, 0

    def _members(self, shard: Shard, folder: str) -> Iterator[tuple[Row, bytes, int]]:
        """The members of a tar shard."""
        (file,) = shard.files
        source = places.below(self.plan.source, file.name)
        path = places.local_path(source) or Path(folder, "in.tar")
        if not path.exists():
            places.fetch(source, path)
        for member in tar.members(path):
            name = f"{file.name}/{member.name}"
            row = Row(name, "", "failed", bytes_in=member.size)
            most = most_bytes(self.plan.settings.max_pixels)
            problem = member.problem or (member.size > most and "is too large")
            if problem:
                yield replace(row, reason=printable(f"{name}: {problem}")), b"", 0
            else:
                yield row, tar.content(path, member), member.mtime

    def _run_member(
        self, shard: Shard, into: tarfile.TarFile, row: Row, data: bytes, mtime: int
    ) -> list[Row]:
        """Add an image's result to a shard, or what is no image as it is, which gives no row."""
        inside = row.source if shard.target else row.source[len(shard.files[0].name) + 1 :]
        if row.reason:
            return [replace(row, worker=self.name, model=self.plan.model)]
        if not is_image_name(inside):
            tar.add(into, inside, data, mtime)
            return []
        start = time.perf_counter()
        attempt = self._start(shard, row.source)
        target = result_name(inside, self.plan.settings.format)
        row = replace(row, attempts=attempt, worker=self.name, model=self.plan.model)
        try:
            result = self._restore(data, row.source, attempt)
        except Exception as error:
            return [replace(row, reason=_reason(error, row.source))]
        tar.add(into, target, result.data, mtime)
        row = _done(
            row, target if shard.target else f"{shard.files[0].name}/{target}", data, result
        )
        return [replace(row, seconds=time.perf_counter() - start)]


def _done(row: Row, target: str, data: bytes, result: Result) -> Row:
    height, width = result.size
    return replace(
        row,
        target=target,
        status="done",
        bytes_in=len(data),
        bytes_out=len(result.data),
        sha256_in=hashlib.sha256(data).hexdigest(),
        sha256_out=hashlib.sha256(result.data).hexdigest(),
        width=width,
        height=height,
        change=result.change,
    )


def _reason(error: Exception, name: str) -> str:
    """One line that names the file."""
    text = printable(one_line(error))
    return text if name in text else f"{printable(name)}: {text}"
