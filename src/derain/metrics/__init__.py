"""Image quality, exactly as the papers measure it: functions of uint8 RGB arrays.

`psnr(image, reference, protocol="y")` and its siblings; `METRICS` lists them for tools that take
names. `derain.metrics.folder` measures files. Nothing here needs SciPy, except that NIQE and SSEQ
read their parameters from MATLAB files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from derain.io.levels import quantise
from derain.metrics import niqe as _niqe
from derain.metrics import sseq as _sseq
from derain.metrics.fsim import fsim, fsimc
from derain.metrics.inputs import AnyImage
from derain.metrics.niqe import niqe
from derain.metrics.parameters import ParametersError, fetch_parameters
from derain.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from derain.metrics.psnr import psnr
from derain.metrics.sseq import sseq, sseq_features
from derain.metrics.ssim import ssim

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "AnyImage",
    "Metric",
    "ParametersError",
    "Protocol",
    "bind",
    "default_metrics",
    "fetch_parameters",
    "fsim",
    "fsimc",
    "get_metric",
    "get_protocol",
    "niqe",
    "psnr",
    "quantise",
    "sseq",
    "sseq_features",
    "ssim",
]


@dataclass(frozen=True)
class Metric:
    """What a tool must know to call a metric, and to show and judge its values."""

    name: str
    function: Callable[..., float]
    digits: int  # after the point, as papers print it
    higher_is_better: bool
    needs_reference: bool  # the clean image
    unit: str = ""
    default_in: tuple[str, ...] = ()  # commands that measure it unless others are asked for
    has_protocols: bool = False  # the others are defined in one way only
    load_model: Callable[[Path | None], Any] | None = None  # reads a LIVE parameter file

    @property
    def needs_parameters(self) -> bool:
        """Whether the metric works only with a file that derain does not ship."""
        return self.load_model is not None

    @property
    def axis(self) -> str:
        """What stands at the axis of a plot."""
        text = f"{self.name.upper()} in {self.unit}" if self.unit else self.name.upper()
        return text if self.higher_is_better else f"{text} (lower is better)"


_BOTH = ("metrics", "evaluate")

METRICS: dict[str, Metric] = {
    "psnr": Metric(
        "psnr", psnr, digits=2, unit="dB", higher_is_better=True, needs_reference=True,
        default_in=_BOTH, has_protocols=True,
    ),
    "ssim": Metric(
        "ssim", ssim, digits=4, higher_is_better=True, needs_reference=True,
        default_in=_BOTH, has_protocols=True,
    ),
    "fsim": Metric(
        "fsim", fsim, digits=4, higher_is_better=True, needs_reference=True,
        default_in=("evaluate",),
    ),
    "fsimc": Metric("fsimc", fsimc, digits=4, higher_is_better=True, needs_reference=True),
    "niqe": Metric(
        "niqe", niqe, digits=3, higher_is_better=False, needs_reference=False,
        default_in=_BOTH, load_model=_niqe.load_model,
    ),
    "sseq": Metric(
        "sseq", sseq, digits=2, higher_is_better=False, needs_reference=False,
        default_in=_BOTH, load_model=_sseq.load_model,
    ),
}  # fmt: skip


def default_metrics(command: str, with_references: bool) -> tuple[str, ...]:
    """What a command measures unless metrics are asked for.

    Args:
        command: ``metrics`` or ``evaluate``.
        with_references: Whether there are clean images.
    """
    return tuple(
        name
        for name, metric in METRICS.items()
        if command in metric.default_in and metric.needs_reference == with_references
    )


def get_metric(name: str) -> Metric:
    """Return a metric by name.

    Raises:
        ValueError: Unknown name; the message lists the known ones.
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; known: {', '.join(METRICS)}")
    return METRICS[name]


def bind(name: str, protocol: str = "y", parameters: Path | None = None) -> Callable[..., float]:
    """Return a metric as a function of images alone, its protocol and its model fixed.

    Args:
        name: The name of the metric.
        protocol: For the metrics that have several; the others ignore it.
        parameters: File or folder of the LIVE parameters; None looks where `find_parameters` does.

    Returns:
        A function of (image, reference), or of (image) if the metric needs no reference.

    Raises:
        ValueError: Unknown metric or protocol.
        ParametersError: The metric's parameter file is absent or unreadable.
    """
    metric = get_metric(name)
    options: dict[str, Any] = {}
    if metric.has_protocols:
        options["protocol"] = get_protocol(protocol).name
    if metric.load_model:
        options["model"] = metric.load_model(parameters)
    return partial(metric.function, **options)
