"""A queue in which clients take turns, so that nobody's hundred images hold up another's one."""

import asyncio
from collections import deque
from collections.abc import Hashable
from itertools import zip_longest
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """What waits, by client: each client in turn gives one item, its oldest."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[Item]] = {}  # in the order of the clients' turns
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, client: Hashable, item: Item, first: bool = False) -> None:
        """Let an item wait; with `first` before all others of its client."""
        queue = self._waiting.setdefault(client, deque())
        if first:
            queue.appendleft(item)
        else:
            queue.append(item)
        self._filled.set()

    def remove(self, client: Hashable, item: Item) -> bool:
        """Take an item out of the queue; False if it does not wait."""
        queue = self._waiting.get(client, deque())
        if item not in queue:
            return False
        queue.remove(item)
        self._tidy(client)
        return True

    async def next(self) -> Item:
        """Wait for the item whose turn it is, and take it out."""
        while not self._waiting:
            await self._filled.wait()
        client, queue = next(iter(self._waiting.items()))
        item = queue.popleft()
        self._waiting[client] = self._waiting.pop(client)  # to the end of the line
        self._tidy(client)
        return item

    def order(self) -> list[Item]:
        """All items in the order in which their turns would come."""
        nothing = object()
        rounds = zip_longest(*self._waiting.values(), fillvalue=nothing)
        return [item for turn in rounds for item in turn if item is not nothing]  # pyright: ignore

    def _tidy(self, client: Hashable) -> None:
        if not self._waiting[client]:
            del self._waiting[client]
        if not self._waiting:
            self._filled.clear()
