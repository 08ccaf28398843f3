"""The finished weights of a run: `.safetensors` to train on, `.onnx` to run."""

from pathlib import Path
from typing import Any

from derain.models import Network
from derain.training.recipe import Recipe
from derain.weights.files import describe, save_weights
from derain.weights.record import Record


def save_result(
    network: Network[Any], recipe: Recipe, run: Path, step: int, elapsed: float, psnr: float | None
) -> Path:
    """Write the weights with what is known of them.

    Args:
        network: With the EMA weights.
        recipe: What it was trained by.
        run: The run's folder.
        step: Steps made.
        elapsed: Seconds, all parts of the run together.
        psnr: On the validation set, dB over RGB.
    """
    path = run / f"{recipe.name}.safetensors"
    record = make_record(network, recipe, step, elapsed, psnr)
    save_weights(path, network.state_dict(), record)
    return path


def make_record(
    network: Network[Any], recipe: Recipe, step: int, elapsed: float, psnr: float | None
) -> Record:
    """What the files say about themselves."""
    return describe(
        network, recipe.name, recipe.network, recipe.options,
        trained_on=f"recipe {recipe.name}, {step} steps, {elapsed / 60:.0f} minutes",
        scores={} if psnr is None else {"held-out rgb psnr": round(psnr, 2)},
    )  # fmt: skip


def export_result(path: Path) -> None:
    """Write the folded `.onnx` beside finished weights.

    Raises:
        ImportError: A package is missing; says what brings it.
        ValueError: The file disagrees with torch.
        OSError: It cannot be written.
    """
    try:
        from derain.export import to_onnx
        from derain.weights.files import load_network

        network, record = load_network(path)
        to_onnx(path.with_suffix(".onnx"), network, record)
    except ImportError as error:
        raise ImportError(f"{error.name} is missing (`pip install derain[train]`)") from None
