"""Every command and the training see the same pixels of a file."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from derain.data.layouts import find_set
from derain.evaluation.sets import check_set, read_pair
from derain.io.decode import read_rgb
from derain.metrics.folder import compare_folders


@pytest.fixture
def expected(tmp_path: Path) -> dict[str, NDArray[Any]]:
    """Four unusual files in ``in/``, and what they show at 8 bits, by other means than ours."""
    coarse = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    image = cv2.resize(coarse, (96, 64), interpolation=cv2.INTER_CUBIC)
    folder = tmp_path / "in"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(folder / "turned.jpg", exif=exif.tobytes())
    deep = np.clip(image * 257.0 + np.linspace(-120, 120, 96)[:, None], 0, 65535).astype(np.uint16)
    cv2.imwrite(str(folder / "deep.png"), deep[..., ::-1])
    Image.fromarray(image[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.dstack([image, image[..., :1]])).save(folder / "alpha.png")
    return {
        "turned": np.rot90(np.asarray(Image.open(folder / "turned.jpg")), -1),
        "deep": np.floor(deep / 65535 * 255 + 0.5).astype(np.uint8),
        "grey": np.repeat(image[..., :1], 3, axis=2),
        "alpha": image,
    }


def test_restore_metrics_evaluate_synthesize_and_train_agree(derain, expected, tmp_path):
    source, root = tmp_path / "in", tmp_path / "sets"
    # restore: strength 0 gives back what was read.
    options = ("--format", "png", "--strength", 0, "--device", "cpu")
    assert derain("restore", source, "-o", root / "mine" / "rainy", *options)[0] == 0
    restored = {path.stem: read_rgb(path) for path in (root / "mine" / "rainy").iterdir()}
    assert Image.open(root / "mine" / "rainy" / "turned.png").size == (64, 96)
    # metrics: the restored images equal their sources.
    code, out, _ = derain("metrics", root / "mine" / "rainy", source, "--json")
    assert (code, json.loads(out)["infinite"]["psnr"]) == (0, 4)
    # evaluate and data check: the same, as a set.
    source.rename(root / "mine" / "clean")
    found = find_set(root, "mine")
    assert check_set(found).problems == ()
    arguments = ("--data", root, "--set", "mine", "-m", "psnr", "-o", tmp_path / "report")
    assert derain("evaluate", *arguments)[0] == 0
    measured = json.loads((tmp_path / "report" / "results.json").read_text())
    assert "Infinity" not in json.dumps(measured)
    pairs = {item.name: read_pair(item) for item in found.items}
    # synthesize: the targets are the sources.
    clean = root / "mine" / "clean"
    assert derain("synthesize", clean, "-o", tmp_path / "rain", "--preset", "rain100l")[0] == 0
    targets = {p.stem: read_rgb(p) for p in (tmp_path / "rain" / "clean").iterdir()}
    trained = trained_on(clean)
    for name, pixels in expected.items():
        assert np.array_equal(restored[name], pixels)
        for image in pairs[name]:
            assert image is not None
            assert np.array_equal(image, pixels)
        assert np.array_equal(targets[name], pixels)
        assert np.array_equal(trained[name], pixels)


def trained_on(folder: Path) -> dict[str, NDArray[Any]]:
    """The clean images that a training draws its crops from, by name."""
    pytest.importorskip("torch")
    from derain.data.layouts import list_clean
    from derain.data.store import open_pairs

    pairs = open_pairs(list_clean(folder), "disk", folder.parent / "cache")
    return {Path(pair.name).stem: pair.clean for pair in pairs}


def test_a_restored_image_can_be_measured_against_its_turned_source(derain, expected, tmp_path):
    source = tmp_path / "in" / "turned.jpg"
    assert derain("restore", source, "--strength", 0, "--device", "cpu")[0] == 0
    result = compare_folders(tmp_path / "in" / "turned_derained.jpg", source)
    assert result.means["psnr"] > 40
