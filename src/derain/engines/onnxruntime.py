"""onnxruntime on the CPU, or on CUDA with `onnxruntime-gpu`, from an `.onnx` file."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from derain.engines.engine import Batch, check_result, image_size, require_one_each, require_size
from derain.weights.headers import read_record

CUDA = "CUDAExecutionProvider"


class ONNXRuntimeEngine:
    """A network run by onnxruntime, which computes in f32.

    Args:
        path: An `.onnx` file that derain wrote.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto`` or ``f32``.
        threads: CPU threads; None leaves it to onnxruntime.

    Raises:
        ValueError: The file is no model of derain's, or it cannot run as asked.
    """

    name = "onnxruntime"
    precision = "f32"

    def __init__(
        self,
        path: Path,
        device: str = "cpu",
        precision: str = "auto",
        threads: int | None = None,
    ) -> None:
        if precision not in ("auto", "f32"):
            raise ValueError(
                f"onnxruntime computes in f32 here, not in {precision}; --engine openvino and "
                f"--engine torch know others"
            )
        self.record = read_record(path)  # before onnxruntime sees the file
        self.session = open_session(path, device, threads)
        if device != "cpu" and self.session.get_providers()[0] != CUDA:
            raise ValueError(f"no {device}: onnxruntime could not load its CUDA libraries")
        self.device = device.upper() if device == "cpu" else device
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        require_one_each(len(inputs), len(outputs), path)
        image = inputs[0]
        self.input_name = image.name
        lengths = [each if isinstance(each, int) else None for each in image.shape]
        self.input_size = image_size(lengths, path)

    def __call__(self, batch: Batch) -> Batch:
        """(1, 3, H, W) in [0, 1] -> the same shape, unclipped.

        Raises:
            ValueError: The file takes images of one other size alone, or holds no network.
            RuntimeError: onnxruntime returned another shape.
        """
        require_size(self.record, self.input_size, batch)
        result = np.asarray(self.session.run(None, {self.input_name: batch})[0])
        check_result(result, batch, self.name, self.record)
        return result


def open_session(
    path: Path, device: str = "cpu", threads: int | None = None
) -> ort.InferenceSession:
    """Let onnxruntime load any `.onnx` file.

    Raises:
        ValueError: It cannot; names the file.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors alone; warnings speak of its own optimisations
    if threads:
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(path, options, providers(device))
    except Exception as error:  # its exceptions share no other base
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: onnxruntime cannot load it: {reason}") from None


def load(path: Path, device: str, precision: str, threads: int | None) -> ONNXRuntimeEngine:
    """Load an `.onnx` file."""
    return ONNXRuntimeEngine(path, device, precision, threads)


def missing(device: str) -> str:
    """Why a device cannot be used; empty if it can."""
    if device == "cpu" or CUDA in ort.get_available_providers():
        return ""
    return "this onnxruntime has no CUDA (`pip install onnxruntime-gpu` has)"


def computes(device: str, precision: str) -> bool:
    """Whether it computes in a precision here: in f32 alone."""
    return precision == "f32"


def providers(device: str) -> list[tuple[str, dict[str, str]]]:
    """What onnxruntime calls a device."""
    kind, _, index = device.partition(":")
    cuda = (CUDA, {"device_id": index or "0"})
    return [cuda] if kind == "cuda" else [("CPUExecutionProvider", {})]
