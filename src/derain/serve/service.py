"""The service: gives jobs to the processes that do them, in turn, and ends in order."""

import asyncio
import contextlib
import logging
import time

from derain.serve import frames
from derain.serve.clips import ClipProcess
from derain.serve.jobs import Client, Held, Job, JobOptions
from derain.serve.metrics import Metrics
from derain.serve.pool import Runner, processes
from derain.serve.problems import Problem
from derain.serve.settings import THREADS, Settings
from derain.serve.shelf import Shelf
from derain.serve.turns import Turns

ATTEMPTS = 2  # an image that was at hand when a worker died, perhaps by its neighbour, goes again
SWEEP = 1.0  # seconds between two looks at what has expired

log = logging.getLogger(__name__)


class Service:
    """The queues of jobs and their processes.

    Args:
        settings: How the server runs.
        models: The name of each model that clients may ask for -> what `derain.load` takes.
    """

    def __init__(self, settings: Settings, models: dict[str, str]) -> None:
        self.settings, self.limits, self.models = settings, settings.limits, models
        self.shelf = Shelf(settings.limits)
        self.queue: Turns[Job] = Turns()  # of images
        self.clips: Turns[Job] = Turns()
        self.running: dict[str, Runner] = {}
        self.metrics = Metrics()
        self.workers = processes(settings, self.metrics.deaths)

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
                        tasks.create_task(self._serve(self.queue, worker))
                tasks.create_task(self._serve(self.clips, ClipProcess(self.settings)))
                tasks.create_task(self._sweep())
        except* ValueError as group:
            raise group.exceptions[0] from None
        finally:
            self.shelf.clear()

    @property
    def draining(self) -> bool:
        """Whether it is ending."""
        return self.shelf.draining

    @property
    def ready(self) -> bool:
        """Whether a worker waits for images."""
        return not self.draining and any(worker.ready.is_set() for worker in self.workers)

    def measured(self) -> bytes:
        """What `/metrics` answers."""
        self.metrics.waiting.set(len(self.queue) + len(self.clips))
        self.metrics.running.set(len(self.running))
        self.metrics.held.set(self.shelf.held)
        return self.metrics.text()

    def submit(
        self, client: Client, options: JobOptions, upload: Held, name: str = "", clip: bool = False
    ) -> Job:
        """Put an image or a clip into its queue.

        Raises:
            Problem: There is no room for the result of the clip.
        """
        reserved = self.shelf.reserve(upload.size) if clip else 0
        job = Job(client, options, upload, name, reserved)
        self.shelf.jobs[job.id] = job
        self._queue(job).put(client, job)
        self._tell_positions()
        return job

    def _queue(self, job: Job) -> Turns[Job]:
        return self.clips if job.clip else self.queue

    async def cancel(self, job: Job) -> None:
        """End a job that waits or runs."""
        job.cancelled = True
        if runner := self.running.get(job.id):
            await runner.cancel(job.id)
        elif self._queue(job).remove(job.client, job):
            self._fail(job, Problem("cancelled", "Its client cancelled it, or went away."))
            self._tell_positions()

    def begin_to_drain(self) -> None:
        """Take nothing new from now on."""
        self.shelf.draining = True

    async def drain(self) -> None:
        """Refuse what is new and what waits, finish images, end clips, let results be fetched."""
        self.begin_to_drain()
        for queue in (self.queue, self.clips):
            while queue:
                self._fail(await queue.next(), self._stopping("It ended before its turn came."))
        for key, runner in list(self.running.items()):
            if self.shelf.jobs[key].clip:
                await runner.cancel(key)
        while self.running:
            await asyncio.sleep(0.05)
        end, jobs = time.monotonic() + self.limits.drain, self.shelf.jobs
        while time.monotonic() < end and any(self._expected(job) for job in jobs.values()):
            await asyncio.sleep(0.05)

    def _stopping(self, detail: str) -> Problem:
        return Problem("stopping", detail, {"Retry-After": "10"})

    def _expected(self, job: Job) -> bool:
        """Whether somebody has yet to learn what became of a job, or to fetch its result."""
        return job.watchers > 0 or (job.result is not None and not job.fetched)

    async def _serve(self, queue: Turns[Job], runner: Runner) -> None:
        """Give a process one job after the other."""
        while True:
            await runner.ready.wait()
            job = await queue.next()
            if not runner.ready.is_set():  # it died while it had nothing to do
                queue.put(job.client, job, first=True)
                continue
            self._tell_positions()
            self.running[job.id] = runner
            try:
                await self._work(job, runner)
            except Problem as problem:  # there is no place for what the process sent
                self._fail(job, problem)
            finally:
                del self.running[job.id]

    async def _work(self, job: Job, runner: Runner) -> None:
        o = job.options
        message = {
            "id": job.id, "name": "image", "model": self.models[o.model], "strength": o.strength,
            "format": o.format, "scales": o.scales, "rain_layer": o.rain_layer,
            "quality": self.settings.quality, "pixels": self.limits.pixels,
            "reserved": job.reserved,
        }  # fmt: skip
        job.attempts += 1
        job.tell("running")
        async with contextlib.aclosing(runner.restore(message, job.upload)) as answers:
            async for answer, data in answers:
                self._take(job, answer, data)

    def _take(self, job: Job, answer: frames.Message, data: bytes) -> None:
        """Note what a process says of a job."""
        match answer["event"]:
            case "tile":
                job.tell("tile", done=answer["done"], total=answer["total"])
            case "frame":
                job.tell("frame", **{key: answer[key] for key in ("done", "total", "left")})
            case "part":
                job.keep(data)
            case "done":
                job.keep(data)
                self._succeed(job, answer["facts"])
            case "failed":
                kind = answer.get("kind", "bad-image")
                self._fail(job, Problem(kind, sentence(answer["why"])))
            case "died" if job.clip and self.draining:
                self._fail(job, self._stopping("It ended while the clip was worked on; send "
                                               "the clip again."))  # fmt: skip
            case "cancelled" | "died" if job.cancelled:
                self._fail(job, Problem("cancelled", "Its client cancelled it, or went away."))
            case "died" if job.attempts < ATTEMPTS and not job.clip and not self.draining:
                self.queue.put(job.client, job, first=True)
                self._tell_positions()
            case _:
                self._fail(job, Problem("bad-image", "It stops the program that decodes it."))

    def _succeed(self, job: Job, facts: dict) -> None:
        seconds = facts["seconds"]
        if not job.clip:
            self.shelf.seconds += 0.2 * (seconds - self.shelf.seconds)
            self.metrics.seconds.observe(seconds)
        self.metrics.images.labels("done").inc()
        log.info("restored%s: %dx%d in %.2f s", self._named(job), facts["width"], facts["height"],
                 seconds)  # fmt: skip
        job.succeed(facts)

    def _fail(self, job: Job, problem: Problem) -> None:
        self.metrics.images.labels(problem.kind).inc()
        log.info("failed%s: %s", self._named(job), problem.kind)
        job.fail(problem)

    def _named(self, job: Job) -> str:
        return f" {job.name!r}" if self.settings.log_names and job.name else ""

    def _tell_positions(self) -> None:
        for queue in (self.queue, self.clips):
            for position, job in enumerate(queue.order(), 1):
                job.move(position)

    async def _sweep(self) -> None:
        """Cancel what nobody watches any more, and forget what is old."""
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for job in self.shelf.active:
                if not job.watchers and job.left and now - job.left > self.limits.absence:
                    await self.cancel(job)
            self.shelf.tidy()


def sentence(text: str) -> str:
    """An error of the library, `image: damaged image: cut off`, as a sentence for clients."""
    text = text.removeprefix("image: ").removeprefix("clip: ")
    return text[:1].upper() + text[1:].rstrip(".") + "."
