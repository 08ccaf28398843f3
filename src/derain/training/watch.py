"""What a run watches itself by: its losses, and where the time goes."""

import statistics
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from derain.training.processes import World

READ_EVERY = 25  # steps between two looks at a GPU's losses, each of which waits for it
EXPLODED = 20  # times the usual loss


class BadLoss(Exception):
    """The loss is not finite any more, or exploded."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"loss {loss:.4g} at step {step}")
        self.step = step


@dataclass
class Losses:
    """The losses of the last steps: their mean, and whether they still make sense."""

    world: World
    unread: list[Tensor] = field(default_factory=list)  # on the device
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def add(self, loss: Tensor, step: int) -> None:
        """Take the loss of a step; look at a GPU's only now and then.

        Raises:
            BadLoss: One of those looked at is not finite, or far above the usual.
        """
        self.unread.append(loss)
        if self.world.device.type != "cuda" or len(self.unread) >= READ_EVERY:
            self.read(step)

    def read(self, step: int) -> None:
        """Look at all losses up to ``step``.

        Raises:
            BadLoss: One of them is not finite, or far above the usual.
        """
        if not self.unread:
            return
        values = self.world.mean(torch.stack(self.unread))
        self.unread.clear()
        for i, value in enumerate(values):
            usual = statistics.median(self.recent) if len(self.recent) >= 50 else np.inf
            if not np.isfinite(value) or value > EXPLODED * usual:
                raise BadLoss(step - len(values) + 1 + i, value)
            self.recent.append(value)

    @property
    def mean(self) -> float:
        """The mean loss of the last steps that were read."""
        return float(np.mean(self.recent)) if self.recent else float("nan")


class Clock:
    """Seconds of a run over all its parts, and where they go."""

    def __init__(self, before: float) -> None:
        self.start = time.monotonic() - before
        self.waited = 0.0
        self.steps = 0
        self.lap_start = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, earlier parts included."""
        return time.monotonic() - self.start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a step, and the time inside as waiting for its batch."""
        asked = time.monotonic()
        yield
        self.waited += time.monotonic() - asked
        self.steps += 1

    def lap(self) -> tuple[float, float]:
        """Steps per second and the fraction of waiting since the last lap."""
        seconds = max(time.monotonic() - self.lap_start, 1e-9)
        return self.steps / seconds, self.waited / seconds

    def new_lap(self) -> None:
        """Forget what has been counted."""
        self.lap_start, self.steps, self.waited = time.monotonic(), 0, 0.0
