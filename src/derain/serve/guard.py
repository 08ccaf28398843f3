"""The guard before the application: who may ask, under which name, and what every answer carries.

A web page that somebody visits can send requests to servers on that person's machine. It does so
under its own origin, which browsers tell, or under a name of its own that it lets point here (DNS
rebinding), which the Host header tells. Programs send neither and are let through.
"""

import hashlib
import hmac
import ipaddress
import logging
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from derain.serve.metrics import Metrics
from derain.serve.problems import Problem

OPEN = ("/healthz", "/readyz")  # tell nothing, and are asked by what starts containers
LOGIN = "/login/"
METHODS = ("GET", "POST", "DELETE")  # that are counted by name
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

log = logging.getLogger(__name__)


class Names:
    """The names under which a server answers.

    Args:
        address: What it is bound to. On a loopback address it answers to that alone; on others to
            every address written as numbers, which no foreign name can stand for, and to this
            machine's name.
        more: Further names.
    """

    def __init__(self, address: str, more: tuple[str, ...] = ()) -> None:
        self._local = is_loopback(address)
        own = () if self._local else (socket.gethostname(), f"{socket.gethostname()}.local")
        self._names = {name.lower() for name in ("localhost", *own, *more)}

    def hold(self, host: str) -> bool:
        """Whether a Host header names this server; the port may be another one's, who forwards."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            found = ipaddress.ip_address(name)
        except ValueError:
            return False
        return found.is_loopback or not self._local


def is_loopback(address: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class Keys:
    """The token of a server, and what a browser has in its place.

    Args:
        token: What programs send as `Authorization: Bearer`.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._session = hmac.new(token.encode(), b"derain session", hashlib.sha256).hexdigest()
        self.login = secrets.token_urlsafe(18)  # the end of the link that works once

    def fit(self, headers: Headers, cookie: str) -> bool:
        """Whether a request shows the token, or the cookie that the link has set."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and same(shown.strip(), self._token):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(cookie)
        except CookieError:
            return False
        return found is not None and same(found.value, self._session)

    def use(self, login: str) -> str | None:
        """What the cookie holds, for the link's one visitor; the next one needs another link."""
        if not same(login, self.login):
            return None
        self.login = secrets.token_urlsafe(18)
        return self._session


def same(a: str, b: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))


class Guard:
    """ASGI middleware that checks every request and completes every answer.

    Args:
        app: What it guards.
        names: The names under which the server answers.
        keys: The token, if there is one.
        head_bytes: What a request's address and headers may have together.
        metrics: Where answers are counted.
    """

    def __init__(
        self, app: ASGIApp, names: Names, keys: Keys | None, head_bytes: int, metrics: Metrics
    ) -> None:
        self.app, self.names, self.keys = app, names, keys
        self.head_bytes, self.metrics = head_bytes, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                method = scope["method"] if scope["method"] in METHODS else "other"
                self.metrics.requests.labels(method, message["status"]).inc()
            await send(message)

        try:
            response = self._admit(scope)
        except Problem as problem:
            log.info("refused %s: %s", scope["client"] and scope["client"][0], problem.kind)
            response = problem.response()
        await (response or self.app)(scope, receive, complete)
        return None

    def _admit(self, scope: Scope) -> RedirectResponse | None:
        """None where a request may go on; else what answers it."""
        headers, path = Headers(scope=scope), scope["path"]
        # uvicorn stops at a head that is too long only where it comes in pieces.
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > self.head_bytes:
            raise Problem("long-head", f"More than {self.head_bytes} bytes of address and headers.")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.names.hold(hosts[0]):
            raise Problem("wrong-host", "Ask for it by its address, or start it with --allow-host.")
        self._check_origin(headers, scope, hosts[0])
        cookie = f"derain-{(scope['server'] or ('', 0))[1]}"  # browsers send cookies to every port
        if self.keys is None or path in OPEN or self.keys.fit(headers, cookie):
            return None
        if path.startswith(LOGIN) and scope["method"] == "GET":
            if session := self.keys.use(path.removeprefix(LOGIN)):
                log.warning("the link was used; the next one ends in %s%s", LOGIN, self.keys.login)
                response = RedirectResponse("/", 303)
                response.set_cookie(cookie, session, httponly=True, samesite="strict")
                return response
            raise Problem("no-token", "This link was used, or never worked; the server has printed "
                          "another.", {"WWW-Authenticate": "Bearer"})  # fmt: skip
        raise Problem("no-token", "Open the link that the server has printed, or send its token as "
                      "Authorization: Bearer.", {"WWW-Authenticate": "Bearer"})  # fmt: skip

    def _check_origin(self, headers: Headers, scope: Scope, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise Problem("cross-site", "The request comes from a page of another origin.")
        site = headers.get("sec-fetch-site", "none")
        opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not opened:
            raise Problem("cross-site", "The request comes from a page of another site.")
