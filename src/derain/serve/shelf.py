"""What the server holds for its clients: who may put how much there, and when it is forgotten."""

import contextlib
import math
import shutil
import tempfile
import time
from collections.abc import AsyncIterator

from derain.serve.jobs import Client, Job, no_space
from derain.serve.problems import Problem
from derain.serve.settings import Limits

SECONDS = 1.0  # what an image is taken to need before one is done
COPIES = 3  # of a clip's result while it is made: its segments, itself, and where it is kept


class Shelf:
    """Jobs with their uploads and results.

    Args:
        limits: What clients may ask for.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.jobs: dict[str, Job] = {}  # in the order in which they came
        self.uploads: dict[Client, int] = {}  # that are being received
        self.receiving = 0  # bytes of them
        self.draining = False  # whether nothing new is taken
        self.seconds = SECONDS  # of an image, a moving average

    @property
    def active(self) -> list[Job]:
        """Jobs that wait or run."""
        return [job for job in self.jobs.values() if job.finished is None]

    @property
    def held(self) -> int:
        """Bytes of all uploads and results, and what is kept free for results of clips."""
        return self.receiving + sum(job.held for job in self.jobs.values())

    def retry_after(self) -> dict[str, str]:
        """The header that says when a place may be free: when the next image is done."""
        return {"Retry-After": str(min(max(math.ceil(self.seconds), 1), 60))}

    @contextlib.asynccontextmanager
    async def place(self, client: Client) -> AsyncIterator[None]:
        """Keep a place in the queue while an upload is received.

        Raises:
            Problem: The server is stopping or busy, or the client has too many jobs.
        """
        if self.draining:
            raise Problem("stopping", "It finishes what runs and takes nothing new.",
                          {"Retry-After": "10"})  # fmt: skip
        limits, active = self.limits, self.active
        everybody = len(active) + sum(self.uploads.values())
        own = sum(job.client.address == client.address for job in active)
        own += sum(n for who, n in self.uploads.items() if who.address == client.address)
        if everybody >= limits.queue:
            raise Problem("busy", f"{everybody} images wait already.", self.retry_after())
        if own >= limits.jobs:
            raise Problem("busy", f"{own} images of yours wait already.", self.retry_after())
        self.uploads[client] = self.uploads.get(client, 0) + 1
        try:
            yield
        finally:
            self.uploads[client] -= 1
            if not self.uploads[client]:
                del self.uploads[client]

    def make_room(self, size: int) -> None:
        """See that so many more bytes may be held; the oldest results that were fetched go first.

        Raises:
            Problem: All that is held is still needed.
        """
        over = self.held + size - self.limits.held
        for job in [job for job in self.jobs.values() if job.fetched]:
            if over <= 0:
                break
            over -= job.held
            self.forget(job)
        if over > 0:
            raise Problem("busy", "Too many results wait to be fetched.", self.retry_after())

    def reserve(self, upload: int) -> int:
        """The bytes to keep free for the result of a clip's upload.

        Raises:
            Problem: There is no room for them, or the disk has not so many.
        """
        size = self.limits.clip.reserved(upload)
        self.make_room(size)
        if shutil.disk_usage(tempfile.gettempdir()).free < upload + COPIES * size:
            raise no_space()
        return size

    def find(self, key: str) -> Job:
        """The job of an id.

        Raises:
            Problem: There is none.
        """
        if job := self.jobs.get(key):
            return job
        raise Problem("not-found", "No such job, or it has expired.")

    def forget(self, job: Job) -> None:
        """Drop a job that is finished, with its result."""
        self.jobs.pop(job.id, None)
        job.close()

    def tidy(self) -> None:
        """Forget what is old, or more than is kept."""
        now = time.monotonic()
        finished = [job for job in self.jobs.values() if job.finished is not None]
        surplus = len(finished) - self.limits.results
        for rank, job in enumerate(finished):
            if rank < surplus or now - (job.finished or now) > self.limits.expiry:
                self.forget(job)

    def clear(self) -> None:
        """Forget all."""
        for job in self.jobs.values():
            job.close()
