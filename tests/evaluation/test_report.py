import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from derain.data.layouts import find_set
from derain.evaluation import pages, report, tables, typeset
from derain.evaluation.evaluate import Plan, evaluate
from derain.evaluation.models import EvaluationModel, rainy_input
from derain.io.decode import read_rgb
from derain.metrics import METRICS, Metric

Maker = Callable[..., EvaluationModel]


@pytest.fixture
def built(world: Path, engine: Any, make_model: Maker) -> list[tables.Table]:
    models = [rainy_input(), make_model(engine)]
    results = evaluate(models, [find_set(world, "rain100h")], Plan(), world.parent / "cache")
    return tables.build(results, everyone=True)


class Addresses(HTMLParser):
    """Collects whatever a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        wanted = ("src", "href", "srcset", "action", "poster", "data")
        self.found += [value or "" for name, value in attrs if name in wanted]


def test_the_page_loads_nothing(built: list[tables.Table]) -> None:
    page = report.render(built, {"command": "derain evaluate </script>"})
    parser = Addresses()
    parser.feed(page)
    assert all(address.startswith("#") for address in parser.found)
    assert {"link", "iframe", "object"} & set(parser.tags) == set()
    assert "@import" not in page
    assert "url(" not in page
    assert parser.tags.count("script") == 2  # what the command says stays text


def test_best_median_and_worst_are_those(built: list[tables.Table]) -> None:
    line = next(line for line in built[0].lines if line.name == "half")
    assert line.result
    images: dict[str, str] = {}
    shown = report.examples(line.result, {"half": line.result}, {}, images)
    values = sorted((row.values["psnr"] for row in line.result.rows), reverse=True)
    assert [example.rank for example in shown] == ["best", "median", "worst"]
    assert [e.row.values["psnr"] for e in shown] == [values[0], values[2], values[3]]
    assert len(images) == 9
    assert all(text.startswith("data:image/webp;base64,") for text in images.values())
    assert shown[0].size == (64, 48)
    page = report.render(built, {})
    rainy = next(line for line in built[0].lines if line.name == "rainy input").measured
    assert rainy["psnr"]
    assert re.search(r"PSNR \d+\.\d\d → \d+\.\d\d", page)


def test_any_two_models_can_be_compared_on_every_image_shown(
    world: Path, engine: Any, make_model: Maker
) -> None:
    other = replace(engine, fraction=0.9, record=replace(engine.record, name="most"))
    models = [rainy_input(), make_model(engine), make_model(other, "most")]
    results = evaluate(models, [find_set(world, "rain100h")], Plan(), world.parent / "cache")
    page = report.render(tables.build(results, everyone=False), {})
    selects = re.findall(r'<select data-side="(\w+)">(.*?)</select>', page, re.DOTALL)
    first: dict[str, list[str]] = {"left": [], "right": []}
    for side, text in selects:
        options = re.findall(r'<option value="([^"]+)"( selected)?>([^<]+)<', text)
        assert [label for *_, label in options] == ["rainy", "most", "half", "ground truth"]
        assert len({value for value, *_ in options}) == 4
        first[side] += [label for _, selected, label in options if selected]
    assert first == {"left": ["rainy"] * 6, "right": ["most"] * 3 + ["half"] * 3}


def test_restored_images_are_kept_and_mended(built: list[tables.Table], engine: Any) -> None:
    line = next(line for line in built[0].lines if line.name == "half")
    assert line.result
    first = report.render(built, {})
    calls = engine.calls
    assert report.render(built, {}) == first
    assert engine.calls == calls
    row = line.result.rows[0]
    kept = sorted(line.result.cache.folder.glob("*.png"))
    assert len(kept) == 3
    kept[0].write_bytes(b"rubbish")
    assert report.render(built, {}) == first
    assert engine.calls == calls + 1
    rainy = read_rgb(row.item.path)
    x = rainy / 255
    expected = np.floor(255 * (x - 0.5 * np.maximum(x - 0.7, 0)) + 0.5)
    restored = pages.restored(line.result.model, line.result.cache, row.key, rainy)
    assert np.abs(restored.astype(float) - expected).max() <= 1  # float32 against float64


def test_every_number_is_on_the_page(built: list[tables.Table]) -> None:
    page = report.render(built, {"derain": "1.2.3"})
    for line in built[0].lines:
        assert line.name in page
        for metric, value in line.measured.items():
            assert typeset.number(value, METRICS[metric].digits) in page
        assert all(printed in page for printed in line.published.values())
    assert "4 instead of 100" in page
    assert "1.2.3" in page
    assert page.count("<svg") == 3


def mean_error(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    return float(np.abs(image.astype(float) - reference).mean())


TOY = Metric(
    "toy", mean_error, digits=5, unit="levels", higher_is_better=False, needs_reference=True
)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_its_table_and_report(metric: str, built: list[tables.Table]) -> None:
    results = [
        replace(result, rows=tuple(
            replace(row, values={metric: 0.1234567 + number + len(result.rows)})
            for number, row in enumerate(result.rows)
        ))
        for result in tables.measured(built)
    ]  # fmt: skip
    again = tables.build(results, everyone=True)
    shown = f"{results[0].means[metric]:.{METRICS[metric].digits}f}"
    page = report.render(again, {})
    assert page.count(shown) >= 2  # the rainy input's and the model's
    assert METRICS[metric].axis in page
    assert shown in tables.markdown(again[0])


def test_a_new_metric_is_one_function_and_one_row(
    world: Path, engine: Any, make_model: Maker, monkeypatch: pytest.MonkeyPatch, derain: Any
) -> None:
    monkeypatch.setitem(METRICS, "toy", TOY)
    models = [rainy_input(), make_model(engine)]
    found = find_set(world, "rain100h")
    results = evaluate(models, [found], Plan(metrics=("toy",)), world.parent / "cache")
    assert results[1].means["toy"] < results[0].means["toy"]
    table = tables.build(results, everyone=True)
    assert f"{results[1].means['toy']:.5f}" in tables.markdown(table[0])
    assert "TOY in levels (lower is better)" in report.render(table, {})
    for command in ("metrics", "evaluate"):
        assert "|toy]" in derain(command, "--help")[1].replace("\n", "").replace(" ", "")


def test_without_jinja_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"needs `pip install derain\[eval\]`"):
        pages.require()
