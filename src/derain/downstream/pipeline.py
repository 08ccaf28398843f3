"""A downstream evaluation from end to end: read, derain, measure, write the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from derain.downstream import tables
from derain.downstream.annotations import (
    AnnotationError,
    Boxes,
    read_coco,
    read_masks,
    read_yolo,
)
from derain.downstream.detection import DetectionSettings
from derain.downstream.evaluate import CLEAN, RAIN, measure
from derain.downstream.inputs import Derained, Folder, Input, PresetRain
from derain.downstream.models import load_model
from derain.downstream.page import write_files
from derain.downstream.tasks import DetectionTask, SegmentationTask, Task
from derain.evaluation.cache import Cache, Note
from derain.evaluation.models import InferenceSettings, evaluation_model
from derain.evaluation.typeset import align

PRESET = "preset:"
CLASSES = "classes.txt"  # the names of the classes beside YOLO's text files


@dataclass(frozen=True)
class Subject:
    """What is judged, by what.

    Attributes:
        task: ``detect`` or ``segment``.
        model: As ``models.load_model`` takes it.
        annotations: A COCO JSON file, a folder of YOLO text files or one of masks.
        clean: The folder of the clean images.
        labels: As ``models.load_model`` takes it.
        ignore: The value of mask pixels that do not count.
        thresholds: What is counted of detections.
    """

    task: str
    model: str
    annotations: Path
    clean: Path | None = None
    labels: Path | None = None
    ignore: int = 255
    thresholds: DetectionSettings = field(default_factory=DetectionSettings)

    def load(self, every: int = 1, limit: int | None = None) -> Task:
        """The model beside the annotations.

        Args:
            every: Take each image of this number, the first one included.
            limit: Take only the first so many images.

        Raises:
            ValueError: Something cannot be read, or does not fit; names it.
        """
        if self.task == "detect":
            boxes = self._boxes()
            boxes = boxes.only([image.name for image in boxes.images[::every][:limit]])
            return DetectionTask(load_model(self.model, boxes, self.labels), boxes, self.thresholds)
        if self.task == "segment":
            masks = read_masks(self.annotations, self.ignore)
            masks = masks.only([image.name for image in masks.images[::every][:limit]])
            model = load_model(self.model, None)
            if not isinstance(getattr(model, "num_classes", None), int):
                raise ValueError(f"{self.model}: a segmenter says its num_classes")
            return SegmentationTask(model, masks)
        raise ValueError(f"--task must be detect or segment: {self.task}")

    def _boxes(self) -> Boxes:
        if not self.annotations.is_dir():
            return read_coco(self.annotations)
        if self.clean is None:
            raise AnnotationError(f"{self.annotations}: YOLO text needs the clean images")
        names = self.annotations / CLASSES
        if not names.is_file():
            raise AnnotationError(f"{names}: no such file; it names the classes, one a line")
        listed = [line.strip() for line in names.read_text("utf-8").splitlines() if line.strip()]
        return read_yolo(self.annotations, self.clean, listed)


def run_downstream(
    subject: Subject,
    rain: str,
    derained: Sequence[str],
    out: Path,
    settings: InferenceSettings | None = None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    limit: int | None = None,
    about: dict[str, str] | None = None,
    note: Note = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Measure, and write ``page.FILES``; images that an earlier run derained are not made again.

    Args:
        subject: What is judged, by what.
        rain: ``preset:NAME``, or a folder of rainy images.
        derained: Names or files as ``evaluation_model`` takes them, or folders of images.
        out: Folder for the report and the cache.
        settings: How the deraining networks run.
        bootstrap: Draws of the bootstrap.
        seed: The seed of the rain of a preset.
        limit: Only the first so many images.
        about: What the report says of this run.
        note: Is told warnings.
        progress: Is told after each image how many are done, of how many.

    Returns:
        The main table as Markdown.

    Raises:
        ValueError: Something cannot be read or used; names it.
        OSError: ``out`` cannot be written to.
    """
    task = subject.load(limit=limit)
    versions = inputs(subject.clean, rain, derained, out / "cache", settings, seed, note)
    report = measure(task, versions, bootstrap, note=note, progress=progress)
    write_files(out, report, about or {})
    return "\n".join(align(tables.cells(report)))


def inputs(
    clean: Path | None,
    rain: str,
    derained: Sequence[str],
    cache: Path,
    settings: InferenceSettings | None = None,
    seed: int = 0,
    note: Note = lambda text: None,
) -> dict[str, Input]:
    """The versions that are compared: rain, each deraining, clean. Arguments as above.

    Raises:
        ValueError: A name or folder that is not there, or two of one name.
    """
    settings = settings or InferenceSettings()
    truth = Folder(clean) if clean else None
    if rain.startswith(PRESET):
        if truth is None:
            raise ValueError(f"{rain} needs the clean images to draw rain on: --clean FOLDER")
        source: Input = PresetRain(rain.removeprefix(PRESET), truth, seed)
    else:
        source = Folder(Path(rain))
    versions: dict[str, Input] = {RAIN: source}
    for what in derained:
        if Path(what).is_dir():
            name, one = Path(what).name, Folder(Path(what))
        else:
            model = evaluation_model(what, settings)
            name, kept = model.name, Cache(cache, model.sha256, "derained", note)
            text = f"{model.name} (sha256 {model.sha256[:16]}) on {model.where}"
            one = Derained(model, source, text, kept, model.where)
        if name in (*versions, CLEAN):
            raise ValueError(f"--derain {what}: there is another input of the name {name}")
        versions[name] = one
    return versions | ({CLEAN: truth} if truth else {})
