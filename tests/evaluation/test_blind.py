"""The blind page's photographs and outputs; what it does in a browser stands in test_browser."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from derain.data.layouts import find_set
from derain.evaluation import blind
from derain.evaluation.models import EvaluationModel
from derain.evaluation.pipeline import run_evaluation

Maker = Callable[..., EvaluationModel]


def content_of(page: str) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="content">(.*?)</script>', page)
    assert match
    return json.loads(match[1])


def pixels(url: str) -> np.ndarray:
    data = base64.b64decode(url.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


def test_the_same_photographs_are_drawn_from_all_sets_without_ground_truth(world: Path) -> None:
    pairs = find_set(world, "rain100h")
    rainy, clean = (find_set(world, f"Rain100H/{kind}:real") for kind in ("rainy", "clean"))
    drawn = blind.photographs([pairs, rainy, clean], 5)
    assert len({(found.name, item.name) for found, item in drawn}) == 5
    assert {found.name for found, _ in drawn} == {"rainy", "clean"}
    assert blind.photographs([pairs, rainy, clean], 5) == drawn
    assert len(blind.photographs([rainy, clean], 99)) == 8
    with pytest.raises(ValueError, match="needs a set of photographs without ground truth"):
        blind.photographs([pairs], 5)


def test_every_output_is_its_models(
    world: Path, engine: Any, make_model: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blind, "LONGEST", 32)
    monkeypatch.setattr(blind, "QUALITY", 100)
    models = [make_model(engine, name) for name in ("one", "two")]
    shown = blind.photographs([find_set(world, "Rain100H/rainy:real")], 3)
    content = content_of(blind.render(models, shown, world.parent / "cache"))
    assert content["models"] == ["one", "two"]
    assert engine.calls == 6
    for photograph, (_, item) in zip(content["photographs"], shown, strict=True):
        assert (photograph["width"], photograph["height"]) == (32, 24)
        rainy = np.asarray(Image.open(item.path)).astype(float)
        restored = rainy - 0.5 * np.maximum(rainy - 0.7 * 255, 0)
        small = restored.reshape(24, 2, 32, 2, 3).mean((1, 3))
        for output in photograph["outputs"]:
            assert np.abs(pixels(output) - small).mean() < 6  # WebP stores colour at half size
            assert (
                np.abs(pixels(output) - small).mean()
                < np.abs(pixels(photograph["rainy"]) - small).mean()
            )
    again = content_of(blind.render(models, shown, world.parent / "cache"))
    assert again == content
    assert engine.calls == 6  # nothing is restored twice


def test_two_to_nine_models(make_model: Maker, engine: Any) -> None:
    blind.check_models([make_model(engine)] * 2)
    for count in (1, 10):
        with pytest.raises(ValueError, match=f"takes 2 to 9 models: {count}"):
            blind.check_models([make_model(engine)] * count)


def test_without_metrics_there_is_still_the_page(world: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    built = run_evaluation(
        world, ["Rain100H/rainy:real"], ["nafnet-small", "mspfn-lite"], tmp_path / "out",
        judged=2, note=notes.append,
    )  # fmt: skip
    assert built == []
    assert any("no tables" in note for note in notes)
    page = (tmp_path / "out" / "blind.html").read_text()
    assert len(content_of(page)["photographs"]) == 2
    assert not (tmp_path / "out" / "report.html").exists()
    with pytest.raises(ValueError, match="takes 2 to 9 models: 1"):
        run_evaluation(world, ["Rain100H/rainy:real"], ["nafnet-small"], tmp_path / "out", judged=2)
