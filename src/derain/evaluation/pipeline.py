"""An evaluation from end to end: find sets and models, measure, write tables and pages."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from derain.data.layouts import Found, find_set, find_sets
from derain.evaluation import blind, pages, report, tables
from derain.evaluation.cache import Note
from derain.evaluation.evaluate import Plan, evaluate
from derain.evaluation.models import PUBLISHED, InferenceSettings, evaluation_models, rainy_input
from derain.evaluation.typeset import align
from derain.io.atomic import write_atomically

FILES = ("report.html", "summary.md", "summary.csv", "summary.tex", "images.csv", "results.json")

OnProgress = Callable[[int, int], None]  # images done, in all


def run_evaluation(
    root: Path,
    sets: Sequence[str],
    models: Sequence[str],
    out: Path,
    plan: Plan | None = None,
    settings: InferenceSettings | None = None,
    *,
    limit: int | None = None,
    judged: int = 0,
    about: dict[str, str] | None = None,
    note: Note = lambda text: None,
    progress: OnProgress = lambda done, total: None,
) -> list[tables.Table]:
    """Evaluate models on sets; what an earlier run left in ``out`` is not computed again.

    Args:
        root: Holds the sets.
        sets: As ``layouts.find_set`` takes them; none means every public test set that is there.
        models: As ``models.evaluation_model`` takes them, and perhaps ``published``.
        out: Folder for ``FILES``, ``blind.FILE`` and the cache.
        plan: Metrics and protocol.
        settings: How networks run.
        limit: Only the first so many images of every set.
        judged: How many photographs without ground truth the blind page shows; 0 makes no page.
        about: What the report says of this run.
        note: Is told what could not be used.
        progress: Called after each image of each model.

    Returns:
        The tables, one per set that can be measured; none if there is only the blind page to make.

    Raises:
        ValueError: A set or model cannot be found or used; an image cannot be measured. Each
            names what is wrong; what was measured stays.
        ImportError: A package that the report needs is missing.
        OSError: ``out`` cannot be written.
    """
    pages.require()
    compared = evaluation_models(models, settings)
    chosen = [rainy_input(), *compared]
    found = [find_set(root, what).first(limit) for what in sets] or [
        one.first(limit) for one in _tests(root, note)
    ]
    for one in found:
        if sum(other.name == one.name for other in found) > 1:
            raise ValueError(
                f"{one.name} is asked for twice; evaluate its copies one after another"
            )
    plan, cache = plan or Plan(), out / "cache"
    shown = blind.photographs(found, judged) if judged else []
    if shown:
        blind.check_models(compared)
    done = count(1)
    total = len(chosen) * sum(len(one.items) for one in found) + len(compared) * len(shown)

    def advance() -> None:
        progress(next(done), total)

    if shown:
        page = blind.render(compared, shown, cache, note=note, advance=advance)
        write_atomically(out / blind.FILE, page.encode())
        if not any(plan.functions(one)[0] for one in found):
            note("no tables: no metric can be measured on these photographs")
            return []
    results = evaluate(chosen, found, plan, cache, note=note, advance=advance)
    built = tables.build(results, PUBLISHED in models)
    about = about or {}
    texts = (
        report.render(built, about),
        summary(built),
        tables.summary_csv(built),
        tables.as_latex(built),
        tables.images_csv(built),
        tables.as_json(built, about),
    )
    for name, text in zip(FILES, texts, strict=True):
        write_atomically(out / name, text.encode())
    return built


def summary(built: Sequence[tables.Table]) -> str:
    """Every table as Markdown, and the one across sets where there are several."""
    texts = [tables.markdown(table) for table in built]
    if rows := tables.across(built):
        texts.append("\n".join(["## All sets", "", *align(rows), ""]))
    return "\n".join(texts)


def _tests(root: Path, note: Note) -> list[Found]:
    found, problems = find_sets(root)
    for problem in problems:
        note(f"left out: {problem}")
    tests = [one for one in found if one.public and not one.public.training]
    if not tests:
        raise ValueError(f"{root}: no public test set in it; `derain data list` names them")
    return tests
