"""A client of `derain serve`.

    from derain.client import Client

    with Client("http://127.0.0.1:8000") as server:
        clean = server.restore("photo.jpg", strength=0.8)  # the bytes of an image file

It needs httpx, `pip install "derain[client]"`, and no other part of derain.
"""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx

from derain import __version__

PATIENCE = 120.0  # seconds for which a busy server is asked again
LONGEST = 3600.0  # seconds that an image may take
RECONNECTIONS = 5  # of a stream of events


class ServerProblem(Exception):
    """What the server says is wrong (RFC 9457).

    Attributes:
        status: The HTTP status.
        kind: Such as ``busy``, ``too-large``, ``bad-image``; `/docs` of the server lists them.
        detail: A sentence on this occurrence.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.status = int(document.get("status", 500))
        self.kind = str(document.get("type", "")).rpartition("#")[2]
        self.detail = str(document.get("detail", ""))
        super().__init__(f"{document.get('title', 'Problem')}: {self.detail}")


class ServerEvent(NamedTuple):
    """Something that happened to a job: queued, running, tile, frame, done or failed."""

    name: str
    data: dict[str, Any]


class RemoteJob:
    """An image or a clip in the queue of a server.

    Args:
        client: The connection to the server.
        accepted: What the server answered.
    """

    def __init__(self, client: "Client", accepted: dict[str, Any]) -> None:
        self.id, self.position = accepted["id"], accepted["position"]
        self._client = client
        self._path, self._events = f"/v1/jobs/{self.id}", accepted["events"]

    def events(self) -> Iterator[ServerEvent]:
        """Follow the job to its end; a lost connection is made again where it broke."""
        last, lost = "", 0
        while True:
            try:
                for number, event in self._client.stream(self._events, last):
                    last, lost = number, 0
                    yield event
                    if event.name in ("done", "failed"):
                        return
                error: httpx.TransportError = httpx.RemoteProtocolError("the events ended early")
            except httpx.TransportError as broken:
                error = broken
            lost += 1
            if lost > RECONNECTIONS:
                raise error
            time.sleep(0.2 * lost)

    def result(self) -> bytes:
        """Wait for the end, and fetch the result.

        Raises:
            ServerProblem: The job failed.
        """
        self._finish()
        return self._client.request("GET", f"{self._path}/result").content

    def save(self, path: str | Path) -> None:
        """Wait for the end, and write the result to a file, which is whole or not there.

        Raises:
            ServerProblem: The job failed.
            OSError: The file cannot be written.
        """
        self._finish()
        path = Path(path)
        partial = path.with_name(f".{secrets.token_hex(8)}.partial")
        try:
            with partial.open("xb") as file:
                for chunk in self._client.fetch(f"{self._path}/result"):
                    file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _finish(self) -> None:
        for event in self.events():
            if event.name == "failed":
                raise ServerProblem(event.data)

    def cancel(self) -> None:
        """End the job, or forget its result."""
        self._client.request("DELETE", self._path)


class Client:
    """A server's clients take turns: each `Client` is one.

    Args:
        address: Where the server listens.
        token: What the server asks for, if it does.
        patience: Seconds for which a busy server is asked again.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        token: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        headers = {"User-Agent": f"derain-client/{__version__} {secrets.token_hex(4)}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(30.0, read=LONGEST)
        self._http = httpx.Client(base_url=address, headers=headers, timeout=timeout)
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> dict[str, Any]:
        """The models, limits and formats of the server."""
        return self.request("GET", "/v1/models").json()

    def restore(
        self,
        image: str | Path | bytes,
        *,
        model: str | None = None,
        strength: float = 1.0,
        format: str | None = None,
        scales: str = "auto",
        rain_layer: bool = False,
    ) -> bytes:
        """Remove the rain from an image, and wait for the result.

        Args:
            image: A path, or the bytes of an image file.
            model: A name of `models`; None for the server's default.
            strength: 0..1.5, as `derain restore --strength`.
            format: Such as ``png``; None for the image's own.
            scales: As `derain restore --scales`.
            rain_layer: Whether to return the rain that was taken away instead.

        Returns:
            The bytes of an image file.

        Raises:
            ServerProblem: The server refuses or fails; says why.
            httpx.TransportError: It cannot be reached.
        """
        options = _query(model, strength, format, scales, rain_layer)
        return self._send("/v1/restore", image, options).content

    def submit(
        self,
        image: str | Path | bytes,
        *,
        model: str | None = None,
        strength: float = 1.0,
        format: str | None = None,
        scales: str = "auto",
        rain_layer: bool = False,
    ) -> RemoteJob:
        """Put an image or a clip into the queue.

        Arguments and errors as of `restore`; a clip takes neither `format` nor `rain_layer`.
        """
        options = _query(model, strength, format, scales, rain_layer)
        return RemoteJob(self, self._send("/v1/jobs", image, options).json())

    def _send(
        self, path: str, image: str | Path | bytes, options: dict[str, str]
    ) -> httpx.Response:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        headers = {"Content-Type": "application/octet-stream"}
        return self.request("POST", path, params=options, content=data, headers=headers)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the server, again while it is busy.

        Raises:
            ServerProblem: It answers with a problem.
        """
        end = time.monotonic() + self._patience
        while True:
            response = self._http.request(method, path, **options)
            if response.is_success:
                return response
            pause = float(response.headers.get("retry-after", 1))
            if response.status_code != 429 or time.monotonic() + pause > end:
                raise _problem(response)
            time.sleep(pause)

    def fetch(self, path: str) -> Iterator[bytes]:
        """The body of an answer, piece by piece.

        Raises:
            ServerProblem: The answer is a problem.
        """
        with self._http.stream("GET", path) as response:
            if not response.is_success:
                response.read()
                raise _problem(response)
            yield from response.iter_bytes()

    def stream(self, path: str, last: str = "") -> Iterator[tuple[str, ServerEvent]]:
        """Server-sent events with their numbers, those after `last`."""
        headers = {"Last-Event-ID": last} if last else {}
        timeout = httpx.Timeout(30.0, read=60.0)  # the server gives a sign of life more often
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if not response.is_success:
                response.read()
                raise _problem(response)
            fields: dict[str, str] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields and not line:
                    yield fields["id"], ServerEvent(fields["event"], json.loads(fields["data"]))
                    fields = {}


def _query(
    model: str | None, strength: float, format: str | None, scales: str, rain_layer: bool
) -> dict[str, str]:
    asked = {"model": model, "format": format}
    query = {name: value for name, value in asked.items() if value is not None}
    return query | {
        "strength": str(strength), "scales": scales, "rain_layer": str(rain_layer).lower()
    }  # fmt: skip


def _problem(response: httpx.Response) -> ServerProblem:
    try:
        document = response.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict) or "title" not in document:
        document = {"status": response.status_code, "title": response.reason_phrase}
    return ServerProblem(document)
