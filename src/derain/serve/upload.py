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

from derain.io.formats import ImageError, printable
from derain.io.gate import PARSERS, read_header
from derain.serve.jobs import CHUNK, IN_MEMORY, Client, Held
from derain.serve.problems import Problem
from derain.serve.service import Service, sentence

RAW = ("application/octet-stream", "application/x-www-form-urlencoded")  # the second is curl's own
MULTIPART = "multipart/form-data"
OVERHEAD = 10_000  # bytes of a multipart body beside the image
LONGEST_NAME = 200  # characters


class Upload:
    """The bytes of an image and what its client calls it."""

    def __init__(self) -> None:
        self.held, self.name = Held(), ""


@contextlib.asynccontextmanager
async def receive(request: Request, service: Service, client: Client) -> AsyncIterator[Upload]:
    """Receive an image and look at its header; whoever takes it submits it within the context.

    Raises:
        Problem: The queue is full, or the upload is too large, too slow or no image.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind in (*RAW, MULTIPART)):
        raise Problem("not-an-image", "Content-Type must be image/..., application/octet-stream or "
                      "multipart/form-data.")  # fmt: skip
    upload = Upload()
    async with service.place(client):
        try:
            if kind == MULTIPART:
                await _read_form(request, service, upload)
            else:
                await _read_raw(request, service, upload)
            await asyncio.to_thread(check, upload.held.read(), service.limits.pixels)
            yield upload
        except BaseException:
            upload.held.close()
            raise


async def _read_raw(request: Request, service: Service, upload: Upload) -> None:
    async for chunk in _body(request, service, service.limits.bytes):
        upload.held.write(chunk)


async def _read_form(request: Request, service: Service, upload: Upload) -> None:
    stream = _body(request, service, service.limits.bytes + OVERHEAD)
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
        upload.held.write(chunk)
    await form.close()


async def _body(request: Request, service: Service, most: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks, counted against every limit."""
    limits, size = service.limits, 0
    too_large = Problem("too-large", f"More than {limits.bytes / 1e6:g} MB; send it smaller.")
    if int(request.headers.get("content-length", "0")) > most:
        raise too_large
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
                raise too_large
            service.make_room(len(chunk))
            size += len(chunk)
            service.receiving += len(chunk)
            yield chunk
    finally:
        service.receiving -= size
        service.metrics.received.inc(size)


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
