"""Clips as the server sees them: a process for each, which gets the clip and sends the result."""

import asyncio
import contextlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import AsyncGenerator
from dataclasses import asdict

from derain.serve import frames
from derain.serve.jobs import Held
from derain.serve.pool import BUFFER, Runner
from derain.serve.settings import Settings


def can_do_clips() -> bool:
    """Whether the video extra is there; FFmpeg is loaded in processes of clips alone."""
    return importlib.util.find_spec("av") is not None


class ClipProcess(Runner):
    """Does one clip at a time, each in a process and a folder of its own that end with it.

    Args:
        settings: How the server runs.
    """

    def __init__(self, settings: Settings) -> None:
        self.ready = asyncio.Event()
        self._limits = settings.limits.clip
        self._settings = {
            "device": settings.device, "engine": settings.engine, "precision": settings.precision,
            "memory": settings.memory, "limits": asdict(self._limits),
        }  # fmt: skip
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False  # whether the clip at hand shall end
        self.ready.set()

    async def restore(
        self, message: frames.Message, upload: Held
    ) -> AsyncGenerator[tuple[frames.Message, bytes]]:
        """Start a process for a clip, and yield what it says of it; ``died`` if it does."""
        self._stopped = False
        with tempfile.TemporaryDirectory(
            prefix="derain-clip-", ignore_cleanup_errors=True
        ) as folder:
            settings = json.dumps({**self._settings, **message, "folder": folder})
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "derain.serve.clip_worker", settings,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                start_new_session=True, limit=BUFFER,
            )  # fmt: skip
            assert process.stdin
            assert process.stdout
            if self._stopped:
                process.kill()
            try:
                async for chunk in upload.chunks():
                    process.stdin.writelines([frames.pack({"do": "part"}, chunk), chunk])
                    await process.stdin.drain()
                process.stdin.write(frames.pack({"do": "go"}))
                while True:
                    async with asyncio.timeout(self._limits.patience):
                        answer, data = await frames.receive(process.stdout)
                    yield answer, data
                    if answer["event"] in ("done", "failed"):
                        return
            except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
                yield {"event": "died"}, b""
            finally:
                self._process = None
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def cancel(self, key: str) -> None:
        """End the clip at hand."""
        self._stopped = True
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
