"""The network of each worker, on machines that may not have its file."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from derain.memory import free_bytes
from derain.restore import Restorer, load
from derain.weights.catalog import WEIGHTS


@dataclass(frozen=True)
class Loader:
    """Loads a network in a worker.

    Attributes:
        model: A name that ``derain models`` lists, or a file of this machine.
        device: As of `derain.load`.
        engine: As of `derain.load`.
        precision: As of `derain.load`.
        memory: What a worker may use, such as ``2GB``; None for its cores' share of half of what
            is free where it runs.
        data: The content of a file, which travels with the run.
    """

    model: str
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    memory: str | None = None
    data: bytes | None = None

    @classmethod
    def of(
        cls, model: str, device: str, engine: str, precision: str, memory: str | None
    ) -> "Loader":
        """A loader that carries its file along. Raises ValueError for what cannot travel."""
        path = Path(model)
        if model in WEIGHTS or not path.is_file():  # which is said when it is loaded
            return cls(model, device, engine, precision, memory)
        if path.suffix == ".xml":
            raise ValueError(f"{model}: has a second file beside it; use an .onnx file with --ray")
        return cls(path.name, device, engine, precision, memory, path.read_bytes())

    def __call__(self, threads: int) -> Restorer:
        """Load it. Raises as `derain.load`."""
        share = free_bytes() // 2 * threads // max(threads, os.cpu_count() or 1)
        memory = self.memory or (share if self.device in ("auto", "cpu") else None)

        def loaded(name: str | Path) -> Restorer:
            return load(
                name,
                device=self.device,
                engine=self.engine,
                precision=self.precision,
                threads=threads,
                memory=memory,
            )

        if self.data is None:
            return loaded(self.model)
        with tempfile.TemporaryDirectory(prefix="derain-") as folder:
            path = Path(folder, self.model)
            path.write_bytes(self.data)
            return loaded(path)
