"""What two or more networks share: checks of configurations, padding, channel attention."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def require(condition: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless the condition holds: configurations check themselves."""
    if not condition:
        raise ValueError(message)


LARGEST = 4096  # what a width or a count may be: a file may ask for anything
COARSEST = 8  # how often an image may be halved


def require_at_least(minimum: int, config: Any, *names: str, maximum: int = LARGEST) -> None:
    """Check fields that hold a whole number, or a tuple of them.

    None is right where it is the field's default.
    """
    for name in names:
        value = getattr(config, name)
        if value is None and getattr(type(config), name, 0) is None:
            continue
        for number in value if isinstance(value, tuple) else (value,):
            whole = number if type(number) is int else minimum - 1
            require(whole >= minimum, f"{name} must be at least {minimum}: {value!r}")
            require(whole <= maximum, f"{name} must be at most {maximum}: {value!r}")


def require_one_of(config: Any, **allowed: tuple[Any, ...]) -> None:
    """Check fields that hold one of a few values."""
    for name, values in allowed.items():
        value = getattr(config, name)
        same = any(type(value) is type(v) and value == v for v in values)  # 1 is not True
        require(same, f"{name} must be one of {', '.join(map(str, values))}: {value!r}")


def require_size(image: Tensor, minimum: int) -> None:
    """Check that an image (N, C, H, W) is at least ``minimum`` pixels high and wide."""
    height, width = image.shape[-2:]
    require(
        min(height, width) >= minimum,
        f"image must be at least {minimum} x {minimum}: {height} x {width}",
    )


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Pad the right and bottom so that height and width divide by ``multiple``.

    Reflects; repeats the last row and column where the image is too small for that.

    Args:
        image: (N, C, H, W).
        multiple: At least 1.

    Returns:
        (N, C, H', W') with H' and W' the next multiples; the input itself if nothing is missing.
    """
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if bottom == 0 and right == 0:
        return image
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode)


def on_padded(network: Callable[[Tensor], Tensor], image: Tensor, multiple: int) -> Tensor:
    """Run a network on the image padded to a multiple of ``multiple``, and crop the result."""
    height, width = image.shape[-2:]
    return network(pad_to_multiple(image, multiple))[..., :height, :width]


CELL = 16  # pixels of the image; windows are made of cells of this size


def require_window(window: int | None) -> None:
    """Check the size of a window."""
    require(
        window is None or (type(window) is int and window >= 2 * CELL),
        f"window must be at least {2 * CELL}, or None for the whole image: {window!r}",
    )


# Pixels; what convolutions read farther away changes less than 1e-3 (docs/guide/tiles.md).
RADIUS = 64


# Pixels; tiles that leave out all that a larger window reads would double the work.
LARGEST_IN_TILES = 128


def windowed_radius(window: int | None) -> int | None:
    """The receptive radius of a network whose channel attention averages over windows.

    None, as for the whole image, with windows so large that tiles cannot leave out what they read.
    """
    return RADIUS + window // 2 if window and window <= LARGEST_IN_TILES else None


def whole_cells(multiple: int, window: int | None) -> int:
    """What height and width must divide by: ``multiple``, a power of 2, and cells of windows."""
    return max(multiple, CELL) if window else multiple


def attend(x: Tensor, gate: Callable[[Tensor], Tensor], window: int | None, step: int) -> Tensor:
    """Channel attention: a feature map times a gate made of its channels' means.

    The means are those of the whole image or, around each pixel, of a window: then what an
    image holds elsewhere changes nothing, so that tiles give what the whole image gives, and
    a network sees means like those of the crops it was trained on (Chu et al., ECCV 2022, the
    "test-time local converter"). Ours averages cells, then cells to windows, and draws straight
    lines between the middles of cells, which costs next to nothing; at the image's border a
    window is cut, where theirs is pushed inside.

    Args:
        x: (N, C, h, w); with a window ``h * step`` and ``w * step`` divide by ``CELL``.
        gate: (N, C, h', w') -> the same, pixel by pixel.
        window: Its size in pixels of the image; None for the whole image.
        step: Pixels of the image per pixel of ``x``, a power of 2.

    Returns:
        The same shape.
    """
    if window is None:
        return x * gate(x.mean(dim=(2, 3), keepdim=True))
    cell = max(CELL // step, 1)
    reach = max((window // (cell * step) - 1) // 2, 0)  # cells on each side; the lines add a half
    means = F.avg_pool2d(x, cell) if cell > 1 else x
    if reach:
        means = F.avg_pool2d(means, 2 * reach + 1, 1, reach, count_include_pad=False)
    weights = gate(means)
    if cell > 1:
        weights = F.interpolate(weights, scale_factor=float(cell), mode="bilinear")
    return x * weights


def channels_last(network: AnyModule) -> AnyModule:
    """The network with its weights in the memory layout that convolutions on CPUs and GPUs like."""
    # torch's type stubs leave this overload out.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def concatenate(*features: Tensor) -> Tensor:
    """Join feature maps of equal size along their channels."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return Concatenation.apply(*features)
    return torch.cat(features, dim=1)


class Concatenation(torch.autograd.Function):
    """``torch.cat`` along the channels, the same to the last bit both ways.

    Its gradients are tensors of their own. Those of ``torch.cat`` are views of one, and with
    channels last a CPU adds such views 16 numbers at a time: a third of a step of ``dcsfn-small``.
    """

    @staticmethod
    def forward(ctx: Any, *features: Tensor) -> Tensor:
        """Concatenate along the channels."""
        ctx.channels = [x.shape[1] for x in features]
        return torch.cat(features, dim=1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, ...]:
        """Split the gradient along the channels."""
        (gradient,) = grad_outputs
        last = gradient.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        parts = gradient.split(ctx.channels, dim=1)
        return tuple(part.contiguous(memory_format=layout) for part in parts)
