"""The user's cache: what may be deleted at any time, and is made or fetched again."""

import sys
from pathlib import Path


def user_cache() -> Path:
    """The part of the user's cache that is derain's; it need not be there.

    Raises:
        RuntimeError: The user has no home folder.
    """
    if sys.platform == "win32":
        base = Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "derain"
