"""Jobs: one image each, from its upload to its result, and all that happens in between."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, NamedTuple

from derain.serve.problems import Problem

IN_MEMORY = 1 << 20  # bytes; larger uploads and results go to a file without a name
CHUNK = 1 << 16  # bytes of an answer at a time


class Client(NamedTuple):
    """Whose turn it is: an address and the program there, as its User-Agent tells."""

    address: str
    program: str


class Event(NamedTuple):
    """Something that happened to a job."""

    name: str  # "queued", "running", "tile", "done" or "failed"
    data: dict[str, Any]


@dataclass(frozen=True)
class JobOptions:
    """What a client asks for."""

    model: str
    strength: float = 1.0
    format: str | None = None  # a suffix such as "png"; None keeps the image's own
    scales: str = "auto"
    rain_layer: bool = False


class Held:
    """Bytes that the server holds for a client: in memory, or in a file that has no name.

    Such a file is gone as soon as it is closed or the process ends, however it ends.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self.size += len(data)

    def read(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """All of it, in pieces; several clients may read at once."""
        for start in range(0, self.size, CHUNK):
            self._file.seek(start)
            yield self._file.read(CHUNK)

    def close(self) -> None:
        """Forget the bytes."""
        self._file.close()
        self.size = 0


class Job:
    """One image and what becomes of it.

    Args:
        client: Who sent it.
        options: What the client asks for.
        upload: The image file; the job closes it.
        name: What the client calls it; empty if it does not say.
    """

    def __init__(self, client: Client, options: JobOptions, upload: Held, name: str = "") -> None:
        self.id = secrets.token_urlsafe(18)
        self.client, self.options, self.upload, self.name = client, options, upload, name
        self.events: list[Event] = []
        self.result: Held | None = None
        self.problem: Problem | None = None
        self.attempts = 0  # how often a worker has begun with it
        self.cancelled = False
        self.finished: float | None = None  # when, by the clock of `time.monotonic`
        self.fetched = False
        self.watchers = 0
        self.left: float | None = None  # when the last of its watchers went
        self._news = asyncio.Event()

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``done`` or ``failed``."""
        names = [event.name for event in self.events if event.name != "tile"]
        return names[-1] if names else "queued"

    @property
    def held(self) -> int:
        """Bytes that the server holds for it."""
        return self.upload.size + (self.result.size if self.result else 0)

    def outcome(self) -> Held:
        """The result.

        Raises:
            Problem: There is none, or not yet.
        """
        if self.problem:
            raise self.problem
        if self.result is None:
            raise Problem("not-finished", f"It is {self.state}; follow its events.")
        return self.result

    def tell(self, name: str, **data: Any) -> None:
        """Note an event and wake who follows."""
        self.events.append(Event(name, data))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def move(self, position: int) -> None:
        """Note its place in the queue, if that is another than before."""
        if not self.events or self.events[-1] != Event("queued", {"position": position}):
            self.tell("queued", position=position)

    def succeed(self, data: bytes, facts: dict[str, Any]) -> None:
        """Take the result."""
        self.result = Held()
        self.result.write(data)
        self._finish("done", facts)

    def fail(self, problem: Problem) -> None:
        """Take the reason why there is no result."""
        self.problem = problem
        self._finish("failed", problem.document())

    def _finish(self, name: str, data: dict[str, Any]) -> None:
        self.upload.close()
        self.finished = time.monotonic()
        self.tell(name, **data)

    async def follow(self, first: int = 0) -> AsyncGenerator[tuple[int, Event], None]:
        """Its events with their numbers, from one of them on until the last that there will be."""
        self.watchers += 1
        try:
            while True:
                news = self._news
                while first < len(self.events):
                    yield first, self.events[first]
                    first += 1
                if self.finished is not None:
                    return
                await news.wait()
        finally:
            self.watchers -= 1
            self.left = time.monotonic()

    async def wait(self) -> None:
        """Wait until it is finished."""
        while self.finished is None:
            await self._news.wait()

    def close(self) -> None:
        """Forget its bytes."""
        self.upload.close()
        if self.result:
            self.result.close()
