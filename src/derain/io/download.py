"""Fetch an image from an address that a user gives, within limits."""

import ipaddress
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from derain.io.formats import ImageError, one_line

MAX_BYTES = 500_000_000
SECONDS = 300.0  # for the whole download
SILENCE = 30.0  # seconds without any data


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not into the user's own machine or network."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
    ) -> Any:
        parts = urllib.parse.urlsplit(newurl)
        if parts.scheme not in ("http", "https"):
            raise urllib.error.URLError(f"redirects to {parts.scheme}:")
        for *_, address in socket.getaddrinfo(parts.hostname, None):
            if not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global:
                raise urllib.error.URLError(f"redirects to a private address, {parts.hostname}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, seconds: float = SECONDS, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes at an http(s) address.

    Raises:
        ImageError: It does not answer, takes longer than ``seconds``, sends more than
            ``max_bytes``, or redirects to a private address; names it.
    """
    outcome: list[bytes | Exception] = []

    def run() -> None:
        try:
            outcome.append(_fetch(url, max_bytes))
        except Exception as error:
            outcome.append(error)

    # Timeouts of sockets start anew with every byte; a thread can be left behind.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    match outcome:
        case [bytes() as data]:
            return data
        case [Exception() as error]:
            reason = getattr(error, "reason", None) or one_line(error)
            raise ImageError(f"{url}: {reason}") from None
    raise ImageError(f"{url}: took longer than {seconds:g} s")


def _fetch(url: str, max_bytes: int) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "derain"})
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(request, timeout=SILENCE) as answer:
        size = answer.headers.get("Content-Length", "0")
        announced = int(size) if size.isdecimal() else 0
        data = answer.read(max_bytes + 1) if announced <= max_bytes else b""
    if max(announced, len(data)) > max_bytes:
        raise ValueError(f"larger than {max_bytes / 1e6:g} MB")
    return data
