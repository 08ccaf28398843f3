"""Jobs: one image or clip each, from its upload to its result, and all that happens in between."""

import asyncio
import errno
import secrets
import tempfile
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, NamedTuple

from derain.serve.problems import Problem

IN_MEMORY = 1 << 20  # bytes; larger uploads and results go to a file without a name
CHUNK = 1 << 16  # bytes of an answer at a time
PROGRESS = ("tile", "frame")  # events
FULL = (errno.ENOSPC, errno.EDQUOT)


class Client(NamedTuple):
    """Whose turn it is: an address and the program there, as its User-Agent tells."""

    address: str
    program: str


class Event(NamedTuple):
    """Something that happened to a job."""

    name: str  # "queued", "running", "tile", "frame", "done" or "failed"
    data: dict[str, Any]
    number: int


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
        """Append.

        Raises:
            Problem: The disk is full.
        """
        try:
            self._file.write(data)
        except OSError as error:
            if error.errno in FULL:
                raise no_space() from None
            raise
        self.size += len(data)

    def read(self) -> bytes:
        """All of it."""
        self._file.seek(0)
        return self._file.read()

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        self._file.seek(0)
        found = self._file.read(size)
        self._file.seek(self.size)
        return found

    async def chunks(self, first: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """All of it or the bytes from `first` to before `end`; several clients may read at once."""
        end = self.size if end is None else end
        for start in range(first, end, CHUNK):
            self._file.seek(start)
            yield self._file.read(min(CHUNK, end - start))

    def close(self) -> None:
        """Forget the bytes."""
        self._file.close()
        self.size = 0


def no_space() -> Problem:
    """What clients are told where the disk is full."""
    return Problem("no-space", "Nothing of it was kept; free some space and send it again.")


class Job:
    """One image or clip and what becomes of it.

    Args:
        client: Who sent it.
        options: What the client asks for.
        upload: The file; the job closes it.
        name: What the client calls it; empty if it does not say.
        reserved: Bytes that are kept free for a clip's result; 0 for an image.
    """

    def __init__(
        self, client: Client, options: JobOptions, upload: Held, name: str = "", reserved: int = 0
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.client, self.options, self.upload, self.name = client, options, upload, name
        self.reserved, self.clip = reserved, reserved > 0
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
        names = [event.name for event in self.events if event.name not in PROGRESS]
        return names[-1] if names else "queued"

    @property
    def held(self) -> int:
        """Bytes that the server holds for it."""
        result = self.result.size if self.result else 0
        return self.upload.size + max(result, self.reserved)

    def outcome(self) -> Held:
        """The result.

        Raises:
            Problem: There is none, or not yet.
        """
        if self.problem:
            raise self.problem
        if self.result is None or self.finished is None:
            raise Problem("not-finished", f"It is {self.state}; follow its events.")
        return self.result

    def tell(self, name: str, **data: Any) -> None:
        """Note an event and wake who follows; of a clip's frames only the last is told again."""
        number = self.events[-1].number + 1 if self.events else 0
        if name == "frame" and self.events[-1].name == "frame":
            self.events.pop()
        self.events.append(Event(name, data, number))
        news, self._news = self._news, asyncio.Event()
        news.set()

    def move(self, position: int) -> None:
        """Note its place in the queue, if that is another than before."""
        if not self.events or self.events[-1][:2] != ("queued", {"position": position}):
            self.tell("queued", position=position)

    def keep(self, data: bytes) -> None:
        """Take a part of the result.

        Raises:
            Problem: The disk is full, or it is more than was reserved.
        """
        self.result = self.result or Held()
        if self.reserved and self.result.size + len(data) > self.reserved:
            raise Problem("too-large", f"Its result has more than {self.reserved / 1e6:g} MB.")
        self.result.write(data)

    def succeed(self, facts: dict[str, Any]) -> None:
        """Its result is whole."""
        self._finish("done", facts)

    def fail(self, problem: Problem) -> None:
        """Take the reason why there is no result."""
        self.problem = problem
        if self.result:
            self.result.close()
            self.result = None
        self._finish("failed", problem.document())

    def _finish(self, name: str, data: dict[str, Any]) -> None:
        self.upload.close()
        self.reserved = 0
        self.finished = time.monotonic()
        self.tell(name, **data)

    async def follow(self, first: int = 0) -> AsyncGenerator[Event, None]:
        """Its events from a number on until the last that there will be."""
        self.watchers += 1
        try:
            while True:
                news = self._news
                for event in [event for event in self.events if event.number >= first]:
                    yield event
                    first = event.number + 1
                if self.finished is not None and self.events[-1].number < first:
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
