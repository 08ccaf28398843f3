"""Run a plan on Ray: list, restore in a pool of workers, note what became of each file."""

import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from derain.io.formats import one_line
from derain.io.places import absolute
from derain.io.quiet import quiet_codecs
from derain.scale.manifest import Row, Writer
from derain.scale.plan import Plan, check

if TYPE_CHECKING:
    import ray.data

ANSWER = 10.0  # seconds that a cluster has to answer; Ray itself waits for minutes
PAUSE = 0.1  # seconds between two questions whether more may be listed


@dataclass
class Progress:
    """How far a run is."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    total: int | None = None  # files of the run, once they are counted; members of tar not
    started: float = field(default_factory=time.monotonic)  # when the first result came

    @property
    def finished(self) -> int:
        """Files that are through, whatever became of them."""
        return self.done + self.skipped + self.failed


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster, or to the one that the process is connected to already.

    Args:
        address: ``auto`` for the cluster of this machine, an address such as ``host:6379`` or
            ``ray://host:10001``, or None, which starts Ray on this machine alone.

    Raises:
        ValueError: No cluster answers; names the address.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of a change
    try:
        if named := re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address or ""):
            socket.create_connection((named[1], int(named[2])), timeout=ANSWER).close()
        with quiet_codecs():  # Ray's C++ keeps the stderr that it finds here
            import ray

            mine = not ray.is_initialized()
            if mine:
                ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise ValueError(f"--ray {address or 'local'}: {one_line(error)}") from None
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()


def restore(
    plan: Plan,
    address: str | None = None,
    on_rows: Callable[[list[Row], Progress], None] = lambda rows, progress: None,
) -> Progress:
    """Restore all files of a plan.

    Args:
        plan: The run.
        address: As of ``connected``.
        on_rows: Told the rows of each piece and how far the run is.

    Raises:
        ValueError: What cannot be, before anything starts; one line that names it.
        OSError: A place that cannot be asked or written to; names it.
    """
    plan = replace(plan, source=absolute(plan.source), out=absolute(plan.out))  # for the workers
    check(plan)
    manifest = Writer(plan)
    progress = Progress()
    with connected(address) as ray:
        try:
            for rows in _rows(ray, plan, progress):
                manifest.add(rows)
                for row in rows:
                    setattr(progress, row.status, getattr(progress, row.status) + 1)
                on_rows(rows, progress)
        finally:
            manifest.flush()
    return progress


def _rows(ray: Any, plan: Plan, progress: Progress) -> Iterator[list[Row]]:
    """The rows of each piece, as they come."""
    from derain.scale.ledger import Ledger, on_this_node
    from derain.scale.worker import Worker, unpacked

    here = on_this_node(ray)
    ledger = ray.remote(Ledger).options(max_concurrency=8, **here).remote()
    count = ray.remote(_count).options(**here).remote(plan)
    with _quiet_data(ray) as data:
        slots = ray.cluster_resources()
        workers = int(slots.get("CPU", 1) // plan.cpus) if plan.cpus else 1
        if plan.gpus:
            workers = int(min(workers, slots.get("GPU", 0) // plan.gpus))
        pool = data.ActorPoolStrategy(
            min_size=1,
            initial_size=max(1, workers),
            max_concurrent_calls_per_actor=2,
            max_tasks_in_flight_per_actor=3,
            enable_true_multi_threading=True,
        )
        results = _listed(data, plan, ledger).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=plan.cpus,
            num_gpus=plan.gpus or None,
            fn_constructor_args=(plan, ledger),
        )
        for table in results.iter_batches(batch_size=None, batch_format="pyarrow"):
            for number, rows in unpacked(table):
                ledger.forget.remote(number)
                if count is not None and ray.wait([count], timeout=0)[0]:
                    progress.total, count = ray.get(count), None
                if not progress.finished:
                    progress.started = time.monotonic()
                yield rows


def _count(plan: Plan) -> int:
    from derain.scale import listing

    return sum(1 for _ in listing.files(plan))


def _listed(data: Any, plan: Plan, ledger: Any) -> "ray.data.Dataset":
    """A dataset of pieces, which are listed while they are worked on."""
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask

    def read() -> Iterator[Any]:
        import ray

        from derain.scale.listing import shards
        from derain.scale.worker import packed

        def wait(number: int) -> None:
            while not ray.get(ledger.may_list.remote(number)):
                time.sleep(PAUSE)

        for shard in shards(plan, wait):
            yield packed(shard)

    class Pieces(Datasource):
        """One task that lists everything."""

        def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
            about = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(read, about)]

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        @property
        def supports_distributed_reads(self) -> bool:
            return False  # the list is made beside the driver

    return data.read_datasource(Pieces(), num_cpus=0, override_num_blocks=1)


@contextmanager
def _quiet_data(ray: Any) -> Iterator[Any]:
    """Ray Data without a word on the terminal, and with one piece of work in a block."""
    import ray.data as data

    context = data.DataContext.get_current()
    quiet = {
        "enable_progress_bars": False,
        "print_on_execution_start": False,
        "target_min_block_size": 0,
        "target_max_block_size": 1,
        "execution_no_progress_timeout_s": -1,
    }
    before = {name: getattr(context, name) for name in quiet if hasattr(context, name)}
    for name in before:
        setattr(context, name, quiet[name])
    logger = logging.getLogger("ray")
    level, logger.disabled = logger.level, True
    logger.setLevel(logging.CRITICAL)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    try:
        yield data
    finally:
        logger.disabled = False
        logger.setLevel(level)
        for name, value in before.items():
            setattr(context, name, value)
