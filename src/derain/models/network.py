"""What every network offers to training, tiling and export besides its forward pass."""

import copy
import dataclasses
from types import UnionType
from typing import Any, Generic, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from torch import nn

Config = TypeVar("Config")


class Network(nn.Module, Generic[Config]):
    """A network: (N, 3, H, W) rainy RGB in [0, 1] -> derained, the same shape, unclipped.

    Attributes:
        config: A frozen dataclass with the hyperparameters, from which the network can be built
            again.
        export_tolerance: How far a value of the output, in [0, 1], may differ in an exported file
            with weights in f32.
    """

    config: Config
    export_tolerance: float = 1e-4

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
        give quite what the whole image gives; docs/guide/tiles.md has measurements.
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
        if type(value) is not int or value < 1:
            raise ValueError(f"{kind}.{name} must be a whole number of at least 1: {value!r}")
    tolerance = network.export_tolerance
    if type(tolerance) is not float or not 0 < tolerance < 1:
        raise ValueError(f"{kind}.export_tolerance must be between 0 and 1: {tolerance!r}")
    try:
        radius = network.receptive_radius
    except NotImplementedError:
        raise ValueError(f"{kind}.receptive_radius is missing: it says how tiles overlap") from None
    if radius is not None and (type(radius) is not int or radius < 0):
        raise ValueError(f"{kind}.receptive_radius must be pixels or None: {radius!r}")


def check_types(config: Any) -> None:
    """Check that every field of a configuration holds what it is annotated with.

    Options come out of recipes and out of files, where anything may stand.

    Raises:
        ValueError: One does not; names it.
    """
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if not _fits(hint, value):
            kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            raise ValueError(f"{name} must be of type {kind}: {value!r}")


def _fits(hint: Any, value: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(arguments[0], each) for each in value)
    if origin in (Union, UnionType):
        return any(_fits(each, value) for each in arguments)
    return type(value) is hint or (hint is float and type(value) is int)
