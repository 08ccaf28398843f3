"""The values that the authors' MATLAB code gives, within the tolerances of specs/metrics.md."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.io.decode import read_rgb
from derain.metrics import PROTOCOLS, bind, psnr, sseq_features, ssim
from derain.metrics.folder import compare_folders
from derain.metrics.fsim import fsim_pair

NAMES = ["1", "2", "5", "17", "33", "64", "stack_1_2", "crop17"]
SSIM_FIELDS = {
    "y": "ssim_y",
    "y_float": "ssim_y_float_autodown",
    "rgb": "ssim_rgb",
    "dcsfn": "ssim_rgb_zeropad",
}


class Reference(NamedTuple):
    rainy: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    expected: dict[str, Any]


def _images(shared: Path, kind: str, name: str) -> NDArray[np.uint8]:
    if name == "stack_1_2":
        return np.vstack([_images(shared, kind, "1"), _images(shared, kind, "2")])
    if name == "crop17":
        return _images(shared, kind, "17")[:317, :475]
    return read_rgb(shared / "data" / "test" / "rain100h" / kind / f"{name}.png")


@pytest.fixture(scope="module")
def specification(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "specs" / "metric_references.json").read_text())


@pytest.fixture(scope="module", params=NAMES)
def reference(
    request: pytest.FixtureRequest, shared: Path, specification: dict[str, Any]
) -> Reference:
    name = request.param
    entries = specification["pairs"] + specification["extra"]
    expected = next(e for e in entries if str(e.get("n", e.get("id"))) == name)
    found = Reference(_images(shared, "rainy", name), _images(shared, "clean", name), expected)
    for kind, digest in expected.get("sha256_raw_rgb", {}).items():
        assert hashlib.sha256(getattr(found, kind).tobytes()).hexdigest() == digest
    return found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_psnr(reference: Reference, protocol: str) -> None:
    field = "psnr_rgb" if protocol == "dcsfn" else f"psnr_{protocol}"
    value = psnr(reference.rainy, reference.clean, protocol)
    assert value == pytest.approx(reference.expected[field], rel=0, abs=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ssim(reference: Reference, protocol: str) -> None:
    value = ssim(reference.rainy, reference.clean, protocol)
    assert value == pytest.approx(reference.expected[SSIM_FIELDS[protocol]], rel=0, abs=1e-7)


def test_fsim_and_fsimc(reference: Reference) -> None:
    values = fsim_pair(reference.rainy, reference.clean)
    expected = reference.expected["fsim"], reference.expected["fsimc"]
    assert values == pytest.approx(expected, rel=0, abs=1e-6)


@pytest.mark.parametrize("kind", ["rainy", "clean"])
@pytest.mark.parametrize(("metric", "tolerance"), [("niqe", 1e-4), ("sseq", 1e-3)])
def test_scores_without_reference(
    reference: Reference, iqa: Path, metric: str, tolerance: float, kind: str
) -> None:
    value = bind(metric, parameters=iqa)(getattr(reference, kind))
    expected = reference.expected[f"{metric}_{kind}"]
    assert value == pytest.approx(expected, rel=0, abs=tolerance)


@pytest.mark.parametrize("kind", ["rainy", "clean"])
def test_sseq_features(reference: Reference, kind: str) -> None:
    expected = reference.expected[f"sseq_{kind}_features"]
    np.testing.assert_allclose(sseq_features(getattr(reference, kind)), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["y", "rgb"])
def test_means_over_all_of_rain100h(
    shared: Path, specification: dict[str, Any], protocol: str
) -> None:
    expected = specification["means_over_100_pairs_rainy_vs_clean"]
    folder = shared / "data" / "test" / "rain100h"
    metrics = ("psnr", "ssim") if protocol == "y" else ("psnr",)
    means = compare_folders(folder / "rainy", folder / "clean", metrics, protocol).means
    for metric in metrics:
        assert means[metric] == pytest.approx(expected[f"{metric}_{protocol}"], rel=0, abs=1e-6)
