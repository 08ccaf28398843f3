"""Studies: trained rows, killed and resumed, in one table beside the published figures."""

import csv
import dataclasses
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks import studies

torch = pytest.importorskip("torch")
pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from derain.data.layouts import Found  # noqa: E402
from derain.evaluation import published  # noqa: E402
from derain.evaluation.typeset import latex  # noqa: E402
from derain.models import MODELS, build  # noqa: E402
from derain.study.pipeline import run_study  # noqa: E402
from derain.study.plan import Claim, read_study  # noqa: E402
from derain.study.run import StudySettings, make_jobs  # noqa: E402
from derain.study.table import Line, Value, _line, _verdict, departures  # noqa: E402
from derain.training.recipe import read_recipe  # noqa: E402
from derain.training.settings import TrainingSettings  # noqa: E402
from derain.weights.files import load_network  # noqa: E402

STUDIES = sorted((Path(__file__).resolve().parents[2] / "studies").glob("*.toml"))

RECIPE = """
name = "tiny"
network = "mspfn-lite"
options = { fine_modules = 1, width = 8, lstm_widths = [8, 8, 8] }
steps = 6
precision = "f32"
[data]
sources = [{ path = "pairs", layout = "folders" }]
patch = 32
batch = 2
validation = 0
"""
STUDY = """
title = "Units"
recipe = "tiny.toml"
sets = ["pairs"]
paper = "MSPFN (CVPR 2020)"
table = "Table 3"
rows = [
  { name = "M10N3", changes = ["options.attention_units=1"] },
  { name = "M8N5", changes = ["options.attention_units=2"] },
]
claims = [{ better = "M10N3", than = "M8N5" }]
"""
SETTINGS = StudySettings(training=TrainingSettings("cpu", workers=0, onnx=False))


@pytest.fixture
def folder(tmp_path):
    for half in ("rainy", "clean"):
        (tmp_path / "data" / "pairs" / half).mkdir(parents=True)
        for i in range(3):
            coarse = np.random.default_rng(i).integers(0, 200, (9, 12, 3), np.uint8)
            image = cv2.resize(coarse, (64, 48)) + (40 if half == "rainy" else 0)
            cv2.imwrite(str(tmp_path / "data" / "pairs" / half / f"{i}.png"), image)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def study(folder, settings=SETTINGS, out="out", **callbacks):
    data = folder / "data"
    table = run_study(folder / "study.toml", data, data, folder / out, settings, **callbacks)
    assert table
    return table


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_each_shipped_study_answers_its_table(path, tmp_path):
    """Every row builds from the paper's recipe, and is a column or row of the printed table."""
    plan = read_study(path)
    jobs = make_jobs(plan, path, tmp_path, StudySettings())
    assert len({(job.recipe.network, str(job.recipe.loss)) for job in jobs}) == len(jobs)
    assert all(job.recipe.network in MODELS and not job.recipe.options for job in jobs)
    figures = [f for f in published.figures() if (f.paper, f.table) == (plan.paper, plan.table)]
    if not plan.table:  # Figure 7, whose numbers are not printed
        assert path.stem == "mh2fnet-figure7"
        return
    for job in jobs:
        own = [f for f in figures if f.method == job.row.name]
        assert {f.set for f in own if f.metric == "psnr"} >= set(plan.sets)
        assert all(f.network in (job.recipe.network, "") for f in own)
    values = {f.method: f.value for f in figures if (f.set, f.metric) == (plan.sets[0], "psnr")}
    for claim in plan.claims:
        assert values[claim.better] > values[claim.than]


def test_a_table_has_all_rows_with_what_is_published(folder):
    table = study(folder, dataclasses.replace(SETTINGS, seeds=2))
    text = (folder / "out" / "table.md").read_text()
    assert [line.name for line in table.lines] == ["rainy input", "M10N3", "M8N5"]
    assert (table.lines[1].values["pairs", "psnr"].spread or 0) > 0
    assert "≠ 27.29" in text  # Test100's figure beside another set
    assert "another set: its Test100 is our test100" in text
    with (folder / "out" / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["seed"]) for row in rows] == [
        ("M10N3", "0"), ("M8N5", "0"), ("M10N3", "1"), ("M8N5", "1"),
    ]  # fmt: skip
    assert {row["steps"] for row in rows} == {"6"}
    assert all("another set: its Test100" in row["published_differs"] for row in rows)
    page = (folder / "out" / "study.html").read_text()
    assert "M10N3 is better than M8N5" in page
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace(
        "http://purl.org", ""
    ).replace("https://matplotlib.org", "").replace("http://creativecommons.org", "")


