"""The worker processes as the server sees them: they are started, given images, and replaced."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator
from typing import Protocol

from prometheus_client import Counter

from derain.serve import frames
from derain.serve.jobs import Held
from derain.serve.settings import Settings

BUFFER = 1 << 20  # bytes of a worker's output that wait to be read
PAUSE = 1.0  # seconds before a worker that died is replaced

log = logging.getLogger(__name__)


class Runner(Protocol):
    """What does jobs, in another process.

    Attributes:
        ready: Set while it takes them.
    """

    ready: asyncio.Event

    def restore(
        self, message: frames.Message, upload: Held
    ) -> AsyncGenerator[tuple[frames.Message, bytes]]:
        """Do a job, and yield what becomes of it; the last is done, failed, cancelled or died."""
        ...

    async def cancel(self, key: str) -> None:
        """End a job."""


class WorkerProcess(Runner):
    """One worker process, replaced whenever it dies.

    Args:
        settings: What it runs.
        threads: CPU threads for its networks; None leaves it to the engine.
        deaths: Counts how often it had to be replaced.
    """

    def __init__(self, settings: Settings, threads: int | None, deaths: Counter) -> None:
        self._deaths = deaths
        self._settings = json.dumps(
            {
                "model": settings.model, "device": settings.device, "engine": settings.engine,
                "precision": settings.precision, "memory": settings.memory, "threads": threads,
            }
        )  # fmt: skip
        self._answers: dict[str, asyncio.Queue[tuple[frames.Message, bytes]]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()

    async def keep(self) -> None:
        """Start it, and start it again when it dies, until cancelled.

        Raises:
            ValueError: It cannot run at all: a model or a device that is not there.
        """
        while True:
            await self._run()
            self._deaths.inc()
            log.warning("a worker process died; another one takes its place")
            await asyncio.sleep(PAUSE)

    async def _run(self) -> None:
        # A session of its own: Ctrl-C is for the server, which lets a worker finish what it does.
        # -P: no module is imported from the folder in which the server was started.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "derain.serve.worker", self._settings,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True, limit=BUFFER,
        )  # fmt: skip
        self._process = process
        assert process.stdout
        try:
            while True:
                message, data = await frames.receive(process.stdout)
                match message["event"]:
                    case "ready":
                        self.ready.set()
                    case "broken":
                        raise ValueError(message["why"])
                    case _:
                        if answers := self._answers.get(message["id"]):
                            answers.put_nowait((message, data))
                del data
        except asyncio.IncompleteReadError:
            await process.wait()
        finally:
            self.ready.clear()
            for answers in self._answers.values():
                answers.put_nowait(({"event": "died"}, b""))
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def restore(
        self, message: frames.Message, upload: Held
    ) -> AsyncGenerator[tuple[frames.Message, bytes]]:
        """Give it an image, and yield what it says of it; ``died`` if it does."""
        data = upload.read()
        answers = self._answers[message["id"]] = asyncio.Queue()
        try:
            if not await self._send({**message, "do": "restore"}, data):
                yield {"event": "died"}, b""
                return
            del data
            while True:
                answer, result = await answers.get()
                yield answer, result
                if answer["event"] != "tile":
                    return
        finally:
            del self._answers[message["id"]]

    async def cancel(self, key: str) -> None:
        """Stop an image at its next tile."""
        await self._send({"do": "cancel", "id": key})

    async def _send(self, message: frames.Message, data: bytes = b"") -> bool:
        if not self._process or not self._process.stdin or not self.ready.is_set():
            return False
        try:
            # One call for both, so that frames of different tasks do not mix.
            self._process.stdin.writelines([frames.pack(message, data), data])
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            return False
        return True


def processes(settings: Settings, deaths: Counter) -> list[WorkerProcess]:
    """As many as the settings say; several share the cores."""
    threads = None if settings.workers == 1 else max((os.cpu_count() or 1) // settings.workers, 1)
    return [WorkerProcess(settings, threads, deaths) for _ in range(settings.workers)]
