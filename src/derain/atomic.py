"""Write a file whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name in the same folder, then rename.

    Raises:
        OSError: The folder cannot be written to or the disk is full; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".partial", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)  # mkstemp's own mode is for its owner alone
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
