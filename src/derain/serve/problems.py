"""Problem documents (RFC 9457): the one form in which the server says that something went wrong."""

from typing import Any, NamedTuple

from starlette.responses import JSONResponse


class Kind(NamedTuple):
    """A kind of problem."""

    status: int  # HTTP
    title: str


KINDS = {
    "bad-request": Kind(400, "The request cannot be understood"),
    "no-token": Kind(401, "This server needs a token"),
    "cross-site": Kind(403, "Another web site may not use this server"),
    "not-found": Kind(404, "There is nothing here"),
    "wrong-method": Kind(405, "This address takes other methods"),
    "too-slow": Kind(408, "The upload took too long"),
    "not-finished": Kind(409, "The job is not finished"),
    "cancelled": Kind(410, "The job was cancelled"),
    "too-large": Kind(413, "The upload is too large"),
    "not-an-image": Kind(415, "This is nothing that derain reads"),
    "no-such-part": Kind(416, "The result has no such part"),
    "wrong-host": Kind(421, "This server does not answer under this name"),
    "bad-image": Kind(422, "The image or clip cannot be restored"),
    "bad-option": Kind(422, "An option is not possible"),
    "busy": Kind(429, "The queue is full"),
    "long-head": Kind(431, "The address or the headers are too long"),
    "internal": Kind(500, "The server made a mistake"),
    "stopping": Kind(503, "The server is stopping"),
    "no-space": Kind(507, "The server's disk is full"),
    "not-ready": Kind(503, "The server is not ready"),
}


class Problem(Exception):
    """A request or a job that fails, and why.

    Args:
        kind: A key of `KINDS`.
        detail: One sentence on this occurrence, with the way out.
        headers: HTTP headers that belong to it.
    """

    def __init__(self, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers = kind, detail, headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind].status

    def document(self) -> dict[str, Any]:
        """The members of RFC 9457; `type` leads to the documentation."""
        status, title = KINDS[self.kind]
        return {
            "type": f"/docs#{self.kind}", "title": title, "status": status, "detail": self.detail
        }  # fmt: skip

    def response(self) -> JSONResponse:
        """The answer to a request that fails."""
        return JSONResponse(
            self.document(), self.status, self.headers, media_type="application/problem+json"
        )
