"""One process or many: what each is to do, and how they agree on what happens next."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class World:
    """The processes of a run, as ``torchrun`` starts them; without it there is one."""

    device: torch.device  # of this process
    rank: int = 0
    size: int = 1
    control: Any = None  # a group of its own for decisions: they never wait for the device

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and talks."""
        return self.rank == 0

    def all_reduce_max(self, *values: float) -> list[float]:
        """Each value's maximum over all processes, so that all decide alike."""
        return self._reduce(torch.tensor(values, dtype=torch.float64), dist.ReduceOp.MAX)

    def mean(self, values: Tensor) -> list[float]:
        """The means of a few values over all processes; NaN of one is NaN of all."""
        return [v / self.size for v in self._reduce(values.double().cpu(), dist.ReduceOp.SUM)]

    def _reduce(self, values: Tensor, operation: Any) -> list[float]:
        if self.size > 1:
            dist.all_reduce(values, operation, group=self.control)
        return values.tolist()

    def barrier(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            dist.barrier(group=self.control)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """What is inside happens in the main process, and then in the others.

        It may write what all read, such as decoded images.
        """
        if not self.is_main:
            self.barrier()
        try:
            yield
        finally:  # where it fails, the others are to fail too and not to wait
            if self.is_main:
                self.barrier()


@contextmanager
def world(device: str) -> Iterator[World]:
    """Join the other processes of ``torchrun``, and leave them in the end.

    Args:
        device: ``auto``, or as torch names it; with several processes ``cuda`` gives each its own.

    Raises:
        ValueError: A device that is not there.
    """
    rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = find_device(device, int(os.environ.get("LOCAL_RANK", 0)), size)
    if size == 1:
        yield World(chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(chosen, rank, size, dist.new_group(backend="gloo"))
    finally:
        dist.destroy_process_group()


def find_device(name: str, local_rank: int = 0, size: int = 1) -> torch.device:
    """Resolve ``auto`` (a GPU where there is one) and check that the device is there.

    Raises:
        ValueError: It is not; says what is.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device {name!r}; known: auto, cpu, cuda, cuda:N, mps") from None
    if device.type == "cuda":
        if device.index is None and size > 1:
            device = torch.device("cuda", local_rank)
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"no {device}: torch finds {torch.cuda.device_count()} CUDA devices")
        torch.cuda.set_device(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("no mps: torch finds no Apple GPU")
    return device
