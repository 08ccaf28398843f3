"""What commands say to people: notes, tables and progress, all on stderr."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from derain.io.formats import printable

err = Console(stderr=True, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """Print text on stderr, above a progress bar if one is shown."""
    err.print("\n".join(map(printable, text.split("\n"))), markup=False)


class _Notes(logging.Handler):
    """What the library logs as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        note(f"{level}{record.getMessage()}")


def log_to_terminal(everything: bool = False) -> None:
    """Show the warnings of the library, and no other's, on the terminal.

    Args:
        everything: Whether to show what is no warning too.
    """
    logger = logging.getLogger("derain")
    level = logging.INFO if everything else logging.WARNING
    logger.handlers = [_Notes(level)]
    logger.setLevel(level)
    logger.propagate = False


@contextmanager
def progress(what: str = "images") -> Iterator[Callable[[int, int], None]]:
    """A bar for more than one item; yields what to call with (done, in all) after each."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task(what, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total > 1)


@contextmanager
def run_progress() -> Iterator[Callable[[int, int, int | None], None]]:
    """A bar for a long run; yields what to call with (finished, failed, in all if known)."""
    columns = (
        TextColumn("images"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[failures]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("images", total=None, rate="", failures="")

        def show(finished: int, failed: int, total: int | None) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.1f}/s" if speed else ""
            failures = f"{failed} failed" if failed else ""
            bar.update(task, completed=finished, total=total, rate=rate, failures=failures)

        yield show


@contextmanager
def frame_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each clip: frames, rate and time left; yields what to call with (clip, done, all).

    A rate is what most people look at first, and a clip takes long, so it is drawn for one, too.
    """
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:

        def show(clip: str, done: int, total: int) -> None:
            if clip not in tasks:  # frames of an earlier run do not count for the rate
                tasks[clip] = bar.add_task(
                    printable(clip), completed=done - 1, total=total, rate="", start=True
                )
            task = bar.tasks[bar.task_ids.index(tasks[clip])]
            rate = f"{task.speed:.2f}/s" if task.speed else ""
            bar.update(tasks[clip], completed=done, total=total, rate=rate)

        yield show
