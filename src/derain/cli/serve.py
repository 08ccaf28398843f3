"""`derain serve`: a page and an API on this machine."""

import os
import secrets
import sys
import webbrowser
from typing import Annotated

import typer

from derain.weights.catalog import DEFAULT


def serve(
    host: Annotated[
        str,
        typer.Option(
            help="Listen on this address. The default is reached from this machine alone; "
            "0.0.0.0 is reached from the whole network and needs a token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Listen on this port; 0 takes any that is free.")
    ] = 8000,
    model: Annotated[
        str, typer.Option(help="Use this model unless a client names another: a name or a file.")
    ] = DEFAULT,
    device: Annotated[
        str, typer.Option(metavar="DEVICE", help="Run on this device; auto takes a GPU.")
    ] = "auto",
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="Run with this engine.")] = "auto",
    precision: Annotated[
        str, typer.Option(metavar="PRECISION", help="Compute in this precision.")
    ] = "auto",
    memory: Annotated[
        str | None, typer.Option(help="Use at most this much memory for an image, such as 2GB.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Restore in this many processes.")
    ] = 1,
    queue: Annotated[
        int, typer.Option(min=1, help="Let at most this many images wait or run.")
    ] = 64,
    jobs: Annotated[
        int, typer.Option(min=1, help="Let at most this many images of one client wait or run.")
    ] = 32,
    max_bytes: Annotated[
        str, typer.Option(help="Refuse uploads larger than this, such as 64MB.")
    ] = "64MB",
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Refuse images of more pixels than this.")
    ] = 100_000_000,
    quality: Annotated[
        int, typer.Option(min=1, max=100, help="Set the quality of JPEG, WebP and AVIF.")
    ] = 95,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="DERAIN_TOKEN",
            help="Ask clients for this token. Without it one is made where --host needs one. "
            "Other users of this machine can read a command line, so prefer the variable.",
        ),
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let everybody in who reaches the address.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Answer under this name too, such as that of a proxy."),
    ] = None,
    open: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser. The default is yes on a desktop: at a terminal with "
            "a display, not over SSH, and on an address of this machine alone.",
        ),
    ] = None,
    log_names: Annotated[
        bool, typer.Option("--log-names", help="Write the names of images into the log.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Say what becomes of each image.")
    ] = False,
) -> None:
    """Serve a page and an API that remove rain, on this machine.

    Ctrl-C or SIGTERM finishes images that run and ends a clip; a second one stops at once.
    """
    from derain.cli.console import log_to_terminal, note
    from derain.memory import parse_bytes
    from derain.serve.guard import is_loopback
    from derain.serve.server import serve as run
    from derain.serve.settings import Limits, Settings

    if token and no_token:
        raise ValueError("--token and --no-token exclude each other")
    local = is_loopback(host)
    if not local and not no_token:
        token = token or secrets.token_urlsafe(24)
    limits = Limits(bytes=parse_bytes(max_bytes), pixels=max_pixels, queue=queue, jobs=jobs)
    settings = Settings(
        model, device, engine, precision, memory, workers, quality, token or None,
        tuple(allow_host or ()), log_names, limits,
    )  # fmt: skip

    def started(address: str, login: str | None) -> None:
        note(f"serving on {address}  (Ctrl-C stops)")
        if login:
            note(f"this link lets one browser in: {login}")
            note(f"programs send: Authorization: Bearer {token}")
        elif not local:
            note("warning: everybody who reaches this address may use it")
        if open if open is not None else local and is_desktop():
            webbrowser.open(login or address)

    log_to_terminal(verbose or log_names)
    run(settings, host, port, started)


def is_desktop() -> bool:
    """Whether somebody sits before a browser here."""
    if not (sys.stderr and sys.stderr.isatty()) or "SSH_CONNECTION" in os.environ:
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
