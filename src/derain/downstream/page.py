"""What an evaluation leaves to read: JSON, Markdown, LaTeX, and one HTML page with its images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from derain.downstream import tables
from derain.downstream.draw import draw_boxes, draw_classes
from derain.downstream.evaluate import RAIN, Report, Row
from derain.downstream.tasks import DetectionTask, SegmentationTask
from derain.evaluation import pages
from derain.io.atomic import write_atomically
from derain.io.decode import Image8

FILES = ("report.html", "report.md", "report.tex", "report.json")
EACH = 3  # images with the largest gain, and with the largest loss
QUALITY = 88  # of the WebP images


def write_files(out: Path, report: Report, about: dict[str, str]) -> None:
    """Write ``FILES``.

    Args:
        out: The folder; made if it is not there.
        report: What was measured.
        about: What the report says of the run: name -> value.

    Raises:
        OSError: The folder cannot be written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    texts = (
        render(report, about), tables.markdown(report, about), tables.as_latex(report),
        tables.as_json(report, about),
    )  # fmt: skip
    for name, text in zip(FILES, texts, strict=True):
        write_atomically(out / name, text.encode())


@dataclass(frozen=True)
class Shown:
    """An image before and after, with what was found in it."""

    kind: str  # "gain" or "loss"
    name: str
    size: tuple[int, int]  # width, height
    images: dict[str, str]  # "rainy", "derained" and perhaps "clean" -> key of the page's images
    change: str


def render(report: Report, about: dict[str, str]) -> str:
    """The page, which loads nothing from anywhere.

    Raises:
        ImportError: Jinja2 is not installed.
    """
    data_urls: dict[str, str] = {}
    return pages.template("downstream.html.jinja").render(
        title=f"What rain costs {report.task.model.name}",
        about=about, warnings=report.warnings, remarks=tables.remarks(report),
        cells=tables.cells(report), agnostic=tables.agnostic_cells(report),
        agnostic_remark=tables.agnostic_remark(report), detects=report.task.name == "detect",
        shown=[
            (row.name, examples(report, row, data_urls)) for row in report.rows if row.is_derained
        ],
        inputs=[["Input", "what it is"], *([row.name, row.source.about] for row in report.rows)],
        published=tables.published_cells(report.task.name),
        not_comparable=tables.NOT_COMPARABLE, data_urls=data_urls,
    )  # fmt: skip


def ranked(report: Report, row: Row) -> tuple[list[int], list[int]]:
    """The images that gain most and that lose most, the largest change first."""
    gains = row.result.gains(report.row(RAIN).result)
    order = [int(k) for k in np.argsort(-gains, kind="stable")]
    better = [k for k in order if gains[k] > 0]
    worse = [k for k in reversed(order) if gains[k] < 0]
    return better[:EACH], worse[:EACH]


def examples(report: Report, row: Row, data_urls: dict[str, str]) -> list[Shown]:
    """Images to look at.

    Args:
        report: What was measured.
        row: A derained version.
        data_urls: Receives the images as data: URLs, by a key of their own.
    """
    others = {"rainy": report.row(RAIN), "derained": row}
    others |= {one.name: one for one in report.rows if one.name == "clean"}
    shown: list[Shown] = []
    better, worse = ranked(report, row)
    for kind, indices in (("gain", better), ("loss", worse)):
        for k in indices:
            image = report.task.images[k]
            keys = {side: f"{one.name}-{k}" for side, one in others.items()}
            for side, one in others.items():
                if keys[side] not in data_urls:
                    data_urls[keys[side]] = pages.data_url(marked(report, one, k), QUALITY)
            size = image.width, image.height
            shown.append(Shown(kind, image.name, size, keys, change(report, row, k)))
    return shown


def marked(report: Report, row: Row, index: int) -> Image8:
    """An image (H, W, 3) of a version with what the model found in it."""
    task = report.task
    image = task.images[index]
    pixels = row.source.read(image)
    if isinstance(task, DetectionTask):
        return draw_boxes(pixels, row.result.counted[index], task.boxes.categories)
    if isinstance(task, SegmentationTask):
        return draw_classes(pixels, task.classes(image, pixels), task.model.num_classes)
    return pixels


def change(report: Report, row: Row, index: int) -> str:
    """What changed in one image, in words."""
    before, after = report.row(RAIN).result.counts, row.result.counts
    if report.task.name == "segment":
        shares = [100 * c["right"][index] / max(1, c["pixels"][index]) for c in (before, after)]
        return f"pixels right {shares[0]:.1f} → {shares[1]:.1f} %"
    right = f"{before['right'][index]:.0f} → {after['right'][index]:.0f}"
    wrong = [c["detected"][index] - c["right"][index] for c in (before, after)]
    return f"right {right} of {after['truths'][index]:.0f}, wrong {wrong[0]:.0f} → {wrong[1]:.0f}"
