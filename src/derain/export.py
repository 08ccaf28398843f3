"""torch -> ONNX: folded, with dynamic height and width, checked against torch before it is kept."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from derain.weights.record import KEY, Record

TOLERANCE = 1e-4  # largest difference of an output value in [0, 1], float32


def to_onnx(path: Path, network: nn.Module, record: Record) -> float:
    """Write a network as `.onnx` with its record.

    The graph takes ``rainy`` (1, 3, H, W), float32 in [0, 1], H and W multiples of the record's
    ``size_multiple``, and returns ``derained``. It is kept only if OpenVINO at f32 computes from
    it what torch does, on two sizes.

    Args:
        path: Ends in ``.onnx``.
        network: In evaluation mode, float32.
        record: What the file says about itself.

    Returns:
        The largest difference between the two.

    Raises:
        ValueError: They differ by more than ``TOLERANCE``.
    """
    fold = getattr(network, "fold", None)
    network = (fold() if fold else network).eval()
    multiple = record.size_multiple
    # Small numbers of different height and width, so that none is taken for a constant.
    example = torch.rand(1, 3, 5 * multiple, 6 * multiple)
    height, width = (torch.export.Dim(name, min=1, max=8192) for name in ("h", "w"))
    sides = {2: multiple * height, 3: multiple * width} if multiple > 1 else {2: height, 3: width}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (example,), dynamo=True, dynamic_shapes=(sides,), verbose=False,
            input_names=["rainy"], output_names=["derained"],
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # traces of the export, larger than the graph itself
    onnx.helper.set_model_props(model, {KEY: record.to_json()})
    partial = path.with_name(f".{path.stem}.partial.onnx")
    try:
        partial.write_bytes(model.SerializeToString())
        difference = disagreement(partial, network, multiple)
        if not difference <= TOLERANCE:
            raise ValueError(f"{path}: the exported graph differs from torch by {difference:.1e}")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return difference


def disagreement(path: Path, network: nn.Module, multiple: int) -> float:
    """Largest difference between OpenVINO at f32 and torch on two sizes of random pictures."""
    from derain.engines.openvino import OpenVINOEngine

    engine = OpenVINOEngine(path, "f32")
    rng = np.random.default_rng(0)
    worst = 0.0
    for rows, columns in ((4, 4), (7, 3)):
        batch = rng.random((1, 3, rows * multiple, columns * multiple), np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch)).numpy()
        worst = max(worst, float(np.abs(engine(batch) - expected).max()))
    return worst
