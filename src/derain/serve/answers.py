"""How clients are told of a job: waited for, as events, as a file with headers."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import StreamingResponse

from derain.io.formats import FORMATS
from derain.serve.jobs import Job
from derain.serve.problems import Problem
from derain.serve.service import Service

HEARTBEAT = 15.0  # seconds between two signs of life in a stream of events
MEDIA = {  # format -> media type, where it is not image/ and the format's name
    "PPM": "x-portable-anymap", "JPEG2000": "jp2",
}  # fmt: skip


VIDEO = {  # format of a clip -> media type, where it is not video/ and the format's name
    "MOV": "video/quicktime", "MKV": "video/x-matroska", "AVI": "video/x-msvideo",
    "TS": "video/mp2t", "MPG": "video/mpeg", "FLV": "video/x-flv", "WMV": "video/x-ms-wmv",
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
                event = following.result()
            except StopAsyncIteration:
                return
            yield f"id: {event.number}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"
            following = asyncio.ensure_future(anext(events))
    finally:
        following.cancel()
        await asyncio.wait((following,))
        await events.aclose()


def file(request: Request, job: Job) -> StreamingResponse:
    """A result, or the part of it that `Range` asks for, as players do that seek.

    Raises:
        Problem: There is no result, or no such part of it.
    """
    size = job.outcome().size
    first, end = part_of(request.headers.get("range", ""), size)
    headers = {"Content-Length": str(end - first), "Accept-Ranges": "bytes", **about(job)}
    whole = (first, end) == (0, size)
    if not whole:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return StreamingResponse(
        fetched(job, first, end), 200 if whole else 206, headers, media_type=media(job)
    )


def part_of(header: str, size: int) -> tuple[int, int]:
    """The bytes, from one to before another, that a `Range` asks for (RFC 9110, section 14).

    All of them where it asks for several ranges or in a way that this server does not know.

    Raises:
        Problem: It begins behind the end.
    """
    found = re.fullmatch(r"bytes=(\d{1,18})?-(\d{1,18})?", header.strip())
    if not found or found[0].endswith("=-"):
        return 0, size
    if found[1] is None:
        first, end = max(size - int(found[2]), 0), size
    else:
        first, end = int(found[1]), min(int(found[2] or size) + 1, size)
        if found[2] and int(found[2]) < first:
            return 0, size
    if first >= size:
        raise Problem("no-such-part", f"It has {size} bytes.", {"Content-Range": f"bytes */{size}"})
    return first, end


async def fetched(job: Job, first: int, end: int) -> AsyncGenerator[bytes, None]:
    """The bytes of a result, noted as fetched when the last is sent."""
    assert job.result
    size = job.result.size
    async for chunk in job.result.chunks(first, end):
        yield chunk
    job.fetched = job.fetched or end == size


def media(job: Job) -> str:
    """The media type of a result."""
    format = job.events[-1].data["format"]
    if job.clip:
        return VIDEO.get(format, f"video/{format.lower()}")
    return f"image/{MEDIA.get(format, format.lower())}"


def suffix_of(format: str) -> str:
    """How files of an image format are called."""
    return next(suffix for suffix, name in FORMATS.items() if name == format)


def about(job: Job) -> dict[str, str]:
    """Headers that say what became of an image, and what a browser saves it as."""
    facts = job.events[-1].data
    suffix = f".{facts['format'].lower()}" if job.clip else suffix_of(facts["format"])
    stem = job.name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    stem = stem or ("clip" if job.clip else "image")
    name = quote(f"{stem}_derained{suffix}", safe="")
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Cache-Control": "no-store",
        "Derain-Model": facts["model"],
        "Derain-Seconds": str(facts["seconds"]),
        "Derain-Change": str(facts["change"]),
        "Derain-Rain-Found": str(facts["rain_found"]).lower(),
    }
