"""The server process: uvicorn with time limits of its own, from its start to its orderly end."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from derain.serve.api import Site
from derain.serve.app import create_app
from derain.serve.guard import LOGIN, Keys, Names, is_loopback
from derain.serve.pages import Files
from derain.serve.schemas import Model
from derain.serve.service import Service
from derain.serve.settings import Limits, Settings
from derain.weights.catalog import WEIGHTS
from derain.weights.headers import read_record

BACKLOG = 256  # connections that wait to be accepted
SHORTEST_TOKEN = 16  # characters
IN_USE = (errno.EADDRINUSE, errno.EACCES)

log = logging.getLogger(__name__)


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 8000,
    on_start: Callable[[str, str | None], None] = lambda address, login: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: How the server runs.
        host: The address to listen on.
        port: The port; 0 for any that is free.
        on_start: Called when it listens, with its address and the link that lets one browser in.

    Raises:
        ValueError: The port is in use, the token is too short, or the model or device is not there.
    """
    if settings.token is not None and len(settings.token) < SHORTEST_TOKEN:
        raise ValueError(f"a token must have at least {SHORTEST_TOKEN} characters")
    models = list_models(settings.model)
    listening = listen(host, port)
    names = Names(host, settings.hosts)
    keys = Keys(settings.token) if settings.token else None
    address = f"http://{shown(host)}:{listening.getsockname()[1]}"

    async def main() -> None:
        service = Service(settings, {model.name: source for model, source in models})
        site = Site(service, [model for model, _ in models], Files())
        app = create_app(site, names, keys)
        server = Server(config(app, settings.limits), service)
        working = asyncio.create_task(service.run())
        working.add_done_callback(lambda task: setattr(server, "should_exit", True))
        on_start(f"{address}/", f"{address}{LOGIN}{keys.login}" if keys else None)
        await server.serve([listening])
        if not working.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    asyncio.run(main())


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address.

    Raises:
        ValueError: It is in use, or not this machine's; says so.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        code = error.errno or 0  # below 0 where a name leads nowhere
        reason = os.strerror(code) if code > 0 else error.strerror
        hint = "; choose another --port, or 0 for any" if code in IN_USE else ""
        raise ValueError(f"cannot listen on {host}, port {port}: {reason}{hint}") from None
    found.setblocking(False)
    return found


def shown(host: str) -> str:
    """An address to listen on as a browser on this machine is told it."""
    if is_loopback(host):
        return f"[{host}]" if ":" in host else host
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def list_models(model: str) -> list[tuple[Model, str]]:
    """The models that clients may name, the server's own first, and what `derain.load` takes.

    Raises:
        ValueError: Neither a known name nor a model file.
    """
    found = {}
    for name in dict.fromkeys((model, *WEIGHTS)):
        weights = WEIGHTS.get(name)
        file = weights.file(".onnx") if weights else Path(name)
        if not file.is_file():
            raise ValueError(
                f"{name}: neither a model file nor a known name ({', '.join(WEIGHTS)})"
            )
        record = read_record(file)
        about = weights.about if weights else "from a file"
        found.setdefault(
            record.name,
            (
                Model(
                    name=record.name, about=about, parameters=record.parameters,
                    licence=record.licence, trained_on=record.trained_on,
                ),
                name,
            ),
        )  # fmt: skip
    return list(found.values())


def config(app: Any, limits: Limits) -> uvicorn.Config:
    """How uvicorn runs: no access log, no websockets, no trust in forwarded addresses."""
    protocol = type("LimitedProtocol", (Protocol,), {"limits": limits})
    return uvicorn.Config(
        app, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=limits.head_bytes, timeout_graceful_shutdown=5,
    )  # fmt: skip


class Protocol(H11Protocol):
    """HTTP/1.1 that does not wait for clients for ever.

    uvicorn has no limit for the time in which a request's head arrives, for a body that goes on
    after its answer, and for an answer that is not read.
    """

    limits: Limits  # set by `config`, as uvicorn makes an object of the class for each connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        """Expect the head of a request."""
        super().connection_made(transport)
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take data in; a head that has begun, or a body that is not wanted, has to end soon."""
        super().data_received(data)
        answered = self.cycle is not None and self.cycle.response_complete
        if self.conn.their_state is h11.IDLE or answered:
            self._expect()
        elif self._late:
            self._late.cancel()
            self._late = None

    def _expect(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.limits.head, self.transport.abort)

    def pause_writing(self) -> None:
        """Wait a while for a client that does not read."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.limits.patience, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client reads."""
        super().resume_writing()
        if self._stuck:
            self._stuck.cancel()
            self._stuck = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its client does not take the rest."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.limits.patience, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        for timer in (self._late, self._stuck):
            if timer:
                timer.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn that ends in order: at the first signal it finishes what runs, at a second it stops.

    Args:
        config: How it runs.
        service: What is drained.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end."""
        if self.service.draining or not self.started:
            super().handle_exit(sig, frame)
            return
        self.service.begin_to_drain()
        loop = self.servers[0].get_loop()
        loop.call_soon_threadsafe(lambda: loop.create_task(self._drain()))

    async def _drain(self) -> None:
        log.warning("stopping: finishing what runs, refusing the rest")
        await self.service.drain()
        self.should_exit = True
