"""The service: takes jobs, gives them to the workers in turn, keeps results, ends in order."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator

from derain.serve.jobs import Client, Held, Job, JobOptions
from derain.serve.metrics import Metrics
from derain.serve.pool import WorkerProcess, processes
from derain.serve.problems import Problem
from derain.serve.settings import THREADS, Settings
from derain.serve.turns import Turns

ATTEMPTS = 2  # an image that was at hand when a worker died, perhaps by its neighbour, goes again
SWEEP = 1.0  # seconds between two looks at what has expired
SECONDS = 1.0  # what an image is taken to need before one is done

log = logging.getLogger(__name__)


class Service:
    """Jobs, their queue and their workers.

    Args:
        settings: How the server runs.
        models: The name of each model that clients may ask for -> what `derain.load` takes.
    """

    def __init__(self, settings: Settings, models: dict[str, str]) -> None:
        self.settings, self.limits, self.models = settings, settings.limits, models
        self.jobs: dict[str, Job] = {}  # in the order in which they came
        self.queue: Turns[Job] = Turns()
        self.running: dict[str, WorkerProcess] = {}
        self.uploads: dict[Client, int] = {}  # that are being received
        self.receiving = 0  # bytes of them
        self.metrics = Metrics()
        self.workers = processes(settings, self.metrics.deaths)
        self.draining = False
        self._seconds = SECONDS  # of an image, a moving average

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            ValueError: The workers cannot run: a model or a device that is not there.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for worker in self.workers:
                    tasks.create_task(worker.keep())
                    for _ in range(THREADS):
                        tasks.create_task(self._serve(worker))
                tasks.create_task(self._sweep())
        except* ValueError as group:
            raise group.exceptions[0] from None
        finally:
            for job in self.jobs.values():
                job.close()

    @property
    def ready(self) -> bool:
        """Whether a worker waits for images."""
        return not self.draining and any(worker.ready.is_set() for worker in self.workers)

    @property
    def active(self) -> list[Job]:
        """Jobs that wait or run."""
        return [job for job in self.jobs.values() if job.finished is None]

    @property
    def held(self) -> int:
        """Bytes of all uploads and results."""
        return self.receiving + sum(job.held for job in self.jobs.values())

    def measured(self) -> bytes:
        """What `/metrics` answers."""
        self.metrics.waiting.set(len(self.queue))
        self.metrics.running.set(len(self.running))
        self.metrics.held.set(self.held)
        return self.metrics.text()

    def retry_after(self) -> dict[str, str]:
        """The header that says when a place may be free: when the next image is done."""
        return {"Retry-After": str(min(max(math.ceil(self._seconds), 1), 60))}

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

    def submit(self, client: Client, options: JobOptions, upload: Held, name: str = "") -> Job:
        """Put an image into the queue."""
        job = Job(client, options, upload, name)
        self.jobs[job.id] = job
        self.queue.put(client, job)
        self._tell_positions()
        return job

    def find(self, key: str) -> Job:
        """The job of an id.

        Raises:
            Problem: There is none.
        """
        if job := self.jobs.get(key):
            return job
        raise Problem("not-found", "No such job, or it has expired.")

    async def cancel(self, job: Job) -> None:
        """End a job that waits or runs."""
        job.cancelled = True
        if worker := self.running.get(job.id):
            await worker.cancel(job.id)
        elif self.queue.remove(job.client, job):
            self._fail(job, Problem("cancelled", "Its client cancelled it, or went away."))
            self._tell_positions()

    def forget(self, job: Job) -> None:
        """Drop a job that is finished, with its result."""
        self.jobs.pop(job.id, None)
        job.close()

    async def drain(self) -> None:
        """Refuse what is new and what waits, finish what runs, and let results be fetched."""
        self.draining = True
        while self.queue:
            await self.cancel_waiting()
        while self.running:
            await asyncio.sleep(0.05)
        end = time.monotonic() + self.limits.drain
        while time.monotonic() < end and any(self._expected(job) for job in self.jobs.values()):
            await asyncio.sleep(0.05)

    async def cancel_waiting(self) -> None:
        """Fail the next job that waits."""
        job = await self.queue.next()
        self._fail(job, Problem("stopping", "It ended before this image's turn came.",
                                {"Retry-After": "10"}))  # fmt: skip

    def _expected(self, job: Job) -> bool:
        """Whether somebody has yet to learn what became of a job, or to fetch its result."""
        return job.watchers > 0 or (job.result is not None and not job.fetched)

    async def _serve(self, worker: WorkerProcess) -> None:
        """Give a worker one image after the other."""
        while True:
            await worker.ready.wait()
            job = await self.queue.next()
            if not worker.ready.is_set():  # it died while it had nothing to do
                self.queue.put(job.client, job, first=True)
                continue
            self._tell_positions()
            self.running[job.id] = worker
            try:
                await self._work(job, worker)
            finally:
                del self.running[job.id]

    async def _work(self, job: Job, worker: WorkerProcess) -> None:
        o = job.options
        message = {
            "id": job.id, "name": "image", "model": self.models[o.model], "strength": o.strength,
            "format": o.format, "scales": o.scales, "rain_layer": o.rain_layer,
            "quality": self.settings.quality, "pixels": self.limits.pixels,
        }  # fmt: skip
        job.attempts += 1
        job.tell("running")
        async for answer, data in worker.restore(message, job.upload.read()):
            match answer["event"]:
                case "tile":
                    job.tell("tile", done=answer["done"], total=answer["total"])
                case "done":
                    self._succeed(job, data, answer["facts"])
                case "failed":
                    self._fail(job, Problem("bad-image", sentence(answer["why"])))
                case "cancelled":
                    self._fail(job, Problem("cancelled", "Its client cancelled it, or went away."))
                case "died" if job.attempts < ATTEMPTS and not job.cancelled and not self.draining:
                    self.queue.put(job.client, job, first=True)
                    self._tell_positions()
                case _:
                    self._fail(job, Problem("bad-image", "It stops the program that decodes it."))

    def _succeed(self, job: Job, data: bytes, facts: dict) -> None:
        seconds = facts["seconds"]
        self._seconds += 0.2 * (seconds - self._seconds)
        self.metrics.images.labels("done").inc()
        self.metrics.seconds.observe(seconds)
        log.info("restored%s: %dx%d in %.2f s", self._named(job), facts["width"], facts["height"],
                 seconds)  # fmt: skip
        job.succeed(data, facts)

    def _fail(self, job: Job, problem: Problem) -> None:
        self.metrics.images.labels(problem.kind).inc()
        log.info("failed%s: %s", self._named(job), problem.kind)
        job.fail(problem)

    def _named(self, job: Job) -> str:
        return f" {job.name!r}" if self.settings.log_names and job.name else ""

    def _tell_positions(self) -> None:
        for position, job in enumerate(self.queue.order(), 1):
            job.move(position)

    async def _sweep(self) -> None:
        """Cancel what nobody watches any more, and forget what is old."""
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for job in self.active:
                if not job.watchers and job.left and now - job.left > self.limits.absence:
                    await self.cancel(job)
            finished = [job for job in self.jobs.values() if job.finished is not None]
            surplus = len(finished) - self.limits.results
            for rank, job in enumerate(finished):
                if rank < surplus or now - (job.finished or now) > self.limits.expiry:
                    self.forget(job)


def sentence(text: str) -> str:
    """An error of the library, `image: damaged image: cut off`, as a sentence for clients."""
    text = text.removeprefix("image: ")
    return text[:1].upper() + text[1:].rstrip(".") + "."
