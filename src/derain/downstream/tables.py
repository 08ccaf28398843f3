"""The report as text: Markdown, LaTeX, JSON, and the published figures to put beside it."""

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from derain.downstream.detection import BEST_IOU
from derain.downstream.evaluate import CLEAN, PROTOCOL, RAIN, Estimate, Report, Row, mean_of
from derain.downstream.tasks import NAMES, DetectionTask
from derain.evaluation.published import find_tables
from derain.evaluation.typeset import align, latex
from derain.metrics import METRICS

LIBRARIES = ("numpy", "opencv-python-headless", "pycocotools", "onnxruntime")
AGNOSTIC = ("best_iou", "best_recall", "best_precision")
PUBLISHED = {  # task -> tables of the paper
    "detect": ("Table 6, deraining", "Table 6, detection by YOLOv3"),
    "segment": ("Table 6, BDD150",),
}
NOT_COMPARABLE = (
    "MSPFN's paper (section 4.3.3) drew rain in Photoshop on 850 images of COCO and BDD100K that "
    "are not public, measured YOLOv3 and RefineNet, and gives no figures of the clean images. It "
    "does not say whether its threshold of 0.6 is a score or an IoU, whether classes must agree, "
    "or over what the IoU is averaged. Other images, models and definitions: its numbers compare "
    "with each other, not with ours."
)


def cells(report: Report) -> list[list[str]]:
    """Header and rows of the main table."""
    task, primary = report.task, NAMES[report.task.primary]
    rows = [
        [
            "Input", "PSNR", "SSIM", *(NAMES[m] for m in task.shown),
            f"Δ{primary} [95 %]", "recovered [95 %]", "s/image",
        ]
    ]  # fmt: skip
    for row in report.rows:
        change = row.changes.get(task.primary)
        rows.append(
            [
                named(row), *_quality(row), *(_number(row.metrics[m].value) for m in task.shown),
                with_interval(change) if change else "reference",
                back(row), _number(row.seconds, 2, none=""),
            ]
        )  # fmt: skip
    return rows


def agnostic_cells(report: Report) -> list[list[str]]:
    """Header and rows of the class-agnostic block; empty for segmentation."""
    if not isinstance(report.task, DetectionTask):
        return []
    head = [
        "Input",
        *(f"{NAMES[m]}{'' if m == 'best_iou' else f'@{BEST_IOU:g}'}" for m in AGNOSTIC),
    ]
    return [
        head,
        *([named(r), *(_number(r.metrics[m].value) for m in AGNOSTIC)] for r in report.rows),
    ]


def published_cells(task: str) -> list[tuple[str, list[list[str]]]]:
    """The tables of the paper that ask the same question: name, header and rows."""
    return [
        (f"{table.paper}, {table.name}", [list(row) for row in table.cells])
        for name in PUBLISHED[task]
        for table in find_tables("MSPFN", name)
    ]


def remarks(report: Report) -> list[str]:
    """What one must know to read the tables."""
    primary = NAMES[report.task.primary]
    draws, seed = report.bootstrap
    texts = [
        f"{len(report.task.images)} images, {report.task.model.name}; {report.task.settings}. "
        f"All in percent, PSNR in dB (protocol {PROTOCOL}). Rank by {primary}.",
        f"Intervals: {draws} bootstrap draws over images, seed {seed}, paired; * marks a change "
        "whose interval has no zero.",
        f"recovered = ({primary} - {primary} of rain) / ({primary} of clean - {primary} of rain).",
    ]
    if report.cost and report.rows[0].recovered is None:
        texts.append(
            f"Rain costs {with_interval(report.cost)} {primary}: too little against its error to "
            "say what comes back."
        )
    if isinstance(report.task, DetectionTask):
        texts.append(
            "Rain removes detections rather than corrupting them, so at a fixed score the "
            "precision hardly falls: read it with recall and AP."
        )
    return texts


def agnostic_remark(report: Report) -> str:
    """What the class-agnostic block holds."""
    floor = report.task.thresholds.floor if isinstance(report.task, DetectionTask) else 0
    return (
        f"Classes ignored, detections with score >= {floor:g}: the mean over annotated boxes of "
        f"the best IoU with any detection; the share of boxes with more than {BEST_IOU:g}; and "
        "their number divided by that of the detections."
    )


