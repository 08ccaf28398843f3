"""Messages between the server and its workers: a line of JSON, then bytes.

A frame is four bytes of length, that much JSON, and as many bytes as its `bytes` says.
"""

import asyncio
import json
import struct
from typing import Any, BinaryIO

Message = dict[str, Any]
LENGTH = struct.Struct(">I")


def pack(message: Message, data: bytes = b"") -> bytes:
    """The head of a frame; `data` follows it as it is."""
    text = json.dumps({**message, "bytes": len(data)}).encode()
    return LENGTH.pack(len(text)) + text


def read(file: BinaryIO) -> tuple[Message, bytes] | None:
    """The next frame of a file that blocks; None at its end."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    message = json.loads(file.read(*LENGTH.unpack(head)))
    return message, file.read(message.pop("bytes"))


async def receive(stream: asyncio.StreamReader) -> tuple[Message, bytes]:
    """The next frame of a stream.

    Raises:
        asyncio.IncompleteReadError: The other side is gone.
    """
    (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
    message = json.loads(await stream.readexactly(length))
    return message, await stream.readexactly(message.pop("bytes"))
