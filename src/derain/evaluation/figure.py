"""The qualitative figure of a paper: rainy, every method, ground truth, with enlarged details."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from derain.evaluation.models import EvaluationModel
from derain.evaluation.sets import read_pair
from derain.io.atomic import write_atomically
from derain.io.decode import Image8
from derain.io.pairs import PairPath
from derain.metrics import METRICS, bind

SUFFIXES = (".png", ".pdf")
COLOURS = ("#e4002b", "#ffb000", "#00a3e0", "#5fbf3f")  # of boxes, one after the other
TRUTH = "Ground truth"
BRIGHTEST = 64  # levels of error that an error map shows as its brightest


class Box(NamedTuple):
    """A detail to enlarge, in pixels of the image."""

    left: int
    top: int
    width: int
    height: int


class Panel(NamedTuple):
    """One image of a row."""

    title: str
    image: Image8
    score: str  # "28.66 dB / 0.8601"; empty where nothing is measured


def parse_box(text: str) -> Box:
    """A box as the command line has it: LEFT,TOP,WIDTH,HEIGHT.

    Raises:
        ValueError: It is written otherwise, or empty.
    """
    try:
        box = Box(*map(int, text.split(",")))
    except (TypeError, ValueError):
        raise ValueError(f"--crop {text}: write it as LEFT,TOP,WIDTH,HEIGHT in pixels") from None
    if min(box.left, box.top) < 0 or min(box.width, box.height) < 1:
        raise ValueError(f"--crop {text}: left and top from 0, width and height from 1")
    return box


def choose_images(items: Sequence[PairPath], names: Sequence[str]) -> list[PairPath]:
    """The images of a set by name; the first without names.

    Raises:
        ValueError: One is not in the set; names it and some that are.
    """
    known = {item.name: item for item in items}
    if missing := [name for name in names if name not in known]:
        some = ", ".join(list(known)[:5])
        raise ValueError(f"no image {missing[0]!r} in the set; there are {some}, ...")
    return [known[name] for name in names] if names else list(items[:1])


def panels(item: PairPath, models: Sequence[EvaluationModel], protocol: str) -> list[Panel]:
    """A row: the rainy image, what each model makes of it, and the ground truth if there is one.

    Raises:
        ValueError: The image cannot be read, restored or measured; names it.
    """
    rainy, clean = read_pair(item)
    names = ("psnr", "ssim") if clean is not None else ()
    measures = {name: bind(name, protocol) for name in names}

    def score(image: Image8) -> str:
        values = (f"{f(image, clean):.{METRICS[name].digits}f}" for name, f in measures.items())
        return " dB / ".join(values)

    row = [Panel("Rainy", rainy, score(rainy))]
    for model in models:
        restored = model(rainy)
        row.append(Panel(model.name, restored, score(restored)))
    return row if clean is None else [*row, Panel(TRUTH, clean, "")]


def draw(rows: Sequence[Sequence[Panel]], boxes: Sequence[Box], errors: bool) -> Any:
    """The figure: images, below them their enlarged details and maps of their errors.

    Args:
        rows: One per image, with as many panels each.
        boxes: Details to enlarge, the same in every image.
        errors: Whether to show the absolute difference to the ground truth, mean over channels.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: A box lies outside an image.
    """
    from matplotlib.figure import Figure

    for row in rows:
        height, width = row[0].image.shape[:2]
        for box in boxes:
            if box.left + box.width > width or box.top + box.height > height:
                raise ValueError(f"the box {','.join(map(str, box))} lies outside {width}x{height}")
    parts = [_heights(row[0].image, boxes, errors) for row in rows]
    columns = len(rows[0])
    figure = Figure(figsize=(2.4 * columns, 2.4 * sum(map(sum, parts)) + 0.45 * len(rows)))
    grid = figure.add_gridspec(
        sum(map(len, parts)), columns, height_ratios=[h for part in parts for h in part],
        left=0.005, right=0.995, top=0.98, bottom=0.02, wspace=0.02, hspace=0.12,
    )  # fmt: skip
    line = 0
    for row, part in zip(rows, parts, strict=True):
        truth = row[-1].image if row[-1].title == TRUTH else None
        for column, panel in enumerate(row):
            axes = _shown(figure.add_subplot(grid[line, column]), panel.image)
            axes.set_title(panel.title if line == 0 else "", fontsize=9, pad=3)
            axes.set_xlabel(panel.score or " ", fontsize=8, labelpad=2)
            if boxes:
                inside = grid[line + 1, column].subgridspec(1, len(boxes), wspace=0.03)
                for i, box in enumerate(boxes):
                    detail = figure.add_subplot(inside[0, i])
                    _enlarge(axes, detail, panel.image, box, COLOURS[i % len(COLOURS)])
            if errors and truth is not None and panel.title != TRUTH:
                axes = figure.add_subplot(grid[line + len(part) - 1, column])
                error = np.abs(panel.image.astype(np.int16) - truth).mean(axis=2)
                axes.imshow(error, cmap="inferno", vmin=0, vmax=BRIGHTEST, interpolation="none")
                axes.axis("off")
        line += len(part)
    return figure


def _enlarge(axes: Any, detail: Any, image: Image8, box: Box, colour: str) -> None:
    """Mark a box in an image and show it in axes of its own, in one colour."""
    from matplotlib.patches import Rectangle

    place = ((box.left - 0.5, box.top - 0.5), box.width, box.height)
    axes.add_patch(Rectangle(*place, fill=False, edgecolor=colour, linewidth=1.2))
    _shown(detail, image[box.top : box.top + box.height, box.left : box.left + box.width])
    for spine in detail.spines.values():
        spine.set(visible=True, edgecolor=colour, linewidth=1.5)


def _heights(image: Image8, boxes: Sequence[Box], errors: bool) -> list[float]:
    """How high the parts of a row are, in widths of a panel."""
    aspect = image.shape[0] / image.shape[1]
    details = max(box.height / box.width for box in boxes) / len(boxes) if boxes else 0.0
    return [aspect, *([details] if boxes else []), *([aspect] if errors else [])]


def _shown(axes: Any, image: Image8) -> Any:
    axes.imshow(image, interpolation="none")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def check_name(path: Path) -> None:
    """Refuse a name that is not a figure's.

    Raises:
        ValueError: It ends neither in .png nor in .pdf.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: the figure must end in {' or '.join(SUFFIXES)}")


def save(figure: Any, path: Path) -> None:
    """Write a figure as .png or .pdf.

    Raises:
        ValueError: Another suffix.
        OSError: It cannot be written.
    """
    check_name(path)
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix[1:].lower(), dpi=200)
    write_atomically(path, data.getvalue())
