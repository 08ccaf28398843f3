"""OpenVINO without the telemetry of its maker; derain imports OpenVINO here and nowhere else.

`import openvino` reports itself to Google Analytics, from a process that it forks and that may
hang, and keeps an identity of the machine in ~/intel. Its own way out that leaves the user's
settings alone is a missing package openvino_telemetry, so for the time of the import it is missing.
"""

import sys

_TELEMETRY = "openvino_telemetry"

_found = sys.modules.get(_TELEMETRY)
sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # Python's mark for "not there"
try:
    import openvino
    import openvino.passes
finally:
    del sys.modules[_TELEMETRY]
    if _found is not None:
        sys.modules[_TELEMETRY] = _found

__all__ = ["openvino"]
