"""What six kinds of rain cost two detectors and a segmenter, and what deraining gives back.

    python -m benchmarks.downstream ../shared/data/downstream                     # the default
    python -m benchmarks.downstream ../shared/data/downstream --model mspfn-lite  # another network
    python -m benchmarks.downstream ../shared/data/downstream --strengths         # of the default

Makes the figures of docs/guide/downstream.md and leaves a report with images per model and kind of
rain. Reports and derained images below --out are not made again, so a run that was stopped goes on.
On one busy core the default network takes half an hour, the others twice as long each; --every 4
takes a quarter of the images.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from derain.downstream.bootstrap import draw_weights, interval
from derain.downstream.evaluate import RAIN, Estimate, measure
from derain.downstream.inputs import Input
from derain.downstream.page import write_files
from derain.downstream.pipeline import PRESET, Subject, inputs
from derain.downstream.tables import with_interval
from derain.downstream.tasks import NAMES, Task
from derain.downstream.types import AnnotatedImage
from derain.evaluation.models import InferenceSettings
from derain.evaluation.typeset import align
from derain.io.decode import Image8
from derain.io.levels import quantise
from derain.weights.catalog import DEFAULT

KINDS = ("rain100l", "rain1400", "rain100h", "photoshop-heavy", "real", "real-night")
STRENGTHS = (0.5, 0.7, 0.85, 1.0, 1.15, 1.3)
ESPNET = Path(__file__).parents[1] / "examples" / "espnet.py"


def subjects(root: Path) -> dict[str, Subject]:
    """The models under test, by the name of their folder of reports."""
    coco, models, camvid = root / "coco", root / "models", root / "camvid"
    clean = coco / "images"
    boxes = coco / "instances.json"
    weights = models / "espnet_p_2_q_8_camvid.pth"
    return {
        "yolox": Subject("detect", f"onnx:{models / 'yolox_nano.onnx'}:yolox", boxes, clean),
        "espnet": Subject(
            "segment", f"python:{ESPNET}:espnet:{weights}",
            camvid / "masks", camvid / "images", ignore=11,
        ),
        "fastestdet": Subject(
            "detect", f"onnx:{models / 'FastestDet.onnx'}:fastestdet", boxes, clean
        ),
    }  # fmt: skip


class Remembering:
    """A model that is asked once per image: the clean ones are the same for all kinds of rain."""

    def __init__(self, model: Any) -> None:
        self.model, self.name = model, model.name
        self.num_classes = getattr(model, "num_classes", 0)
        self._answers: dict[bytes, Any] = {}

    def __call__(self, images: Sequence[Image8]) -> list[Any]:
        """See ``Detector`` and ``Segmenter``."""
        return [self._answer(image) for image in images]

    def _answer(self, image: Image8) -> Any:
        key = hashlib.sha256(image.tobytes()).digest()
        if key not in self._answers:
            (answer,) = self.model([image])
            classes = isinstance(answer, np.ndarray)
            self._answers[key] = answer.astype(np.uint8) if classes else answer
        return self._answers[key]


class Blended:
    """A derained version at another strength: 0 is the rainy image, 1 the network's."""

    def __init__(self, rain: Input, derained: Input, strength: float) -> None:
        self.rain, self.derained, self.strength = rain, derained, strength
        self.about = f"strength {strength:g}"

    def check(self, images: Sequence[AnnotatedImage]) -> None:
        """See ``Input``."""
        self.rain.check(images)

    def read(self, image: AnnotatedImage) -> Image8:
        """See ``Input``."""
        rainy, derained = (v.read(image) / np.float32(255) for v in (self.rain, self.derained))
        return quantise(rainy + np.float32(self.strength) * (derained - rainy))


def rows_of(report: Any, primary: str) -> dict[str, tuple[float, float, Estimate | None, str]]:
    """Versions of a report.json: PSNR, the primary metric, its change, and what came back."""
    found = {}
    for row in report["inputs"]:
        change, back = row["changes"].get(primary), row["recovered"]
        share = f"{back['value']:.0f} % [{back['low']:.0f}, {back['high']:.0f}]" if back else "-"
        value = row["metrics"][primary]["value"]
        estimate = Estimate(**change) if change else None
        found[row["name"]] = float(row["psnr"]), value, estimate, share
    return found