class Killed(Exception):
    """Stands for the end of a session."""


def test_a_killed_study_goes_on_and_ends_in_the_same_weights(folder):
    every = dataclasses.replace(SETTINGS.training, checkpoint_minutes=0)
    settings = dataclasses.replace(SETTINGS, training=every)
    study(folder, settings, "whole")
    trained = []

    def kill(progress):
        if len(trained) == 2 and progress.step == 4:
            raise Killed

    with pytest.raises(Killed):
        study(
            folder, settings, "parts", on_step=kill, on_job=lambda job: trained.append(job.row.name)
        )
    table = study(folder, settings, "parts", on_job=lambda job: trained.append(job.row.name))
    assert trained == ["M10N3", "M8N5", "M8N5"]  # what was trained is not trained again
    assert table.lines[2].steps == 6
    for name in ("m10n3-seed0", "m8n5-seed0"):
        whole, parts = (
            load_network(folder / out / "rows" / name / f"{name}.safetensors")[0].state_dict()
            for out in ("whole", "parts")
        )
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_rows_may_be_trained_one_at_a_time(folder):
    table = study(folder, dataclasses.replace(SETTINGS, rows=("M8N5",)))
    assert "Not trained yet: M10N3." in (folder / "out" / "table.md").read_text()
    assert table.verdicts[0].word == "not trained"
    table = study(folder, dataclasses.replace(SETTINGS, rows=("M10N3",)))
    assert table.verdicts[0].word.startswith("one run")
    assert "Not trained yet" not in (folder / "out" / "table.md").read_text()


def test_another_budget_in_the_same_folder_is_refused(folder):
    study(folder, dataclasses.replace(SETTINGS, rows=("M8N5",)))
    short = dataclasses.replace(
        SETTINGS, training=dataclasses.replace(SETTINGS.training, minutes=1)
    )
    with pytest.raises(ValueError, match="another recipe or budget for m10n3-seed0"):
        study(folder, short)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('sets = ["pairs"]', 'sets = ["rain100h"]', "no Rain100H in it"),
        ("attention_units=1", "attention=1", "no argument 'attention'"),
        ("options.attention_units=1", "step=1", "row 'M10N3': .*unknown key 'step'"),
        ('than = "M8N5"', 'than = "M8"', "no row 'M8'; rows: M10N3, M8N5"),
        ("title =", "titel =", "unknown key 'titel'; did you mean 'title'"),
        ('recipe = "tiny.toml"', 'recipe = "none.toml"', "none.toml: no such recipe"),
    ],
)
def test_what_is_wrong_is_said_before_a_row_is_trained(folder, old, new, words):
    path = folder / "study.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=words):
        study(folder, on_step=lambda progress: pytest.fail("trained"))


def test_the_title_says_what_replaces_the_papers_training(folder):
    assert study(folder).title == "Units"
    shutil.copy(folder / "tiny.toml", folder / "short.toml")
    other = dataclasses.replace(
        SETTINGS, recipe=folder / "short.toml", changes=("steps=2",), rows=("M8N5",)
    )
    table = study(folder, other, "other")
    words = "by short.toml, not the paper's recipe; every row with steps=2"
    assert table.title == f"Units ({words})"
    assert table.lines[2].steps == 2
    for name in ("study.html", "table.md", "table.tex"):
        assert "short.toml" in (folder / "other" / name).read_text()
    budget = StudySettings(training=TrainingSettings("cpu", minutes=15))
    assert departures(budget) == "budgeted: 15 minutes a row, not its full length"


def test_the_recipe_for_budgeted_studies_fits_every_row(tmp_path):
    """It has no options of its own, so that a row's network alone decides what is built."""
    short = StudySettings(recipe=STUDIES[0].parents[1] / "recipes" / "study.toml")
    for path in STUDIES:
        jobs = make_jobs(read_study(path), path, tmp_path, short)
        assert {job.recipe.steps for job in jobs} == {1200}
        assert not any("photo" in p for s in jobs[0].recipe.data.sources for p in s.rain)


