"""What runs in a worker process: it decodes, restores and encodes what the server sends.

    python -m derain.serve.worker SETTINGS

SETTINGS is JSON, as `pool.py` writes it. Frames come on standard input and go to standard output.
The process ends when its input does, so none outlives its server.
"""

import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from derain.batch import UNCHANGED, BatchSettings, Cancelled, restore_data
from derain.io.formats import one_line
from derain.restore import RestoreOptions, Restorer, load
from derain.serve import frames
from derain.serve.settings import THREADS


class Notes(logging.Handler):
    """The library's warnings, by thread, so that each image gets its own."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._local = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning."""
        self._local.__dict__.setdefault("notes", []).append(record.getMessage())

    def take(self) -> list[str]:
        """What this thread has been warned of since it last asked."""
        return self._local.__dict__.pop("notes", [])


class Worker:
    """Networks, loaded once, and the images that they run on.

    Args:
        settings: As in `Settings`: model, device, engine, precision, memory, threads.
        output: Where frames go.
    """

    def __init__(self, settings: dict[str, Any], output: BinaryIO) -> None:
        self.settings, self._output, self.notes = settings, output, Notes()
        logging.getLogger("derain").addHandler(self.notes)
        self._writing, self._loading = threading.Lock(), threading.Lock()
        self._restorers: dict[str, Restorer] = {}
        self._stops: dict[str, threading.Event] = {}  # of the jobs at hand

    def run(self, source: BinaryIO) -> None:
        """Work on what comes until the input ends."""
        try:
            self.restorer(self.settings["model"])
        except (ValueError, OSError, ImportError) as error:
            self.send({"event": "broken", "why": one_line(error)})
            return
        self.send({"event": "ready"})
        with ThreadPoolExecutor(THREADS) as pool:
            while frame := frames.read(source):
                message, data = frame
                if message["do"] == "cancel":
                    if stop := self._stops.get(message["id"]):
                        stop.set()
                    continue
                self._stops[message["id"]] = threading.Event()
                pool.submit(self.restore, message, data)
                del frame, data
            for stop in list(self._stops.values()):
                stop.set()

    def send(self, message: frames.Message, data: bytes = b"") -> None:
        """Send one frame; threads take turns."""
        with self._writing:
            self._output.write(frames.pack(message, data))
            self._output.write(data)
            self._output.flush()

    def restorer(self, model: str) -> Restorer:
        """The network of a name, loaded when it is first asked for."""
        with self._loading:
            if model not in self._restorers:
                s = self.settings
                self._restorers[model] = load(
                    model, device=s["device"], engine=s["engine"], precision=s["precision"],
                    memory=s["memory"], threads=s["threads"],
                )  # fmt: skip
            return self._restorers[model]

    def restore(self, message: frames.Message, data: bytes) -> None:
        """Restore one image and send what became of it."""
        key = message["id"]
        self.notes.take()
        stop = self._stops[key]
        done, start = 0, time.perf_counter()

        def on_tile(fraction: float) -> None:
            nonlocal done
            if stop.is_set():
                raise Cancelled
            done = done + 1 if fraction else 0
            if done:
                self.send(
                    {"id": key, "event": "tile", "done": done, "total": round(done / fraction)}
                )

        try:
            options = RestoreOptions(scales=message["scales"], strength=message["strength"])
            settings = BatchSettings(
                quality=message["quality"], options=options, max_pixels=message["pixels"],
                rain_layer="instead" if message["rain_layer"] else "no",
            )  # fmt: skip
            restorer = self.restorer(message["model"])
            result = restore_data(
                data, message["name"], restorer, settings, message["format"], on_tile
            )
            image = result.image
            height, width = image.pixels.shape[:2]
            facts = {
                "seconds": round(time.perf_counter() - start, 3), "change": round(result.change, 3),
                "rain_found": result.change >= UNCHANGED, "width": width, "height": height,
                "format": image.format, "bits": 8 * image.pixels.itemsize,
                "exif": image.exif is not None, "icc": image.icc is not None,
                "model": restorer.record.name, "bytes": len(result.data),
                "notes": self.notes.take(),
            }  # fmt: skip
            self.send({"id": key, "event": "done", "facts": facts}, result.data)
        except Cancelled:
            self.send({"id": key, "event": "cancelled"})
        except MemoryError:
            self.send({"id": key, "event": "failed", "why": "too large for this machine's memory"})
        except Exception as error:
            self.send({"id": key, "event": "failed", "why": one_line(error)})
        finally:
            del self._stops[key]


def main() -> None:
    """Take the pipes and work; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Worker(json.loads(sys.argv[1]), output).run(sys.stdin.buffer)


if __name__ == "__main__":
    main()
