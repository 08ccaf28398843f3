"""What every network offers to training, tiling and export besides its forward pass."""

import copy
import dataclasses
from typing import Any, Generic, Self, TypeVar

from torch import nn

Config = TypeVar("Config")

LARGEST_SIZE = 1024  # pixels; what a size limit may be


class Network(nn.Module, Generic[Config]):
    """A network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Attributes:
        config: A frozen dataclass with the hyperparameters, from which the network can be built
            again.
    """

    config: Config

    @property
    def minimum_size(self) -> int:
        """The least height and width of an image, in pixels."""
        return 1

    @property
    def size_multiple(self) -> int:
        """What height and width divide by in exported graphs, which do not pad inside."""
        return 1

    @property
    def receptive_radius(self) -> int | None:
        """How far from a pixel, in pixels, the image can change its result by 1e-3 or more.

        None stands for the whole image, as for a network that averages over it. Tiles then never
        give quite what the whole image gives; docs/tiles.md has measurements.
        """
        raise NotImplementedError

    def fold(self) -> Self:
        """A copy that computes the same, bit for bit, without weights that change nothing."""
        return copy.deepcopy(self)


def check_contract(network: nn.Module) -> None:
    """Check that a network offers all that ``Network`` says.

    Raises:
        ValueError: Something is missing or of a wrong kind; names the class and the attribute.
    """
    kind = type(network).__name__
    if not isinstance(network, Network):
        raise ValueError(f"{kind} is no derain.models.Network, which says what a network offers")
    config: Any = getattr(network, "config", None)
    if not dataclasses.is_dataclass(config):
        raise ValueError(f"{kind}.config must be a dataclass: {config!r}")
    for name in ("minimum_size", "size_multiple"):
        value = getattr(network, name)
        if type(value) is not int or not 1 <= value <= LARGEST_SIZE:
            raise ValueError(f"{kind}.{name} must be in 1..{LARGEST_SIZE}: {value!r}")
    try:
        radius = network.receptive_radius
    except NotImplementedError:
        raise ValueError(f"{kind}.receptive_radius is missing: it says how tiles overlap") from None
    if radius is not None and (type(radius) is not int or radius < 0):
        raise ValueError(f"{kind}.receptive_radius must be pixels or None: {radius!r}")
