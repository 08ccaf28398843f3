"""An evaluation from end to end: find sets and models, measure, write tables and the report."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from derain.data.layouts import Found, find_set, find_sets
from derain.evaluation import report, tables
from derain.evaluation.cache import Note
from derain.evaluation.evaluate import Plan, evaluate
from derain.evaluation.models import PUBLISHED, InferenceSettings, evaluation_models, rainy_input
from derain.io.atomic import write_atomically

FILES = ("report.html", "summary.md", "summary.csv", "images.csv", "results.json")

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
    about: dict[str, str] | None = None,
    note: Note = lambda text: None,
    progress: OnProgress = lambda done, total: None,
) -> list[tables.Table]:
    """Evaluate models on sets; what an earlier run left in ``out`` is not computed again.

    Args:
        root: Holds the sets.
        sets: As ``layouts.find_set`` takes them; none means every public test set that is there.
        models: As ``models.evaluation_model`` takes them, and perhaps ``published``.
        out: Folder for ``FILES`` and the cache.
        plan: Metrics and protocol.
        settings: How networks run.
        limit: Only the first so many images of every set.
        about: What the report says of this run.
        note: Is told what could not be used.
        progress: Called after each image of each model.

    Returns:
        The tables, one per set.

    Raises:
        ValueError: A set or model cannot be found or used; an image cannot be measured. Each
            names what is wrong; what was measured stays.
        ImportError: A package that the report needs is missing.
        OSError: ``out`` cannot be written.
    """
    report.require()
    chosen = [rainy_input(), *evaluation_models(models, settings)]
    found = [find_set(root, what).first(limit) for what in sets] or [
        one.first(limit) for one in _tests(root, note)
    ]
    for one in found:
        if sum(other.name == one.name for other in found) > 1:
            raise ValueError(
                f"{one.name} is asked for twice; evaluate its copies one after another"
            )
    done, total = count(1), len(chosen) * sum(len(one.items) for one in found)
    results = evaluate(
        chosen, found, plan or Plan(), out / "cache", note=note,
        advance=lambda: progress(next(done), total),
    )  # fmt: skip
    built = tables.build(results, PUBLISHED in models)
    about = about or {}
    texts = (
        report.render(built, about),
        "\n".join(tables.markdown(table) for table in built),
        tables.summary_csv(built),
        tables.images_csv(built),
        tables.as_json(built, about),
    )
    for name, text in zip(FILES, texts, strict=True):
        write_atomically(out / name, text.encode())
    return built


def _tests(root: Path, note: Note) -> list[Found]:
    found, problems = find_sets(root)
    for problem in problems:
        note(f"left out: {problem}")
    tests = [one for one in found if one.public and not one.public.training]
    if not tests:
        raise ValueError(f"{root}: no public test set in it; `derain data list` names them")
    return tests
