"""The manifest of a run: Parquet files that say what became of each image.

They lie in ``_derain/run-0001`` of the output, beside ``run.json``, which says how the run was
made. Each part is whole or not there.
"""

import dataclasses
import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from derain.io import places
from derain.scale.plan import MANIFEST, Plan

ROWS = 2000  # of a part
SECONDS = 60.0  # after which a part is written even where it has fewer


@dataclass(frozen=True)
class Row:
    """What became of an image, a tar shard or a member of one (``shard.tar/member``)."""

    source: str  # below the source of the run
    target: str  # below its output; empty where nothing was written
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    sha256_in: str = ""
    sha256_out: str = ""
    width: int = 0
    height: int = 0
    change: float = 0.0  # mean absolute difference to the input, in 1/255 of the value range
    attempts: int = 1
    worker: str = ""  # host and process
    model: str = ""


_TYPES = {str: pa.string(), float: pa.float64(), int: pa.int64()}
# pyarrow's type stubs know no list of names and types, which its documentation shows.
SCHEMA = pa.schema([(f.name, _TYPES.get(f.type, pa.string())) for f in dataclasses.fields(Row)])  # type: ignore[arg-type]


class Writer:
    """Writes the rows of a run, a part at a time.

    Args:
        plan: The run.

    Raises:
        ValueError: The plan goes on with a run that was made otherwise; says in what they differ.
        OSError: The output cannot be written to.
    """

    def __init__(self, plan: Plan) -> None:
        earlier = _runs(plan.out)
        number = earlier[-1] + 1 if earlier else 1
        if plan.resume and earlier:
            _check_same(plan, earlier[-1])
        self.folder = f"{plan.out.rstrip('/')}/{MANIFEST}/run-{number:04d}"
        self.plan = plan
        self._rows: list[Row] = []
        self._parts = 0
        self._written = time.monotonic()
        about = plan.identity() | {"record": json.loads(plan.record)}
        places.write(f"{self.folder}/run.json", json.dumps(about, indent=1).encode())

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows. Raises OSError if a part cannot be written."""
        self._rows += rows
        if len(self._rows) >= ROWS or time.monotonic() > self._written + SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait. Raises OSError."""
        self._written = time.monotonic()
        if not self._rows:
            return
        table = pa.Table.from_pylist([dataclasses.asdict(row) for row in self._rows], SCHEMA)
        table = table.replace_schema_metadata({"derain": self.plan.record})
        data = io.BytesIO()
        pq.write_table(table, data, compression="zstd")
        places.write(f"{self.folder}/part-{self._parts:06d}.parquet", data.getvalue())
        self._parts += 1
        self._rows = []


def read(out: str) -> Iterator[dict[str, Any]]:
    """The rows of all runs into an output, the oldest first, a part at a time in memory."""
    for number in _runs(out):
        folder = f"{out.rstrip('/')}/{MANIFEST}/run-{number:04d}"
        for found in places.list_files(folder):
            if found.name.endswith(".parquet"):
                data = io.BytesIO(places.read(f"{folder}/{found.name}"))
                yield from pq.read_table(data).to_pylist()


def failed_before(out: str) -> set[str]:
    """The files that the newest run which saw them could not do."""
    failed: set[str] = set()
    for row in read(out):
        if row["status"] == "failed":
            failed.add(row["source"])
        else:
            failed.discard(row["source"])
    return failed


def _runs(out: str) -> list[int]:
    """The numbers of the runs into an output."""
    folder = f"{out.rstrip('/')}/{MANIFEST}"
    if places.kind_of(folder) is None:
        return []
    names = (found.name for found in places.list_files(folder, recursive=True))
    found = {name.split("/")[0] for name in names if name.endswith("/run.json")}
    return sorted(int(n[4:]) for n in found if n.startswith("run-") and n[4:].isdecimal())


def _check_same(plan: Plan, number: int) -> None:
    place = f"{plan.out.rstrip('/')}/{MANIFEST}/run-{number:04d}/run.json"
    before = json.loads(places.read(place))
    for name, value in plan.identity().items():
        if before.get(name) != value:
            raise ValueError(
                f"{place}: that run had {name} {before.get(name)!r}, this one {value!r}; "
                "--resume goes on with the same, or choose another -o"
            )
