"""The files of the page, and the page that documents the API; all of them lie in the package."""

import hashlib
import json
import mimetypes
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from derain.serve.problems import KINDS, Problem

PAGE = "page"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".svg": "image/svg+xml"}


class Files:
    """Every file that the server gives away, read once: names from outside are looked up, no more.

    The keys are paths in addresses: ``/``, ``/page/style.css``, ``/example.jpg``.
    """

    def __init__(self) -> None:
        here = resources.files("derain.serve")
        self._files = {f"/{name}": file.read_bytes() for name, file in _walk(here / PAGE, PAGE)}
        self._files["/example.jpg"] = (here / "example.jpg").read_bytes()
        if index := self._files.get(f"/{PAGE}/index.html"):
            self._files["/"] = index

    def response(self, request: Request) -> Response:
        """The file of a request's path; 304 where the browser has it.

        Raises:
            Problem: There is none.
        """
        path = request.url.path
        if path not in self._files:
            raise Problem("not-found", "No such file.")
        data = self._files[path]
        tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        name = "index.html" if path == "/" else path
        suffix = f".{name.rpartition('.')[2]}"
        kind = TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(data, media_type=kind, headers=headers)


def _walk(folder: Traversable, name: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in folder.iterdir():
        inside = f"{name}/{entry.name}"
        found += _walk(entry, inside) if entry.is_dir() else [(inside, entry)]
    return found


def documentation(schema: dict[str, Any]) -> str:
    """The page `/docs`, made from the OpenAPI document; it needs no script and no network."""
    parts = [
        f"<h1>{escape(schema['info']['title'])} {escape(schema['info']['version'])}</h1>",
        f"<p>{escape(schema['info']['description'])}</p>",
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
    ]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(f"{method.upper()} {path}", operation))
    rows = "".join(
        f'<tr id="{name}"><td><code>{name}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title)}</td></tr>"
        for name, kind in KINDS.items()
    )
    parts.append(
        "<h2>Problems</h2><p>What goes wrong is said as application/problem+json (RFC 9457); "
        "<code>type</code> leads to a row of this table.</p><table><thead><tr><th>Problem</th>"
        f"<th>Status</th><th>Meaning</th></tr></thead><tbody>{rows}</tbody></table>"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<title>derain: API</title><link rel="stylesheet" href="/page/docs.css"></head>'
        f"<body><main>{''.join(parts)}</main></body></html>"
    )


def _operation(title: str, operation: dict[str, Any]) -> str:
    summary, _, description = operation.get("description", "").partition("\n\n")
    text = f"<h2><code>{escape(title)}</code></h2><p>{escape(summary)}</p>"
    text += "".join(f"<p>{escape(part)}</p>" for part in description.split("\n\n") if part)
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}</td>"
        f"<td>{escape(each.get('description', ''))}</td>"
        f"<td><code>{escape(json.dumps(each['schema'].get('default')))}</code></td></tr>"
        for each in operation.get("parameters", [])
    )
    if rows:
        head = "<th>Parameter</th><th>In</th><th>Meaning</th><th>Default</th>"
        text += f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if body := operation.get("requestBody"):
        text += f"<p>Body: <code>{escape(', '.join(body['content']))}</code></p>"
    answers = ", ".join(
        f"{status} {answer.get('description', '')}"
        for status, answer in operation["responses"].items()
    )
    return f"{text}<p>Answers: {escape(answers)}</p>"
