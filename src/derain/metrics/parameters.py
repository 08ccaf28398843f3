"""The parameter files of NIQE and SSEQ: where they are looked for, checked, read and fetched.

Both were trained by LIVE (University of Texas at Austin), who allow their use and redistribution
as long as the notice is kept and the papers are cited; `derain` does not ship them. The sha256
values are those of the authors' releases. Reading needs SciPy: they are MATLAB files.
"""

import hashlib
import io
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.io.cache import user_cache

ENVIRONMENT_VARIABLE = "DERAIN_IQA_DIR"


class ParametersError(RuntimeError):
    """A parameter file is absent, damaged or unreadable; the one-line message says the way out."""


@dataclass(frozen=True)
class ParameterFile:
    """One file of an authors' release, pinned to a commit and to its content."""

    name: str  # as stored by derain; the releases' own names are too general to share a folder
    url: str
    sha256: str


FILES = {
    "niqe": ParameterFile(
        "niqe_modelparameters.mat",
        "https://raw.githubusercontent.com/utlive/niqe/"
        "d80aead297ff48b0254c39806f3a277b3ecbfc8d/modelparameters.mat",
        "fa2aa4d12dd9595c3fb6bf8b4e1a15c79d5d1469238d0901c88dead195be578d",
    ),
    "sseq": ParameterFile(
        "sseq_model.mat",
        "https://raw.githubusercontent.com/utlive/SSEQ/"
        "21e98c951d2bc834388d86e18d0fb34f27b612e7/model.mat",
        "69c1472fbabb10714ecea21cebbf84c08580cacb4bb9858a8a231aabf124561e",
    ),
}


def cache_folder() -> Path:
    """Return the folder that `fetch_parameters` fills: derain's part of the user's cache."""
    return user_cache() / "iqa"


def search_folders() -> list[Path]:
    """Return where files are looked for unless the caller says where: environment, then cache.

    The only place of this room that reads the environment.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    return [*([Path(chosen)] if chosen else []), cache_folder()]


def find_parameters(metric: str, source: Path | None = None) -> Path:
    """Find a metric's parameter file.

    Args:
        metric: `niqe` or `sseq`.
        source: The file itself or the folder that holds it; None looks in `search_folders`.

    Raises:
        ParametersError: It is not there; the message says how to get it.
    """
    file = FILES[metric]
    if source is not None and source.is_file():
        return source
    folders = search_folders() if source is None else [source]
    for folder in folders:
        if (folder / file.name).is_file():
            return folder / file.name
    raise ParametersError(
        f"{metric} needs {file.name}, not found in {' or '.join(map(str, folders))}: "
        f'derain.metrics.fetch_parameters("{metric}") downloads it; or save {file.url} '
        f"under that name and set {ENVIRONMENT_VARIABLE} to its folder"
    )


def load_parameters(metric: str, path: Path) -> dict[str, Any]:
    """Read a parameter file after checking its content.

    Returns:
        The MATLAB variables by name.

    Raises:
        ParametersError: Unreadable, or not the authors' file, or SciPy is not installed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ParametersError(f"{metric}: cannot read {path}: {error.strerror}") from error
    _check(metric, content, str(path))
    try:
        from scipy.io import loadmat  # here, because a plain install of derain has no SciPy
    except ModuleNotFoundError:
        message = f"{metric}: reading {path.name} needs `pip install derain[eval]`"
        raise ParametersError(message) from None
    return loadmat(io.BytesIO(content), squeeze_me=True)


def fetch_parameters(metric: str, folder: Path | None = None, timeout: float = 30) -> Path:
    """Download a metric's parameter file from its authors' repository, on request only.

    Args:
        metric: `niqe` or `sseq`.
        folder: Where to put it; None is the user's cache, where `find_parameters` looks.
        timeout: Seconds to wait for an answer.

    Returns:
        The path of the file, checked; an intact one that is already there is kept.

    Raises:
        ParametersError: The download failed, its content is another, or it cannot be written.
    """
    file = FILES[metric]
    target = (folder or cache_folder()) / file.name
    if target.is_file() and _sha256(target.read_bytes()) == file.sha256:
        return target
    try:
        with urllib.request.urlopen(file.url, timeout=timeout) as answer:
            content = answer.read()
    except OSError as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", error)
        raise ParametersError(
            f"{metric}: cannot download {file.url} ({reason}); get it another way, "
            f"save it as {target}"
        ) from error
    _check(metric, content, file.url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")  # never a half-written file in place
        part.write_bytes(content)
        part.replace(target)
    except OSError as error:
        raise ParametersError(f"{metric}: cannot write {target}: {error.strerror}") from error
    return target


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(metric: str, content: bytes, origin: str) -> None:
    if _sha256(content) != FILES[metric].sha256:
        raise ParametersError(
            f"{metric}: {origin} is not the authors' parameter file (its sha256 differs); "
            f"remove it and download {FILES[metric].url}"
        )
