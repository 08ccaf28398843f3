"""Is synthetic heavy rain like Rain100H? The table of the specification, section 10.

`REAL` and the limits are numbers measured on the 100 real test pairs (480x320, the edition of
MSPFN and MPRNet) by the functions of `derain.rain.statistics`; no image is needed to compare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derain.metrics.colour import gray_uint8
from derain.metrics.psnr import psnr
from derain.metrics.ssim import ssim_map
from derain.rain.statistics import layer_statistics, orientation, recover_rain

# Orientation energy of the real layers, 36 bins of 5 degrees over 0 to 180, sum 1.
REAL_ORIENTATION = np.array(
    [0] * 7
    + [0.0001, 0.0001, 0.0002, 0.0005, 0.0014, 0.0038, 0.0084, 0.0295, 0.0739, 0.1362, 0.2449]
    + [0.2505, 0.1573, 0.0619, 0.0173, 0.0067, 0.0041, 0.0018, 0.0007, 0.0003, 0.0001, 0.0001]
    + [0] * 7
)


@dataclass(frozen=True)
class AcceptanceRow:
    """One statistic: its mean over the real pairs and what is accepted of synthetic rain."""

    name: str
    real: float
    low: float
    high: float

    def accepts(self, value: float) -> bool:
        """Whether a value is inside the limits."""
        return self.low <= value <= self.high


ROWS = (
    AcceptanceRow("input PSNR, RGB (dB)", 12.13, 11.4, 13.6),
    AcceptanceRow("input SSIM, grey", 0.353, 0.33, 0.40),
    AcceptanceRow("mean", 55.8, 48, 60),
    AcceptanceRow("sd", 38.3, 35, 42),
    AcceptanceRow("median", 51.9, 51.9 * 0.85, 51.9 * 1.15),
    AcceptanceRow("p95", 124.2, 124.2 * 0.85, 124.2 * 1.15),
    AcceptanceRow("p99", 152.5, 152.5 * 0.85, 152.5 * 1.15),
    AcceptanceRow("fraction above 10", 0.823, 0.75, 0.88),
    AcceptanceRow("fraction censored", 0.107, 0.07, 0.14),
    AcceptanceRow("fraction 0", 0.052, 0, 0.12),
    AcceptanceRow("coherence", 0.905, 0.87, 0.94),
    AcceptanceRow("orientation, distance to real", 0, 0, 0.08),
    AcceptanceRow("angle spread, median (deg)", 5.4, 4, 7),
    AcceptanceRow("correlation across (px)", 1.36, 1.1, 1.6),
    AcceptanceRow("correlation along (px)", 14.4, 11, 18),
    AcceptanceRow("correlation along, quarter (px)", 32.1, 22, 38),
    AcceptanceRow("run length (px)", 26.7, 20, 32),
    AcceptanceRow("run width (px)", 1.97, 1.7, 2.3),
    AcceptanceRow("run width p90 (px)", 4.6, 4, 5.5),
)


def measure(pairs: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> dict[str, float]:
    """Measure every row of `ROWS`.

    Args:
        pairs: (rainy, clean), each (H, W, 3) uint8, by the additive blend mode.

    Returns:
        Name of the row -> mean over the pairs (the median where the name says so). `distance` is
        the total variation between the mean orientation histogram and `REAL_ORIENTATION`.
    """
    layers, directions, psnrs, ssims = [], [], [], []
    for rainy, clean in pairs:
        rain, known = recover_rain(rainy, clean)
        layers.append(layer_statistics(rain, known))
        directions.append(orientation(rain, known)[0])
        psnrs.append(psnr(rainy, clean, "rgb"))
        grey = (gray_uint8(image).astype(float) for image in (rainy, clean))
        ssims.append(ssim_map(*grey).mean())
    mean = {name: float(np.mean([layer[name] for layer in layers])) for name in layers[0]}
    found = np.mean(directions, axis=0).reshape(len(REAL_ORIENTATION), -1).sum(axis=1)
    mean |= {
        "input PSNR, RGB": float(np.mean(psnrs)),
        "input SSIM, grey": float(np.mean(ssims)),
        "orientation, distance to real": float(np.abs(found - REAL_ORIENTATION).sum() / 2),
        "angle spread, median": float(np.median([layer["angle spread"] for layer in layers])),
    }
    return {row.name: mean[row.name.split(" (")[0]] for row in ROWS}


def markdown(measured: dict[str, float]) -> str:
    """The acceptance table: statistic, real, ours, accepted, inside?"""
    lines = ["| Statistic | Real | Ours | Accepted | Inside |", "|---|---|---|---|---|"]
    for row in ROWS:
        value = measured[row.name]
        inside = "yes" if row.accepts(value) else "**no**"
        limits = f"{row.low:.4g} to {row.high:.4g}"
        lines.append(f"| {row.name} | {row.real:.4g} | {value:.4g} | {limits} | {inside} |")
    return "\n".join(lines)