def markdown(report: Report, about: dict[str, str]) -> str:
    """The whole report."""
    parts = [f"# What rain costs {report.task.model.name}, and what comes back"]
    parts += [f"**Warning:** {text}" for text in report.warnings]
    parts += ["\n".join(align(cells(report))), *remarks(report)]
    if rows := agnostic_cells(report):
        parts += ["## Any class", "\n".join(align(rows)), agnostic_remark(report)]
    parts += ["## Inputs", "\n".join(f"- {row.name}: {row.source.about}" for row in report.rows)]
    parts += ["## Published"]
    for name, rows in published_cells(report.task.name):
        parts += [f"{name}:", "\n".join(align(rows))]
    parts += [NOT_COMPARABLE, "## Run", "\n".join(f"- {k}: {v}" for k, v in about.items())]
    return "\n\n".join(parts) + "\n"


def as_latex(report: Report) -> str:
    """The main table, for a paper."""
    return latex(cells(report), " ".join([*report.warnings, *remarks(report)]))


def as_json(report: Report, about: dict[str, str]) -> str:
    """Every number, setting and version; what is not defined is null, infinity is "inf"."""
    task = report.task
    model = {"name": task.model.name, "sha256": getattr(task.model, "sha256", None)}
    found: dict[str, Any] = {
        **about,
        "task": task.name, "model": model, "settings": task.settings,
        "thresholds": getattr(getattr(task, "thresholds", None), "__dict__", {}),
        "protocol": PROTOCOL,
        "bootstrap": {"draws": report.bootstrap[0], "seed": report.bootstrap[1]},
        "libraries": {name: version(name) for name in LIBRARIES},
        "warnings": report.warnings,
        "cost_of_rain": _json(report.cost),
        "images": [image.name for image in task.images],
        "inputs": [_json_row(row) for row in report.rows],
    }  # fmt: skip
    return json.dumps(found, indent=1, allow_nan=False)


def _json_row(row: Row) -> dict[str, Any]:
    by_class = getattr(row.result, "by_class", None)
    return {
        "name": row.name, "about": row.source.about, "seconds": row.seconds,
        "psnr": _finite(mean_of(row.psnr)), "ssim": _finite(mean_of(row.ssim)),
        "metrics": {name: _json(value) for name, value in row.metrics.items()},
        "changes": {name: _json(value) for name, value in row.changes.items()},
        "recovered": _json(row.recovered),
        **({"iou_by_class": by_class} if by_class else {}),
        "by_image": {
            "psnr": [_finite(v) for v in row.psnr], "ssim": [_finite(v) for v in row.ssim],
            **row.result.counts,
        },
    }  # fmt: skip


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {name: _finite(value) for name, value in vars(estimate).items()}


def _finite(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def named(row: Row) -> str:
    """What tables call a version."""
    return {RAIN: "rain", CLEAN: "clean (upper bound)"}.get(row.name, row.name)


def back(row: Row) -> str:
    """How much of what rain costs comes back, with its interval; empty where that is not known."""
    if row.recovered is None:
        return ""
    if not row.is_derained:
        return f"{row.recovered.value:.0f} %"
    value = row.recovered
    return f"{value.value:.0f} % [{value.low:.0f}, {value.high:.0f}]"


def with_interval(estimate: Estimate) -> str:
    """A change with its interval and a star where it is significant."""
    star = "*" if estimate.is_significant else ""
    if math.isnan(estimate.value):
        return "-"
    return f"{estimate.value:+.1f} [{estimate.low:.1f}, {estimate.high:.1f}]{star}"


def _quality(row: Row) -> Sequence[str]:
    digits = {"psnr": METRICS["psnr"].digits, "ssim": METRICS["ssim"].digits}
    return [_number(mean_of(row.psnr), digits["psnr"]), _number(mean_of(row.ssim), digits["ssim"])]


def _number(value: float | None, digits: int = 1, none: str = "-") -> str:
    if value is None or math.isnan(value):
        return none
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"
