"""Requests that mean no good: damaged images, bombs, path tricks, wrong names, what is no HTTP.

For `benchmarks.serve` and for `tests/serve`.
"""

import contextlib
import io
import random
import socket
import time
from typing import Any

import httpx
from PIL import Image

from benchmarks.mutations import mutated_file

RAW = {"Content-Type": "application/octet-stream"}
HEAD = b"POST /v1/restore HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


def hostile_request(address: str, seed: int) -> tuple[str, int]:
    """Send one request that means no good; the same seed makes the same.

    Args:
        address: Of the server, such as ``http://127.0.0.1:8000``.
        seed: Decides what is sent.

    Returns:
        What it was, and the status of the answer; 0 where the connection was just closed.
    """
    choose = random.Random(seed)
    kind = choose.choice(("mutated", "mutated", "bomb", "path", "host", "origin", "form", "bytes"))
    options: dict[str, Any] = {"content": b"x", "headers": dict(RAW)}
    path = choose.choice(("/v1/restore", "/v1/jobs"))
    match kind:
        case "mutated":
            options["content"] = mutated_file(seed)[1]
        case "bomb":
            options["content"] = bomb(choose)
        case "path":
            up = choose.choice(("../", "..%2f", "%2e%2e/", "..\\", "%00", "//", "....//"))
            place = choose.choice(("/page/", "/v1/jobs/", "/", "/example.jpg/"))
            path = place + up * choose.randrange(1, 9) + choose.choice(("etc/passwd", "app.py"))
        case "host":
            names = ("evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil", "[::")
            options["headers"]["Host"] = choose.choice(names)
        case "origin":
            origins = ("null", "http://evil.example", f"{address}.evil.example", "file://")
            options["headers"]["Origin"] = choose.choice(origins)
        case "form":
            body = choose.randbytes(choose.randrange(2000))
            start = (
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="../../a"\r\n\r\n'
            )
            options["content"] = choose.choice((start + body, body, start * 20, b"--b--"))
            options["headers"]["Content-Type"] = choose.choice(
                ("multipart/form-data; boundary=b", "multipart/form-data", "image/../../etc")
            )
        case "bytes":
            return kind, raw_status(int(address.rpartition(":")[2]), choose)
    method = "GET" if kind == "path" else "POST"
    with httpx.Client(timeout=60) as client:
        url = httpx.URL(address).copy_with(raw_path=path.encode())
        response = client.request(method, url, **options)
        if response.status_code == 202:  # the header looked good: what do the pixels say?
            client.get(address + response.json()["events"])
            response = client.get(address + response.json()["result"])
        while response.status_code == 429:
            time.sleep(1)
            response = client.request(method, url, **options)
    intact = kind == "mutated" and response.status_code == 200
    return f"{kind}, still an image" if intact else kind, response.status_code


def bomb(choose: random.Random) -> bytes:
    """A small file that claims, or has, very many pixels."""
    side = choose.choice((20_000, 65_000, 2**31 - 1))
    if choose.random() < 0.5:
        return b"P6\n%d %d\n255\n" % (side, side) + choose.randbytes(100)
    buffer = io.BytesIO()
    Image.new("1", (20_000, 8_000)).save(buffer, choose.choice(("PNG", "TIFF", "GIF")))
    return buffer.getvalue()


def raw_status(port: int, choose: random.Random) -> int:
    """The status that bytes get which are hardly HTTP; 0 where the connection is just closed."""
    heads = (
        choose.randbytes(300),
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
    )
    with socket.create_connection(("127.0.0.1", port), 60) as raw, contextlib.suppress(OSError):
        raw.sendall(choose.choice(heads))
        raw.shutdown(socket.SHUT_WR)
        return int(raw.recv(4096)[9:12] or 0)
    return 0
