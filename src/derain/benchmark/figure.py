"""A benchmark as an image."""

import io
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from derain.benchmark.curve import CurvePoint
from derain.benchmark.measure import BenchmarkRow
from derain.io.atomic import write_atomically

SUFFIXES = (".png", ".svg", ".pdf")


def check_plot_path(path: Path) -> None:
    """Find out before anything is measured that a plot cannot be written.

    Raises:
        ValueError: The suffix is none of ``SUFFIXES``, or the folder is not there.
        ModuleNotFoundError: Matplotlib is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path}: a plot must end in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}")
    import_module("matplotlib.figure")


def draw(path: Path, rows: Sequence[BenchmarkRow], points: Sequence[CurvePoint]) -> None:
    """Draw megapixels per second as bars and, where there is one, the cost curve."""
    from matplotlib.figure import Figure

    done = [row for row in rows if row.megapixels_per_second]
    panels = bool(done) + 2 * bool(points)
    figure = Figure(figsize=(6 * panels, max(3.2, 1.2 + 0.35 * len(done))), layout="constrained")
    axes = list(figure.subplots(1, panels, squeeze=False)[0])
    if done:
        bars = axes.pop(0)
        labels = [f"{r.model} {r.height}x{r.width}\n{r.engine} {r.precision}" for r in done]
        shown = bars.barh(range(len(done)), [r.megapixels_per_second for r in done])
        bars.bar_label(shown, fmt="%.2f", padding=3)
        bars.set_yticks(range(len(done)), labels, fontsize=8)
        bars.invert_yaxis()
        bars.margins(x=0.15)  # room for the numbers
        bars.set_xlabel("megapixels per second")
    sizes = [p.height * p.width / 1e6 for p in points]
    if points:
        axes[0].plot(sizes, [p.seconds_per_megapixel for p in points], marker="o")
        axes[0].set(xscale="log", xlabel="megapixels", ylabel="seconds per megapixel")
        axes[1].plot(
            sizes, [(p.peak_bytes or 0) / 1e6 for p in points], marker="o", label="process"
        )
        axes[1].plot(
            sizes, [p.image_bytes / 1e6 for p in points], "--", label="image and result in it"
        )
        axes[1].set(xscale="log", xlabel="megapixels", ylabel="peak memory (MB)")
        axes[1].legend()
        for one in axes:
            one.set_ylim(bottom=0)
            one.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=130)
    write_atomically(path, buffer.getvalue())
