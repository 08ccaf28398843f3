"""An upload, raw or multipart, received within limits of bytes, time and memory."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from derain.io.clips import HEAD, clip_suffix
from derain.io.formats import ImageError, printable
from derain.io.gate import PARSERS, read_header
from derain.serve.clips import can_do_clips
from derain.serve.jobs import CHUNK, FULL, IN_MEMORY, Client, Held, no_space
from derain.serve.problems import Problem
from derain.serve.service import Service, sentence

RAW = ("application/octet-stream", "application/x-www-form-urlencoded")  # the second is curl's own
MULTIPART = "multipart/form-data"
OVERHEAD = 10_000  # bytes of a multipart body beside the image
LONGEST_NAME = 200  # characters


class Upload:
    """The bytes of an image or a clip and what its client calls it."""

    def __init__(self) -> None:
        self.held, self.name, self.clip = Held(), "", False


@contextlib.asynccontextmanager
async def receive(
    request: Request, service: Service, client: Client, clips: bool = False
) -> AsyncIterator[Upload]:
    """Receive a file and look at its header; whoever takes it submits it within the context.

    Args:
        request: What brings it.
        service: Where it goes.
        client: Whose it is.
        clips: Whether it may be a clip.

    Raises:
        Problem: The queue is full, or the upload is too large, too slow or nothing that is read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith(("image/", "video/")) or kind in (*RAW, MULTIPART)):
        raise Problem("not-an-image", "Content-Type must be image/..., video/..., "
                      "application/octet-stream or multipart/form-data.")  # fmt: skip
    limits = service.limits
    most = limits.bytes if not clips or kind.startswith("image/") else limits.largest
    upload = Upload()
    async with service.shelf.place(client):
        try:
            if kind == MULTIPART:
                await _read_form(request, service, upload, most)
            else:
                await _read_raw(request, service, upload, most)
            upload.clip = clip_suffix(upload.held.head(HEAD)) is not None
            if upload.clip:
                check_clip(clips)
            else:
                await asyncio.to_thread(check, upload.held.read(), limits.pixels)
            yield upload
        except BaseException as error:
            upload.held.close()
            if isinstance(error, OSError) and error.errno in FULL:
                raise no_space() from None
            raise


async def _read_raw(request: Request, service: Service, upload: Upload, most: int) -> None:
    async for chunk in _body(request, service, most):
        _take(upload, chunk, service)


def _take(upload: Upload, chunk: bytes, service: Service) -> None:
    """Keep a chunk, unless it is one too many of what the first bytes tell."""
    upload.held.write(chunk)
    limits, size = service.limits, upload.held.size
    if size > min(limits.bytes, limits.clip.bytes):
        clip = clip_suffix(upload.held.head(HEAD)) is not None
        if size > (most := limits.clip.bytes if clip else limits.bytes):
            raise too_large(most)


def too_large(most: int) -> Problem:
    """What clients are told who send more bytes than there may be."""
    return Problem("too-large", f"More than {most / 1e6:g} MB; send it smaller.")


async def _read_form(request: Request, service: Service, upload: Upload, most: int) -> None:
    stream = _body(request, service, most + OVERHEAD)
    parser = MultiPartParser(
        request.headers, stream, max_files=1, max_fields=8, max_part_size=OVERHEAD
    )
    parser.spool_max_size = IN_MEMORY
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, UnicodeError, ValueError) as error:
        raise Problem("bad-request", f"The multipart body is damaged: {error}.") from None
    file = form.get("file")
    if not isinstance(file, UploadFile):
        await form.close()
        raise Problem("bad-request", "A multipart body needs the image in a field named file.")
    upload.name = printable(file.filename or "")[:LONGEST_NAME]
    while chunk := await file.read(CHUNK):
        _take(upload, chunk, service)
    await form.close()


async def _body(request: Request, service: Service, most: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks, counted against every limit."""
    limits, size = service.limits, 0
    if int(request.headers.get("content-length", "0")) > most:
        raise too_large(most)
    start = time.monotonic()
    chunks = request.stream()
    try:
        while True:
            allowed = limits.patience + size / limits.rate - (time.monotonic() - start)
            try:
                async with asyncio.timeout(min(max(allowed, 0), limits.patience)):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                text = f"It has to reach {limits.rate / 1e3:g} kB per second."
                raise Problem("too-slow", text, {"Connection": "close"}) from None
            except ClientDisconnect:
                raise Problem("cancelled", "The client went away.") from None
            if size + len(chunk) > most:
                raise too_large(most)
            service.shelf.make_room(len(chunk))
            size += len(chunk)
            service.shelf.receiving += len(chunk)
            yield chunk
    finally:
        service.shelf.receiving -= size
        service.metrics.received.inc(size)


def check_clip(wanted: bool) -> None:
    """Refuse clips where they are not taken; what is in them is for their own process to read.

    Raises:
        Problem: They are not taken here.
    """
    if not wanted:
        raise Problem("not-an-image", "Clips go to POST /v1/jobs; /v1/restore takes images.")
    if not can_do_clips():
        raise Problem("not-an-image", "This is a clip, and the server was installed without "
                      "derain[video].")  # fmt: skip


def check(data: bytes, max_pixels: int) -> None:
    """Refuse at once what the gate would refuse later.

    Raises:
        Problem: No image, a damaged one, or one of too many pixels.
    """
    try:
        header = read_header(data, "image")
    except ImageError as error:
        known = any(re.match(magic, data, re.DOTALL) for magic, _ in PARSERS)
        raise Problem("bad-image" if known else "not-an-image", sentence(str(error))) from None
    if header.width * header.height > max_pixels:
        size = f"{header.width}x{header.height}"
        raise Problem("too-large", f"{size} is over the limit of {max_pixels / 1e6:g} megapixels.")
