"""OpenVINO without the telemetry of its maker; derain imports OpenVINO here and nowhere else.

`import openvino` reports itself to Google Analytics, from a process that it forks and that may
hang, and keeps an identity of the machine in ~/intel. Its own way out that leaves the user's
settings alone is a missing package openvino_telemetry, so for the time of the import it is missing.

So is its model converter, a third of the time of the import, until somebody asks for it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TELEMETRY, _CONVERTER = "openvino_telemetry", "openvino.tools.ovc"


@contextmanager
def _missing(*names: str) -> Iterator[None]:
    """Let modules be as if they were not installed."""
    found = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's mark for "not there"
    try:
        yield
    finally:
        for name, module in found.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


with _missing(_TELEMETRY, _CONVERTER):
    import openvino
    import openvino.passes


def _convert_model(name: str) -> Any:
    """What `import openvino` would have brought, for others in this process who want it."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    with _missing(_TELEMETRY):
        from openvino.tools.ovc import convert_model
    return convert_model


if not hasattr(openvino, "convert_model"):  # nobody imported it before
    openvino.__dict__["__getattr__"] = _convert_model

__all__ = ["openvino"]
