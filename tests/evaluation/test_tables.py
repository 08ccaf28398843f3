import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from derain.data.layouts import find_set
from derain.evaluation import tables
from derain.evaluation.evaluate import Measured, Plan, evaluate
from derain.evaluation.models import EvaluationModel, rainy_input

Maker = Callable[..., EvaluationModel]


@pytest.fixture
def results(world: Path, engine: Any, make_model: Maker) -> list[Measured]:
    """The rainy input, PReNet, and a worse network without published figures."""
    worse = type(engine)(replace(engine.record, network="nafnet"), fraction=-2.0)
    models = [rainy_input(), make_model(worse, "worse"), make_model(engine)]
    return evaluate(models, [find_set(world, "rain100h")], Plan(), world.parent / "cache")


def lines(table: tables.Table) -> dict[str, tables.Line]:
    return {line.name: line for line in table.lines if line.result}


def test_measured_and_published_stand_side_by_side(results: list[Measured]) -> None:
    (table,) = tables.build(results, everyone=False)
    assert [line.name for line in table.lines] == ["rainy input", "half", "worse"]  # best first
    own = lines(table)["half"]
    assert own.published == {"psnr": "29.46", "ssim": "0.899"}
    assert own.mark == "≈"
    assert table.notes[own.note - 1].startswith("PReNet (CVPR 2019), authors' README; protocol")
    assert (own.parameters, own.gmacs) == (168_963, 198.7)
    assert lines(table)["worse"].published == {}
    assert lines(table)["rainy input"].seconds is None
    assert table.remarks == ("4 instead of 100: not the whole set, or another",)


def test_all_published_methods_on_request(results: list[Measured]) -> None:
    (table,) = tables.build(results, everyone=True)
    only = [line for line in table.lines if not line.result]
    assert {"MSPFN", "DCSFN", "PRN", "JORDER"} <= {line.name for line in only}
    assert all(line.measured == {} and line.note for line in only)
    marked = [line.mark == "≠" for line in only]
    assert marked == sorted(marked)  # what does not compare comes last
    assert [line.name for line in only].count("PReNet") == 0  # it stands beside what was measured
    comparable = [float(line.published["psnr"]) for line in only if line.mark != "≠"]
    assert comparable == sorted(comparable, reverse=True)
    assert next(line for line in only if line.name == "MSPFN").parameters == 13.35e6


def test_weights_for_another_set_are_not_beside_this_sets_figures(results: list[Measured]) -> None:
    *others, own = results
    record = replace(own.record, name="Rain100L")
    (table,) = tables.build([*others, replace(own, record=record)], everyone=False)
    assert lines(table)["half"].published == {}
    record = replace(own.record, name="Rain100H")
    (table,) = tables.build([*others, replace(own, record=record)], everyone=False)
    assert lines(table)["half"].published != {}


def test_markdown_is_aligned_and_explains_its_marks(results: list[Measured]) -> None:
    (table,) = tables.build(results, everyone=True)
    text = tables.markdown(table)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert len(rows) == len(table.lines) + 2
    half = next(row for row in rows if row.startswith("| half"))
    own = lines(table)["half"]
    cells = [cell.strip() for cell in half.strip("|").split("|")]
    assert cells[0:3] == ["half", "169 k", "198.7"]
    assert cells[4:8] == [
        f"{own.measured['psnr']:.2f}", "≈ 29.46", f"{own.measured['ssim']:.4f}", "≈ 0.899",
    ]  # fmt: skip
    for number, note in enumerate(table.notes, 1):
        assert f"[{number}] {note}" in text
    assert "\n≈ protocols that differ" in text
    assert "\n≠ another protocol or set" in text
    assert "protocol y (MSPFN" in text


def test_no_published_columns_without_published_figures(results: list[Measured]) -> None:
    plain = [
        replace(r, found=replace(r.found, name="mine", title="mine", public=None)) for r in results
    ]
    (table,) = tables.build(plain, everyone=True)
    assert not table.has_published
    assert "published" not in tables.markdown(table)
    assert "≈" not in tables.markdown(table)


def test_csv_and_json_hold_every_number(results: list[Measured]) -> None:
    built = tables.build(results, everyone=True)
    summary = list(csv.DictReader(tables.summary_csv(built).splitlines()))
    assert len(summary) == len(built[0].lines)
    half = next(row for row in summary if row["model"] == "half")
    assert float(half["psnr"]) == lines(built[0])["half"].measured["psnr"]
    assert (half["psnr_published"], half["differs"]) == ("29.46", "≈")
    images = list(csv.DictReader(tables.images_csv(built).splitlines()))
    assert len(images) == 12
    assert [row["image"] for row in images[:4]] == ["1", "2", "3", "4"]
    content = json.loads(tables.as_json(built, {"derain": "0.0"}))
    assert content["derain"] == "0.0"
    (one,) = content["sets"]
    assert one["models"][1]["mean"] == lines(built[0])["half"].measured
    assert one["models"][1]["rows"][2]["ssim"] == float(images[6]["ssim"])
    assert len(one["models"][1]["sha256"]) == 64


def test_infinite_means_stay_and_are_explained(results: list[Measured]) -> None:
    first = results[0]
    rows = (
        replace(first.rows[0], values={**first.rows[0].values, "psnr": math.inf}),
        *first.rows[1:],
    )
    built = tables.build([replace(first, rows=rows)], everyone=False)
    assert "rainy input: 1 of 4 images equal their ground truth" in " ".join(built[0].remarks)
    assert " inf " in tables.markdown(built[0])
    mean = json.loads(tables.as_json(built, {}), parse_constant=pytest.fail)["sets"][0]["models"][0]
    assert mean["mean"]["psnr"] == "inf"


def test_lower_is_better_where_it_is(results: list[Measured]) -> None:
    def with_niqe(result: Measured, value: float) -> Measured:
        rows = tuple(replace(row, values={"niqe": value}) for row in result.rows)
        return replace(result, rows=rows)

    changed = [with_niqe(r, v) for r, v in zip(results, (3.0, 2.0, 5.0), strict=True)]
    (table,) = tables.build(changed, everyone=False)
    assert [line.name for line in table.lines] == ["rainy input", "worse", "half"]


def test_sets_have_tables_of_their_own(results: list[Measured]) -> None:
    other = [replace(r, found=replace(r.found, name="b", title="b", public=None)) for r in results]
    assert [t.found.name for t in tables.build([*results, *other], everyone=False)] == [
        "rain100h",
        "b",
    ]


def test_one_table_across_sets_has_the_average(results: list[Measured]) -> None:
    (first,) = tables.build(results, everyone=False)
    harder = replace(first, lines=tuple(map(one_db_less, first.lines)))
    rows = tables.across([first, harder])
    assert rows[0] == ["PSNR/SSIM/FSIM", "Rain100H", "Rain100H", "average"]
    names = [row[0] for row in rows[1:]]
    assert names == ["rainy input", "half", "worse", "half, published"]
    for row in rows[1:4]:
        a, b, mean = (float(cell.split(" / ")[0]) for cell in row[1:])
        assert b == pytest.approx(a - 1, abs=0.011)
        assert mean == pytest.approx((a + b) / 2, abs=0.011)
    assert rows[4][1] == "29.46 / 0.8990 / -"
    assert tables.across([first]) == []
    text = tables.as_latex([first, harder])
    assert text.count(r"\begin{tabular}") == 3
    assert r"$\approx$ 29.46" in text


def one_db_less(line: tables.Line) -> tables.Line:
    return replace(line, measured={**line.measured, "psnr": line.measured["psnr"] - 1})
