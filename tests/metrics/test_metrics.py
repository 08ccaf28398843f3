"""The public page of the room: the table, binding, and what a plain install can do."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import derain
from derain.metrics import METRICS, bind, get_metric, psnr


def test_table_keys_are_the_names() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert [name for name, metric in METRICS.items() if metric.needs_parameters] == ["niqe", "sseq"]
    assert [name for name, metric in METRICS.items() if metric.has_protocols] == ["psnr", "ssim"]


def test_direction_and_reference_hold_for_every_metric(
    photo: NDArray[np.uint8], noisy: list[NDArray[np.uint8]], iqa: Path
) -> None:
    for name, metric in METRICS.items():
        function = bind(name, parameters=iqa)
        reference = (photo,) if metric.needs_reference else ()
        better, worse = function(noisy[0], *reference), function(noisy[2], *reference)
        assert (better > worse) == metric.higher_is_better, name


def test_bind_fixes_the_protocol(photo: NDArray[np.uint8], noisy: list[NDArray[np.uint8]]) -> None:
    assert bind("psnr", "rgb")(noisy[0], photo) == psnr(noisy[0], photo, "rgb")
    with pytest.raises(ValueError, match="unknown protocol 'hsv'"):
        bind("psnr", "hsv")


def test_an_unknown_metric_lists_the_known() -> None:
    with pytest.raises(ValueError, match="'lpips'; known: psnr, ssim, fsim, fsimc, niqe, sseq"):
        get_metric("lpips")


def test_plain_install_measures_without_scipy() -> None:
    script = """
import sys
sys.modules["scipy"] = None  # importing it fails, as where it is not installed
import numpy as np
from derain.metrics import fsim, fsimc, psnr, sseq_features, ssim
a = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
assert psnr(a, a) == np.inf
assert all(abs(f(a, a) - 1) < 1e-9 for f in (ssim, fsim, fsimc))
assert len(sseq_features(a)) == 12
assert not any(name in sys.modules for name in ("torch", "cv2", "PIL"))
"""
    source = Path(derain.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
