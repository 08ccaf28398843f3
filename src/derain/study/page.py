"""What a study leaves to read: the table as Markdown, CSV, LaTeX and one HTML page."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from derain.evaluation import pages
from derain.evaluation.pages import template
from derain.evaluation.typeset import latex
from derain.io.atomic import write_atomically
from derain.study import table as tables
from derain.study.run import Outcome
from derain.study.table import StudyTable
from derain.training.curves import plot_runs

FILES = ("study.html", "table.md", "table.csv", "table.tex")


def require() -> None:
    """Fail before the trainings, not after them, where the page cannot be made.

    Raises:
        ImportError: Jinja2 or matplotlib is not installed.
    """
    pages.require()
    import_module("matplotlib")


def write_files(
    out: Path, table: StudyTable, outcomes: Sequence[Outcome], about: dict[str, str]
) -> None:
    """Write ``FILES``.

    Args:
        out: The study's folder.
        table: What was found.
        outcomes: The trained rows it was found from.
        about: What the page says of the study: name -> value.

    Raises:
        ImportError: A package that the page needs is missing.
        OSError: The folder cannot be written to.
    """
    caption = " ".join([f"{table.title}.", *tables.remarks(table)])
    texts = (
        render(table, outcomes, about),
        tables.markdown(table),
        tables.as_csv(outcomes, table),
        latex(tables.cells(table), caption),
    )
    for name, text in zip(FILES, texts, strict=True):
        write_atomically(out / name, text.encode())


def render(table: StudyTable, outcomes: Sequence[Outcome], about: dict[str, str]) -> str:
    """The page, which loads nothing from anywhere.

    Raises:
        ImportError: Jinja2 or matplotlib is not installed.
    """
    recipes = [["row", "changes of the recipe"]]
    recipes += [[row.name, ", ".join(row.changes) or "none"] for row in table.study.rows]
    return template("study.html.jinja").render(
        table=table, about=about, curves=curves(outcomes), recipes=recipes,
        cells=tables.cells(table), remarks=tables.remarks(table),
        verdicts=tables.verdict_cells(table), lead=lead(table),
    )  # fmt: skip


def lead(table: StudyTable) -> str:
    """Where the differences of the claims are from."""
    return f"{table.study.metrics[0].upper()} on {table.sets[0].title}"


def curves(outcomes: Sequence[Outcome]) -> str:
    """Loss and validation of all runs as SVG; empty without a run."""
    if not outcomes:
        return ""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "curves.svg"
        plot_runs([outcome.job.folder for outcome in outcomes], path, "minutes")
        text = path.read_text()
    return text[text.index("<svg") :]
