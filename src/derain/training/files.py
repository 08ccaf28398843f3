"""What the main process writes of a run: recipe, checkpoints, weights, numbers and images."""

from pathlib import Path

from derain.io.atomic import write_atomically
from derain.training.checkpoint import keep_newest, name_of, save_checkpoint
from derain.training.journal import PSNR, Journal, write_environment
from derain.training.processes import World
from derain.training.recipe import Recipe, to_toml
from derain.training.result import save_result
from derain.training.state import State
from derain.training.validation import Validation
from derain.training.watch import Clock, Losses


class RunFiles:
    """The files of a run, open for writing.

    Args:
        folder: The run's.
        recipe: What is trained.
        state: What the files are written from.
        kinds: The kinds of rain in the validation pairs.

    Raises:
        OSError: It cannot be written to; so does every method.
    """

    def __init__(self, folder: Path, recipe: Recipe, state: State, kinds: list[str]) -> None:
        self.folder, self.recipe, self.state = folder, recipe, state
        self.checkpoints = folder / "checkpoints"
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(folder, state.step, kinds)

    def describe(self, world: World, data_root: Path) -> None:
        """Write down what this run is, and what runs it."""
        write_atomically(self.folder / "recipe.toml", to_toml(self.recipe).encode())
        write_environment(self.folder / "environment.json", world, data_root)

    def save_checkpoint(self, name: str = "") -> None:
        """Write a checkpoint under the name of its step, or another."""
        save_checkpoint(self.checkpoints / (name or name_of(self.state.step)), self.state.pack())

    def save_result(self) -> Path:
        """Write the EMA weights; returns their path."""
        state = self.state
        return save_result(
            state.ema, self.recipe, self.folder, state.step, state.elapsed, state.psnr
        )

    def save_validated(self, found: Validation, is_best: bool, keep: int) -> None:
        """Write a state that was just validated: checkpoint, weights and images."""
        if is_best:
            self.save_checkpoint("best.pt")
        self.save_checkpoint()
        keep_newest(self.checkpoints, keep)
        self.save_result()
        self.journal.images(self.state.step, self.state.progress, found.strips)

    def write_row(self, clock: Clock, losses: Losses, found: Validation | None = None) -> None:
        """Write a row of metrics.csv; that of a validation at once."""
        steps_per_second, waiting = clock.lap()
        clock.new_lap()
        row: dict[str, float] = {
            "step": self.state.step,
            "seconds": clock.elapsed,
            "lr": self.state.optimiser.param_groups[0]["lr"],
            "loss": losses.mean,
            "steps_per_second": steps_per_second,
            "waiting_fraction": waiting,
        }
        if found and found.psnr is not None:
            row |= {PSNR: found.psnr, **{f"{PSNR}/{k}": v for k, v in found.by_kind.items()}}
        self.journal.row(row)
        if found:
            self.journal.flush()

    def close(self) -> None:
        """Finish the files."""
        self.journal.close()
