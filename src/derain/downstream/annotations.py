"""Ground truth: boxes as COCO JSON or YOLO text, classes of pixels as index masks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from derain.downstream.types import AnnotatedImage
from derain.io.formats import ImageError, one_line
from derain.io.gate import inspect_image
from derain.io.pairs import find_images, images_by_name

VOID = 255  # the ignore label unless another is given


class AnnotationError(ValueError):
    """Ground truth that cannot be used; one line that names the file and the place in it."""


@dataclass(frozen=True)
class Boxes:
    """Boxes around objects, as COCO keeps them.

    Attributes:
        source: The file or folder that they were read from.
        images: What is annotated.
        ids: The id of each image in ``dataset``.
        categories: Name by id, in the order of the ids.
        dataset: ``images``, ``annotations`` and ``categories`` of the COCO format.
    """

    source: Path
    images: tuple[AnnotatedImage, ...]
    ids: tuple[int, ...]
    categories: Mapping[int, str]
    dataset: dict[str, Any]

    @cached_property
    def by_image(self) -> dict[int, list[dict[str, Any]]]:
        """The annotations of each image, by its id."""
        found: dict[int, list[dict[str, Any]]] = {number: [] for number in self.ids}
        for annotation in self.dataset["annotations"]:
            found[annotation["image_id"]].append(annotation)
        return found

    def only(self, names: Sequence[str]) -> "Boxes":
        """The annotations of some images."""
        kept = [k for k, image in enumerate(self.images) if image.name in set(names)]
        ids = tuple(self.ids[k] for k in kept)
        dataset = self.dataset | {
            "images": [i for i in self.dataset["images"] if i["id"] in ids],
            "annotations": [a for a in self.dataset["annotations"] if a["image_id"] in ids],
        }
        images = tuple(self.images[k] for k in kept)
        return Boxes(self.source, images, ids, self.categories, dataset)


def read_coco(path: Path) -> Boxes:
    """Read a COCO JSON file.

    Raises:
        AnnotationError: It cannot be read, or an entry is impossible; names it.
    """
    try:
        dataset = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise AnnotationError(f"{path}: {error.strerror or one_line(error)}") from None
    except ValueError as error:
        raise AnnotationError(f"{path}: not a JSON file: {one_line(error)}") from None
    return boxes_of(dataset, path)


def boxes_of(dataset: Any, source: Path) -> Boxes:
    """Check a dataset in COCO's format.

    Args:
        dataset: What a COCO JSON file holds.
        source: What messages call it.

    Raises:
        AnnotationError: A part is missing or impossible; names it.
    """
    try:
        categories = {int(one["id"]): str(one["name"]) for one in dataset["categories"]}
        images = [
            AnnotatedImage(_stem(one["file_name"]), int(one["height"]), int(one["width"]))
            for one in dataset["images"]
        ]
        ids = [int(one["id"]) for one in dataset["images"]]
        annotations = [
            {
                "area": float(a["bbox"][2]) * float(a["bbox"][3]), "iscrowd": 0, **a,
                "id": number, "bbox": [float(v) for v in a["bbox"]],
            }
            for number, a in enumerate(dataset["annotations"], 1)
        ]  # fmt: skip
        fields = [(a["image_id"], a["category_id"], a["bbox"]) for a in annotations]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise AnnotationError(
            f"{source}: not COCO boxes ({type(error).__name__}: {one_line(error)})"
        ) from None
    if not images or not annotations:
        raise AnnotationError(f"{source}: no {'boxes' if images else 'images'} in it")
    if len(set(ids)) < len(ids) or len({i.name for i in images}) < len(images):
        raise AnnotationError(f"{source}: an image is listed twice")
    names = {number: image.name for number, image in zip(ids, images, strict=True)}
    for image_id, category, box in fields:
        if image_id not in names:
            raise AnnotationError(
                f"{source}: a box belongs to image {image_id}, which is not listed"
            )
        if category not in categories:
            raise AnnotationError(f"{source}: {names[image_id]}: category {category} is not listed")
        if len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) < 0:
            raise AnnotationError(
                f"{source}: {names[image_id]}: {box} is no box of left, top, width and height"
            )
    whole = {
        "info": {}, "images": [{"id": number} for number in ids],
        "categories": [{"id": k, "name": v} for k, v in sorted(categories.items())],
        "annotations": annotations,
    }  # fmt: skip
    return Boxes(source, tuple(images), tuple(ids), dict(sorted(categories.items())), whole)


def read_yolo(labels: Path, images: Path, names: Sequence[str]) -> Boxes:
    """Read a folder of YOLO text files: "class centre-x centre-y width height" in fractions.

    Args:
        labels: NAME.txt for NAME.jpg; an image without a file, or with an empty one, has no box.
        images: The images, whose sizes the fractions are of.
        names: The names of classes 0, 1, 2, ..., which become category ids 1, 2, 3, ...

    Raises:
        AnnotationError: A line that is no box; names file and line.
        ImageError: There is no image; names the folder.
    """
    files = images_by_name(images, recursive=True)
    texts = {p.relative_to(labels).with_suffix("").as_posix(): p for p in labels.rglob("*.txt")}
    if alone := sorted(texts.keys() - files.keys() - {"classes"}):
        raise AnnotationError(f"{texts[alone[0]]}: no such image in {images}")
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, file) in enumerate(files.items(), 1):
        height, width = inspect_image(file).upright_size
        entries.append({"id": number, "file_name": name, "height": height, "width": width})
        text = texts[name].read_text("utf-8") if name in texts else ""
        for line_number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                where = f"{texts[name]}: line {line_number}"
                kind, box = _yolo_box(line, where, len(names), height, width)
                annotations.append({"image_id": number, "category_id": kind + 1, "bbox": box})
    categories = [{"id": k, "name": name} for k, name in enumerate(names, 1)]
    dataset = {"images": entries, "annotations": annotations, "categories": categories}
    return boxes_of(dataset, labels)


def _yolo_box(
    line: str, where: str, classes: int, height: int, width: int
) -> tuple[int, list[float]]:
    """Class, and left, top, width and height in pixels within the image."""
    try:
        kind, x, y, w, h = (float(part) for part in line.split())
    except ValueError:
        raise AnnotationError(
            f"{where}: not a class and four fractions: {line.strip()[:60]!r}"
        ) from None
    if kind not in range(classes):
        raise AnnotationError(f"{where}: class {kind:g} has no name; there are {classes}")
    if not (0 <= x <= 1 and 0 <= y <= 1 and 0 <= w <= 1 and 0 <= h <= 1):
        raise AnnotationError(f"{where}: a box is given in fractions of 0 to 1: {line.strip()!r}")
    left, top = max(0.0, (x - w / 2) * width), max(0.0, (y - h / 2) * height)
    right, bottom = min(width, (x + w / 2) * width), min(height, (y + h / 2) * height)
    return int(kind), [round(v, 2) for v in (left, top, right - left, bottom - top)]


@dataclass(frozen=True)
class Masks:
    """A class for every pixel: index images, grey or with a palette.

    Attributes:
        source: Their folder.
        images: What is annotated.
        files: The mask of each image, by its name.
        ignore: The value of pixels that do not count.
    """

    source: Path
    images: tuple[AnnotatedImage, ...]
    files: Mapping[str, Path]
    ignore: int

    def read(self, image: AnnotatedImage) -> NDArray[np.uint8]:
        """The classes (H, W) of an image's pixels.

        Raises:
            ImageError: The file is damaged; names it.
        """
        return _read_mask(self.files[image.name])

    def only(self, names: Sequence[str]) -> "Masks":
        """The masks of some images."""
        images = tuple(image for image in self.images if image.name in set(names))
        return Masks(self.source, images, self.files, self.ignore)


def read_masks(folder: Path, ignore: int = VOID) -> Masks:
    """Find the masks of a folder.

    Args:
        folder: Index images (grey, or with a palette, whose colours do not matter).
        ignore: The value of pixels that do not count.

    Raises:
        ImageError: No folder, no mask in it, or one is no index image; names it.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder}: no such folder; segmentation takes a folder of index masks")
    files = {f.relative_to(folder).with_suffix("").as_posix(): f for f in find_images(folder, True)}
    images: list[AnnotatedImage] = []
    for name, path in files.items():
        height, width = inspect_image(path).upright_size
        images.append(AnnotatedImage(name, height, width))
    _read_mask(files[images[0].name])  # a folder of coloured masks is refused at once
    return Masks(folder, tuple(images), files, ignore)


def _read_mask(path: Path) -> NDArray[np.uint8]:
    inspect_image(path)  # the gate for untrusted bytes
    try:
        with Image.open(path) as mask:
            if mask.mode in ("P", "L"):  # Pillow keeps indices; OpenCV turns them into colours
                return np.asarray(mask)
            mode = mask.mode
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"{path}: {one_line(error)}") from None
    raise ImageError(
        f"{path}: a mask holds one class number of 8 bits per pixel; this image is {mode}"
    )


def _stem(file_name: Any) -> str:
    return PurePosixPath(str(file_name).replace("\\", "/")).with_suffix("").as_posix()
