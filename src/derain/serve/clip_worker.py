"""What runs in the process of a clip: it reads, restores and writes the one that the server sends.

    python -m derain.serve.clip_worker SETTINGS

SETTINGS is JSON, as `clips.py` writes it. Everything lies in one folder, which the server deletes,
and which this process deletes where the server is gone.
"""

import json
import os
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from derain import video
from derain.batch import UNCHANGED
from derain.io.clips import HEAD, clip_suffix
from derain.io.formats import one_line
from derain.restore import RestoreOptions, load
from derain.serve import frames
from derain.serve.jobs import FULL, no_space
from derain.serve.settings import ClipLimits
from derain.video.clip import open_clip, open_container

PART = 1 << 18  # bytes of the result at a time


class TooLarge(Exception):
    """The clip is more than the server takes; says what."""


class ClipWorker:
    """One clip.

    Args:
        settings: What `clips.py` and `service.py` say of it.
        output: Where frames of the protocol go.
    """

    def __init__(self, settings: dict[str, Any], output: BinaryIO) -> None:
        self.settings, self._output = settings, output
        self.limits = ClipLimits(**settings["limits"])
        self.folder = Path(settings["folder"])
        self.start = time.perf_counter()
        self.first: float | None = None  # when the first frame was done

    def run(self, source: BinaryIO) -> None:
        """Receive it, restore it, send it."""
        try:
            clip = self._receive(source)
            threading.Thread(target=self._guard, daemon=True).start()
            self._check(clip)
            target = clip.with_stem("result")
            facts = self._restore(clip, target)
            with target.open("rb") as file:
                while data := file.read(PART):
                    self.send("part", data)
            self.send("done", facts=facts)
        except TooLarge as error:
            self.send("failed", kind="too-large", why=str(error))
        except OSError as error:
            if error.errno in FULL:
                self.send("failed", kind="no-space", why=no_space().detail)
            else:
                self.send("failed", why=self._plain(error))
        except MemoryError:
            self.send("failed", why="too large for this machine's memory")
        except Exception as error:
            self.send("failed", why=self._plain(error))

    def send(self, event: str, data: bytes = b"", **facts: Any) -> None:
        """Send one frame."""
        self._output.write(frames.pack({"event": event, **facts}, data))
        self._output.write(data)
        self._output.flush()

    def _receive(self, source: BinaryIO) -> Path:
        arriving = self.folder / "arriving"
        with arriving.open("wb") as file:
            while frame := frames.read(source):
                message, data = frame
                if message["do"] == "go":
                    break
                file.write(data)
            else:
                raise SystemExit  # the server is gone, and with it the folder's owner
        with arriving.open("rb") as file:
            suffix = clip_suffix(file.read(HEAD))
        return arriving.rename(self.folder / f"clip{suffix or '.mp4'}")

    def _guard(self) -> None:
        """End when the server does."""
        os.read(sys.stdin.fileno(), 1)  # past Python's own buffer, whose lock would outlive this
        shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(1)

    def _check(self, path: Path) -> None:
        """Refuse what is known to be too much before a frame is decoded."""
        limits = self.limits
        with open_container(path) as container:
            for stream in container.streams.video:
                context = stream.codec_context
                if context and context.width * context.height > limits.pixels:
                    raise TooLarge(
                        f"frames of {context.width}x{context.height} are over the limit of "
                        f"{limits.pixels / 1e6:g} megapixels"
                    )
            seconds = (container.duration or 0) / 1e6
        if seconds > limits.seconds:
            raise TooLarge(f"{seconds:.0f} s are over the limit of {limits.seconds:g} s")
        with open_clip(path, limits.pixels) as clip:
            self._count(clip.expected)

    def _count(self, found: int) -> None:
        if found > self.limits.frames:
            raise TooLarge(f"{found} frames are over the limit of {self.limits.frames}")

    def _restore(self, clip: Path, target: Path) -> dict[str, Any]:
        s = self.settings
        restorer = load(
            s["model"], device=s["device"], engine=s["engine"], precision=s["precision"],
            memory=s["memory"],
        )  # fmt: skip
        options = RestoreOptions(scales=s["scales"], strength=s["strength"])
        how = video.VideoSettings(
            quality=s["quality"], max_pixels=self.limits.pixels, options=options
        )
        report = video.restore(clip, target, restorer, how, on_frame=self._progress)
        height, width = report.size
        return {
            "seconds": round(time.perf_counter() - self.start, 3),
            "change": round(report.change, 3), "rain_found": report.change >= UNCHANGED,
            "width": width, "height": height, "frames": report.frames,
            "format": target.suffix[1:].upper(), "model": restorer.record.name,
            "bytes": target.stat().st_size,
            "notes": [self._plain(problem) for problem in report.problems],
        }  # fmt: skip

    def _progress(self, progress: video.Progress) -> None:
        self._count(progress.done)
        used = sum(file.stat().st_size for file in self.folder.rglob("*.segment"))
        if used > self.settings["reserved"]:
            raise TooLarge(f"its result has more than {self.settings['reserved'] / 1e6:g} MB")
        now = time.perf_counter()
        self.first = self.first or now  # reading on ahead and loading the network are no measure
        each = (now - self.first) / max(progress.done - 1, 1)
        left = round(each * (progress.total - progress.done), 1) if progress.done > 1 else None
        self.send("frame", done=progress.done, total=progress.total, left=left)

    def _plain(self, error: object) -> str:
        """A message without the names of the folder."""
        text = one_line(error) if isinstance(error, Exception) else str(error)
        return re.sub(rf"{re.escape(str(self.folder))}[/\\][\w.]+: ?", "", text)


def main() -> None:
    """Take the pipes and work; what libraries print goes nowhere: a clip could fill a log."""
    output = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    ClipWorker(json.loads(sys.argv[1]), output).run(sys.stdin.buffer)


if __name__ == "__main__":
    main()
