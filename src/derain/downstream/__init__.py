"""Does deraining help a detector or a segmenter? Any model, on any versions of annotated images.

from derain.downstream import OnnxDetector, evaluate_downstream, read_coco

detector = OnnxDetector(Path("yolox_nano.onnx"), "yolox", list(read_coco(file).categories))
inputs = {"rain": "preset:rain100h", "derained": derain.load(), "clean": "images"}
report = evaluate_downstream("detect", detector, inputs, file)

Needs `pip install derain[downstream]`.
"""

# Imported only to name the part of the extra that is missing before anything else needs it.
try:
    import jinja2  # noqa: F401
    import onnxruntime  # noqa: F401
    import pycocotools  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        f"a downstream evaluation needs {error.name}: `pip install derain[downstream]`"
    ) from None

from derain.downstream.annotations import read_coco, read_masks, read_yolo
from derain.downstream.evaluate import Report, evaluate_downstream
from derain.downstream.onnx import OnnxDetector
from derain.downstream.page import write_files
from derain.downstream.types import Detections, Detector, Segmenter

__all__ = [
    "Detections",
    "Detector",
    "OnnxDetector",
    "Report",
    "Segmenter",
    "evaluate_downstream",
    "read_coco",
    "read_masks",
    "read_yolo",
    "write_files",
]
