"""Links lead somewhere, paths that prose names exist, and docstrings cite papers."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "docs", "examples", "recipes", "src", "tests")
TEXTS = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".md", ".py", ".toml", ".jinja") and path != Path(__file__).resolve()
) + sorted(ROOT.glob("*.md"))
PAGES = [path for path in TEXTS if path.suffix == ".md"]
CODE = [path for path in TEXTS if path.is_relative_to(ROOT / "src") and path.suffix == ".py"]
OUTSIDE = re.compile(r"\bspecs/|[(e] specification\b|\(specification")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name(page)}: {target}"


def test_every_path_into_docs_that_a_file_names_exists():
    missing = [
        f"{name(path)}: {mentioned}"
        for path in TEXTS
        for mentioned in re.findall(r"docs/[\w./-]*\w\.\w+", path.read_text(encoding="utf-8"))
        if not (ROOT / mentioned).exists()
    ]
    assert not missing


def test_every_guide_and_note_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[^)#]+\.md)", (ROOT / "README.md").read_text()))
    assert linked == {name(page) for page in PAGES if page.is_relative_to(ROOT / "docs")}


def test_no_file_cites_what_lies_outside_the_repository():
    # `../shared` holds the data sets, which commands name; the specifications are not cited.
    citing = [name(path) for path in TEXTS if OUTSIDE.search(path.read_text())]
    assert not citing


@pytest.mark.parametrize("path", CODE, ids=name)
def test_docstrings_open_with_what_a_thing_is(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            assert not text.startswith("Of the"), f"{name(path)}: {text.splitlines()[0]}"
            assert not re.search(r"^ +\w+: Of ", text, re.MULTILINE), f"{name(path)}: {text}"
