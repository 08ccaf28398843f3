"""The end of a run, tried before its first step with the untrained network.

What would fail after hours (a network that cannot be recorded or exported, a package that is
missing, a folder that cannot be written to) fails in the first seconds.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from derain.training.checkpoint import load_checkpoint, name_of, save_checkpoint
from derain.training.recipe import Recipe
from derain.training.result import export_result, save_result
from derain.training.settings import TrainingSettings
from derain.training.sources import ValidationPair
from derain.training.state import State
from derain.training.validation import save_strips, validate

TRIAL = "trial"  # folder in the run's, gone afterwards


def try_the_end(
    run_folder: Path,
    state: State,
    recipe: Recipe,
    settings: TrainingSettings,
    pairs: Sequence[ValidationPair],
    device: torch.device,
) -> list[str]:
    """Validate, save, record and export once; nothing of it stays.

    Args:
        run_folder: The run's folder, which need not be there.
        state: The state of the untrained network; it is not changed.
        recipe: What is to be trained.
        settings: Whether there will be an ``.onnx``.
        pairs: Validation pairs; one of each kind is tried.
        device: Where the network is.

    Returns:
        What will be left out in the end for want of a package.

    Raises:
        ValueError: The end of the run would fail; names the network, the part and the reason.
        OSError: The folder cannot be written to.
    """
    folder = run_folder / TRIAL
    folder.mkdir(parents=True, exist_ok=True)
    gpus = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(gpus):  # a run is the same with and without an export
            with _part("its validation", recipe):
                one_of_each = list({pair.kind: pair for pair in pairs}.values())
                found = validate(state.ema, one_of_each, device, recipe.precision)
                if found.strips:
                    save_strips(folder / "sample.jpg", found.strips)
            with _part("its checkpoint", recipe):
                save_checkpoint(folder / name_of(0), state.pack())
                load_checkpoint(folder / name_of(0))
            with _part("its record", recipe):
                weights = save_result(state.ema, recipe, folder, 0, 0.0, found.psnr)
            if settings.onnx:
                with _part("its export", recipe):
                    export_result(weights)
    except ImportError as error:
        return [f"no .onnx will be written: {error}"]
    finally:
        shutil.rmtree(folder)
    return []


@contextmanager
def _part(name: str, recipe: Recipe) -> Iterator[None]:
    """A part of the end, which is named where it fails."""
    try:
        yield
    except ImportError:
        raise
    except OSError as error:
        raise OSError(f"{recipe.network}: {name} would fail in the end: {error}") from error
    except Exception as error:  # a new network may fail in any way
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        text = " ".join(str(error).split())
        raise ValueError(f"{recipe.network}: {name} would fail in the end: {kind}{text}") from error
