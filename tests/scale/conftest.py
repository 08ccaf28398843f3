"""An S3 server on the loopback that is busy now and then."""

import itertools
import threading

import pytest

BUSY = 9  # one request of so many is refused


def busy(app):
    """A server that answers 503 to one request of ``BUSY``."""
    numbers = itertools.count(1)
    error = (
        b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    )

    def answer(environ, start_response):
        if next(numbers) % BUSY:
            return app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [error]

    return answer


@pytest.fixture(scope="module")
def s3():
    """The URL of a bucket on a server of this process; its address is in the environment."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server")
    serving = pytest.importorskip("werkzeug.serving")
    app = busy(server.DomainDispatcherApplication(server.create_backend_app))
    running = serving.make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        import fsspec

        system = fsspec.filesystem("s3", use_listings_cache=False)
        system.mkdir("images")
        yield "s3://images"
    running.shutdown()