def test_each_set_has_its_own_published_figures():
    """Of Table 4's five sets only the measured one's; Table 2's one set stands beside any other."""
    here = {
        "rain100h": Found("rain100h", "Rain100H", Path(), ()),
        "test1200": Found("test1200", "Test1200", Path(), ()),
    }
    for sets, table, method, printed in (
        (["rain100h"], "Table 4", "MSPFN", ["28.66"]),
        (["test1200", "rain100h"], "Table 4", "MSPFN", ["32.39", "28.66"]),
        (["rain100h", "test1200"], "Table 2", "Model3", ["23.69", "23.69"]),
        (["rain100h"], "Table 1", "MSPFN", [None]),
    ):
        figures = [f for f in published.figures() if (f.paper[:5], f.table) == ("MSPFN", table)]
        row = _line(method, [], figures, {name: here[name] for name in sets})
        assert [row.printed.get((name, "psnr")) for name in sets] == printed


@pytest.mark.parametrize("name", studies.BUDGETS)
def test_the_budgeted_tables_train_what_they_say(name, tmp_path):
    """Each planned row is one of its study, at the same budget, and builds; seeds in order."""
    budget = studies.BUDGETS[name]
    path = studies.ROOT / f"{budget.study}.toml"
    jobs = make_jobs(
        read_study(path), path, tmp_path, StudySettings(studies.RECIPE, budget.changes)
    )
    assert len({(job.recipe.steps, str(job.recipe.data)) for job in jobs}) == 1
    assert jobs[0].recipe.steps == 500
    with torch.device("meta"):
        sizes = [count(build(job.recipe.network, **job.recipe.options)) for job in jobs]
    assert all(size < 1.2e6 for size in sizes)
    planned = [(row, seeds) for study, row, seeds in studies.PLAN if study == name]
    assert {row for row, _ in planned} <= {job.row.name for job in jobs}
    assert len(set(planned)) == len(planned)
    assert [seeds for _, seeds in planned] == sorted(seeds for _, seeds in planned)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_a_quarter_wide_study_differs_from_the_shipped_one_in_width_alone():
    small, whole = (
        read_study(studies.ROOT / name)
        for name in ("benchmarks/mspfn_quarter.toml", "studies/mspfn-table2.toml")
    )
    assert small.claims == whole.claims
    assert (small.sets, small.paper, small.table) == (whole.sets, whole.paper, whole.table)
    for row in small.rows:
        network, _ = row.changes
        assert whole.row(row.name).changes == (network,)
        recipe = read_recipe(studies.RECIPE, row.changes)
        with torch.device("meta"):
            quarter = build(recipe.network, **recipe.options).config
            paper = build(recipe.network).config
        assert (
            dataclasses.replace(
                quarter,
                width=4 * quarter.width,
                lstm_widths=tuple(4 * w for w in quarter.lstm_widths),
            )
            == paper
        )


def test_tables_are_printed_without_what_a_busy_machine_changes():
    text = "## Title\n\n|   | minutes | PSNR |\n| - | -: | -: |\n| a | 9.3 | 20.1 |\n\nEnd.  \n"
    assert studies.without(text, ["minutes"]) == (
        "## Title\n\n|     | PSNR |\n| --- | ---: |\n| a   | 20.1 |\n\nEnd.  \n"
    )


def line(name, value):
    return Line(name, {("s", "psnr"): value}, {}, None, "", None, None, None, None)


@pytest.mark.parametrize(
    ("a", "b", "word"),
    [
        (Value(30, 0.1, 2), Value(29, 0.1, 2), "confirmed"),
        (Value(29, 0.1, 2), Value(30, 0.1, 2), "contradicted"),
        (Value(30, 0.1, 2), Value(29.85, 0.1, 2), "undecided"),  # two standard errors are 0.2
        (Value(30, None, 1), Value(29, None, 1), "one run: agrees"),
        (Value(29, None, 1), Value(30, None, 1), "one run: disagrees"),
    ],
)
def test_a_claim_is_told_only_as_far_as_its_spread_allows(a, b, word):
    verdict = _verdict(Claim("A", "B"), [line("A", a), line("B", b)], "s", "psnr")
    assert verdict.word == word


def test_latex_escapes_what_it_must():
    text = latex([["a_b", "50 %"], ["MSPFN*", "≠ 1 ± 2 \\"]], "x & y")
    assert r"a\_b & 50 \% \\" in text
    assert r"MSPFN$^*$ & $\neq$ 1 $\pm$ 2 \textbackslash{} \\" in text
    assert r"\caption{x \& y}" in text


def test_a_missing_package_is_said_before_a_row_is_trained(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="matplotlib"):
        study(folder, on_step=lambda progress: pytest.fail("trained"))
