"""Write a file whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file. Errors as of ``atomic_file``."""
    with atomic_file(path) as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that has a temporary name in the same folder until the block has ended.

    It is on the disk before it is renamed, and gone if the block raises.

    The file gets the permissions that any new file gets.

    Raises:
        OSError: The folder cannot be written to or the disk is full; nothing is left behind.
    """
    # Not the file's own name, which may be as long as the system allows.
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        # The system applies the umask itself; reading it from Python would change it meanwhile
        # for every thread.
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError, AttributeError):  # Windows cannot open folders
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
