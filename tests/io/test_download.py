"""An address cannot keep derain waiting, fill its memory or lead it into one's own network."""

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from derain.io.download import download
from derain.io.formats import ImageError


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        if self.path == "/announced":
            self.send_header("Content-Length", "1000000000")
        self.end_headers()
        try:
            for _ in range(100 if self.path == "/slow" else 3):
                self.wfile.write(bytes(1000))
                time.sleep(0.1 if self.path == "/slow" else 0)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def base() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_what_an_address_sends(base: str) -> None:
    assert download(f"{base}/x") == bytes(3000)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/slow", r"/slow: took longer than 1 s"),
        ("/announced", r"/announced: larger than 0.01 MB"),
        ("/slow?", r"/slow\?: larger than 0.002 MB"),
        ("/to/http://127.0.0.1/x", r"redirects to a private address, 127.0.0.1"),
        ("/to/http://192.168.0.1/x", r"redirects to a private address, 192.168.0.1"),
        ("/to/http://[::1]/x", r"redirects to a private address, ::1"),
        ("/to/ftp://example.org/x", r"redirects to ftp:"),
        ("/to/file:///etc/passwd", r"not allowed"),
    ],
)
def test_limits(base: str, path: str, words: str) -> None:
    limit = 2000 if path == "/slow?" else 10_000
    with pytest.raises(ImageError, match=words) as caught:
        download(base + path, seconds=1, max_bytes=limit)
    assert str(caught.value).startswith(base)
