"""Stages that run at the same time: each is an iterator with a thread of its own."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

Item = TypeVar("Item")
DEPTH = 1  # items that wait between two stages; each may hold a frame of many megabytes


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item]:
    """The same items, made by a thread that runs up to ``depth`` of them ahead.

    What the maker raises is raised here, after the items before it. Closing the iterator ends the
    thread at its next item.
    """
    waiting: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
    closed = threading.Event()

    def make() -> None:
        end: BaseException | None = None
        iterator = iter(items)
        try:
            for item in iterator:
                if not offer((item,)):
                    break
        except BaseException as raised:
            end = raised
        finally:
            close = getattr(iterator, "close", None)
            if close:
                close()  # in the thread that ran it, so that its own stages end too
        offer(end)

    def offer(entry: tuple[Item] | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    thread = threading.Thread(target=make, name="derain-stage", daemon=True)
    thread.start()
    try:
        while True:
            entry = waiting.get()
            if entry is None:
                return
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        closed.set()
        thread.join()
