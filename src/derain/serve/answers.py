"""How clients are told of a job: waited for, as events, as a file with headers."""

import asyncio
import json
from collections.abc import AsyncGenerator
from urllib.parse import quote

from fastapi import Request

from derain.io.formats import FORMATS
from derain.serve.jobs import Job
from derain.serve.service import Service

HEARTBEAT = 15.0  # seconds between two signs of life in a stream of events
MEDIA = {  # format -> media type, where it is not image/ and the format's name
    "PPM": "x-portable-anymap", "JPEG2000": "jp2",
}  # fmt: skip


async def finish(request: Request, job: Job, service: Service) -> None:
    """Wait for a job; cancel it when its client goes away."""

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    done, left = asyncio.create_task(job.wait()), asyncio.create_task(leave())
    try:
        await asyncio.wait((done, left), return_when=asyncio.FIRST_COMPLETED)
        if job.finished is None:
            await service.cancel(job)
            await done
    finally:
        done.cancel()
        left.cancel()


async def server_sent(job: Job, first: int) -> AsyncGenerator[str, None]:
    """The events of a job as `text/event-stream`, with a comment now and then."""
    events = job.follow(first)
    following = asyncio.ensure_future(anext(events))
    try:
        while True:
            ready, _ = await asyncio.wait((following,), timeout=HEARTBEAT)
            if not ready:
                yield ": still here\n\n"
                continue
            try:
                number, event = following.result()
            except StopAsyncIteration:
                return
            yield f"id: {number}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"
            following = asyncio.ensure_future(anext(events))
    finally:
        following.cancel()
        await asyncio.wait((following,))
        await events.aclose()


async def fetched(job: Job) -> AsyncGenerator[bytes, None]:
    """The bytes of a result, noted as fetched when the last is sent."""
    assert job.result
    async for chunk in job.result.chunks():
        yield chunk
    job.fetched = True


def media(job: Job) -> str:
    """The media type of a result."""
    format = job.events[-1].data["format"]
    return f"image/{MEDIA.get(format, format.lower())}"


def about(job: Job) -> dict[str, str]:
    """Headers that say what became of an image, and what a browser saves it as."""
    facts = job.events[-1].data
    suffix = next(suffix for suffix, format in FORMATS.items() if format == facts["format"])
    stem = job.name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or "image"
    name = quote(f"{stem}_derained{suffix}", safe="")
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Cache-Control": "no-store",
        "Derain-Model": facts["model"],
        "Derain-Seconds": str(facts["seconds"]),
        "Derain-Change": str(facts["change"]),
        "Derain-Rain-Found": str(facts["rain_found"]).lower(),
    }
