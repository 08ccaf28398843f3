"""Rain removed from a column of somebody's own Ray dataset."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from derain.restore import Restorer, load
from derain.weights.catalog import DEFAULT

if TYPE_CHECKING:
    import ray.data


def restore_dataset(
    dataset: "ray.data.Dataset",
    restorer: str | Callable[[], Restorer] = DEFAULT,
    column: str = "image",
    *,
    cpus: int = 1,
    gpus: float = 0.0,
    batch_size: int = 16,
) -> "ray.data.Dataset":
    """A dataset with the rain removed from the images of one column.

    Args:
        dataset: Rows with an image each: an array (H, W, 3), (H, W, 4) or (H, W), as of
            `derain.load`.
        restorer: The name or file of a model, or what loads a network in each worker.
        column: The column of the images.
        cpus: Cores of a worker.
        gpus: GPUs of a worker; a fraction shares one.
        batch_size: Images that a worker takes at a time.

    Raises:
        ValueError: An array that is no image, when the dataset is read.
    """
    import ray.data

    made = partial(load, restorer, threads=cpus) if isinstance(restorer, str) else restorer
    return dataset.map_batches(
        _Column,
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(min_size=1),
        num_cpus=cpus,
        num_gpus=gpus or None,
        fn_constructor_args=(made, column),
    )


class _Column:
    """A worker with a network of its own."""

    def __init__(self, made: Callable[[], Restorer], column: str) -> None:
        self.restorer, self.column = made(), column

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        images = [self.restorer(np.asarray(image)) for image in batch[self.column]]
        if len({image.shape for image in images}) == 1:
            return batch | {self.column: np.stack(images)}
        mixed = np.empty(len(images), object)  # images of several sizes
        mixed[:] = images
        return batch | {self.column: mixed}