def table(reports: dict[str, Any], primary: str, models: Sequence[str]) -> Iterator[list[str]]:
    """Kinds of rain and what each network gives back: header and rows."""
    name = NAMES[primary]
    head = ["Rain", "PSNR", name, "cost [95 %]"]
    for model in models:
        head += [f"{model}: PSNR", name, f"Δ{name} [95 %]", "recovered [95 %]"]
    yield head
    for kind, report in reports.items():
        rows = rows_of(report, primary)
        psnr, value, _, _ = rows[RAIN]
        cost = Estimate(**report["cost_of_rain"])
        cells = [kind, f"{psnr:.1f}", f"{value:.1f}", with_interval(cost)]
        for model in models:
            psnr, value, change, share = rows[model]
            assert change
            cells += [f"{psnr:.1f}", f"{value:.1f}", with_interval(change), share]
        yield cells


def correlations(reports: dict[str, Any], primary: str, models: Sequence[str]) -> str:
    """Whether PSNR tells how well the model will do: Spearman's rank correlations."""
    every = [rows_of(report, primary) for report in reports.values()]
    rain = [rows[RAIN][:2] for rows in every]
    gains = [
        (rows[model][0] - rows[RAIN][0], rows[model][1] - rows[RAIN][1])
        for rows in every
        for model in models
    ]
    texts = []
    for what, pairs in (("kinds of rain", rain), ("gains of deraining", gains)):
        if len(pairs) > 2:
            psnrs, values = zip(*pairs, strict=True)
            found: Any = spearmanr(psnrs, values)
            texts.append(f"{what}: {found.statistic:.2f} over {len(pairs)}")
    return f"rank correlation of PSNR and {NAMES[primary]}: {'; '.join(texts)}"


def strengths(task: Task, versions: dict[str, dict[str, Input]], model: str) -> Iterator[str]:
    """Choose the strength on every second image, and measure it on the others."""
    scored: dict[float, list[np.ndarray]] = {s: [] for s in STRENGTHS}
    count = len(task.images)
    halves = np.zeros((2, count))
    halves[0, ::2], halves[1, 1::2] = 1, 1
    drawn = np.zeros((1000, count))
    drawn[:, 1::2] = draw_weights(count // 2, 1000)
    for kind in versions.values():
        sources = {s: Blended(kind[RAIN], kind[model], s) for s in STRENGTHS}
        found = {s: [] for s in STRENGTHS}
        for image in task.images:
            for strength, source in sources.items():
                found[strength].append(task.run(image, source.read(image)))
        for strength, each in found.items():
            result = task.score(each).measure(np.vstack([halves, drawn]))
            scored[strength].append(result[task.primary])
    means = {s: np.mean(values, axis=0) for s, values in scored.items()}
    for strength, values in means.items():
        low, high = interval(values[2:] - means[1.0][2:])
        yield (
            f"strength {strength:g}: {values[0]:.2f} on the first half, {values[1]:.2f} on the "
            f"second ({values[1] - means[1.0][1]:+.2f} [{low:.2f}, {high:.2f}] against 1)"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--out", type=Path, default=Path("downstream"))
    parser.add_argument("--model", action="append", help=f"may be repeated; default {DEFAULT}")
    parser.add_argument("--every", type=int, default=1, help="take each image of this number")
    parser.add_argument("--only", action="append", help="yolox, espnet or fastestdet; all")
    parser.add_argument("--kind", action="append", help="a kind of rain; the default is all six")
    parser.add_argument("--strengths", action="store_true", help="compare strengths instead")
    options = parser.parse_args()
    models = options.model or [DEFAULT]
    cache, settings = options.out / "cache", InferenceSettings(precision="f32", device="cpu")
    for name, subject in subjects(options.root).items():
        if options.only and name not in options.only:
            continue
        task = subject.load(every=options.every)
        task.model = Remembering(task.model)
        kinds = options.kind or KINDS
        versions = {
            kind: inputs(subject.clean, PRESET + kind, models, cache, settings) for kind in kinds
        }
        print(f"\n{task.model.name}, {len(task.images)} images, every {options.every}", flush=True)
        if options.strengths:
            print(*strengths(task, versions, models[0]), sep="\n", flush=True)
            continue
        reports: dict[str, Any] = {}
        for kind, sources in versions.items():
            folder = options.out / name / f"{kind}-{'-'.join(models)}-{options.every}"
            if not (folder / "report.json").is_file():
                report = measure(task, sources, note=print)
                write_files(folder, report, {"rain": kind, "command": "benchmarks.downstream"})
            reports[kind] = json.loads((folder / "report.json").read_text())
        clean = next(iter(reports.values()))["inputs"][-1]["metrics"]
        print("clean:", *(f"{NAMES[m]} {v['value']:.2f}" for m, v in clean.items()))
        print(*align(list(table(reports, task.primary, models))), sep="\n")
        print(correlations(reports, task.primary, models), flush=True)


if __name__ == "__main__":
    main()
