"""What is in flight in a run, kept apart from the workers, which may die at any time."""

import threading
from typing import Any

from derain.scale.manifest import Row

AHEAD = 256  # pieces that may be listed before the first of them is done


class Ledger:
    """Says to a worker that takes over a dead one's piece what was done of it and what was tried.

    It holds the pieces that are not yet in the manifest, no others.
    """

    def __init__(self) -> None:
        self._done: dict[int, dict[str, Row]] = {}
        self._tried: dict[int, dict[str, int]] = {}
        self._finished = 0
        self._lock = threading.Lock()

    def begin(self, shard: int) -> dict[str, Row]:
        """The rows of what an earlier worker finished of a piece."""
        with self._lock:
            return dict(self._done.get(shard, {}))

    def start(self, shard: int, name: str) -> int:
        """Note that a file is tried; which attempt it is, from 1."""
        with self._lock:
            tried = self._tried.setdefault(shard, {})
            tried[name] = tried.get(name, 0) + 1
            return tried[name]

    def end(self, shard: int, name: str, row: Row) -> None:
        """Note that a file is finished, done or failed."""
        with self._lock:
            self._done.setdefault(shard, {})[name] = row

    def forget(self, shard: int) -> None:
        """Note that the rows of a piece are in the manifest's hands."""
        with self._lock:
            self._done.pop(shard, None)
            self._tried.pop(shard, None)
            self._finished += 1

    def may_list(self, shard: int) -> bool:
        """Whether a piece may be listed now, or would wait too long for its turn."""
        with self._lock:
            return shard < self._finished + AHEAD


def on_this_node(ray: Any) -> dict[str, Any]:
    """Options of what shall run beside the driver, whose end is the run's end."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {
        "num_cpus": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
