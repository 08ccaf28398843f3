"""Finished parts of a clip, kept beside the result until it is whole.

A segment is one file: a line of JSON that says what its packets are, then their bytes. It appears
under its name only when it is complete and on the disk, so whatever is there can be trusted after
a kill. `plan.json` beside the segments says of what clip and settings they are.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from derain.io.atomic import write_atomically
from derain.io.formats import ImageError

LENGTH = 48  # frames


@dataclass(frozen=True)
class EncodedFrame:
    """A packet of the encoder, with the times of its frame in the clip's time base."""

    pts: int
    duration: int
    keyframe: bool
    data: bytes


@dataclass(frozen=True)
class Segment:
    """Up to `LENGTH` frames, encoded.

    Attributes:
        packets: One per frame, in order.
        change: Sum over the frames of their mean change, in 1/255 of the value range.
    """

    packets: list[EncodedFrame]
    change: float


def remove_joined(target: Path) -> None:
    """Delete the segments of a result that is whole, which a run that was killed just then left.

    Segments younger than the result are work of a run that was to replace it; they stay.
    """
    folder = _folder(target)
    newest = max((path.stat().st_mtime_ns for path in folder.glob("*")), default=0)
    if newest <= target.stat().st_mtime_ns:
        shutil.rmtree(folder, ignore_errors=True)


class Segments:
    """The folder of the segments of one result.

    Args:
        target: The result.
        plan: What the segments depend on; must be JSON.
    """

    def __init__(self, target: Path, plan: dict[str, Any]) -> None:
        self.folder = _folder(target)
        self.plan = json.loads(json.dumps(plan))

    def prepare(self, resume: bool, overwrite: bool) -> None:
        """Make the folder ready: empty, or with what an earlier run finished.

        Raises:
            ImageError: There is unfinished work that the caller did not speak of, or work on
                another clip or with other settings; says what to do.
        """
        if self.folder.exists() and not resume and not overwrite:
            raise ImageError(
                f"{self.folder}: unfinished work of an earlier run; --resume goes on with it, "
                "--overwrite starts anew"
            )
        plan = self.folder / "plan.json"
        if self.folder.exists() and resume:
            found = _read_plan(plan)
            differing = sorted(k for k in self.plan if found.get(k) != self.plan[k])
            if found and differing:
                raise ImageError(
                    f"{self.folder}: was made with another {', '.join(differing)}; "
                    "--overwrite starts anew"
                )
            if found:
                return
        self.remove()
        self.folder.mkdir(parents=True)
        write_atomically(plan, json.dumps(self.plan, indent=1).encode())

    def finished(self) -> int:
        """How many segments are there, without a gap from the first."""
        count = 0
        while self._path(count).exists():
            count += 1
        return count

    def save(self, number: int, segment: Segment) -> None:
        """Keep a segment.

        Raises:
            OSError: The disk is full or the folder gone; nothing is half-written.
        """
        packets = [(p.pts, p.duration, p.keyframe, len(p.data)) for p in segment.packets]
        head = {"change": segment.change, "packets": packets}
        data = b"".join([json.dumps(head).encode(), b"\n", *(p.data for p in segment.packets)])
        write_atomically(self._path(number), data)

    def read(self, number: int) -> Segment:
        """A segment that was kept.

        Raises:
            ImageError: It is damaged; names it.
        """
        path = self._path(number)
        try:
            line, _, data = path.read_bytes().partition(b"\n")
            head = json.loads(line)
            packets, first = [], 0
            for pts, duration, keyframe, size in head["packets"]:
                packets.append(EncodedFrame(pts, duration, keyframe, data[first : first + size]))
                first += size
            return Segment(packets, head["change"])
        except (ValueError, KeyError, TypeError):
            raise ImageError(f"{path}: damaged; delete it and --resume") from None

    def all(self) -> Iterator[Segment]:
        """Every segment, in order."""
        return map(self.read, range(self.finished()))

    def summary(self) -> tuple[int, float]:
        """The number of frames, and the sum of their changes."""
        heads = [self.read(number) for number in range(self.finished())]
        return sum(len(head.packets) for head in heads), sum(head.change for head in heads)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06}.segment"


def _read_plan(path: Path) -> dict[str, Any]:
    """The plan of an earlier run; empty where it was killed before it could write one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _folder(target: Path) -> Path:
    return target.with_name(f"{target.name}.segments")
