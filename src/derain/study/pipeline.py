"""A study from end to end: train what is not trained, measure, write the table."""

from collections.abc import Callable
from pathlib import Path

from derain.study.page import require, write_files
from derain.study.plan import read_study
from derain.study.run import (
    Job,
    StudySettings,
    claim_folder,
    find_sets,
    make_jobs,
    measure,
    train_row,
)
from derain.study.table import StudyTable, build
from derain.training.settings import Progress


def run_study(
    path: Path,
    data: Path,
    test: Path,
    out: Path,
    settings: StudySettings,
    *,
    is_main: bool = True,
    about: dict[str, str] | None = None,
    on_job: Callable[[Job], None] = lambda job: None,
    on_step: Callable[[Progress], None] = lambda progress: None,
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> StudyTable | None:
    """Carry out a study, or go on where it stopped.

    Everything that can be wrong with the study, its recipes and its sets is found before the first
    row is trained.

    Args:
        path: The study's file.
        data: The folder that recipes' paths are relative to.
        test: The folder that holds the sets to measure on.
        out: For ``rows/`` with the runs, the cache and the written tables.
        settings: How it is carried out.
        is_main: Whether this process measures and writes; one of several does.
        about: What the page says of the study: name -> value.
        on_job: Called before each row is trained.
        on_step: Called after each step, in the main process.
        note: Is told what cannot be measured.
        progress: Called after each measured image.

    Returns:
        The table; None in all but the main process.

    Raises:
        ValueError: The study, a recipe or a set cannot be used; names it.
        ImportError: A package that the page needs is missing.
        Interrupted: Training was asked to stop; the same call goes on.
    """
    require()
    study = read_study(path)
    wanted = {study.row(name).name for name in settings.rows} or {row.name for row in study.rows}
    sets = find_sets(study, test, settings)
    jobs = make_jobs(study, path, out, settings)
    if is_main:
        claim_folder(jobs, out, settings.training.minutes)
    for job in jobs:
        if job.row.name in wanted and not job.finished:
            on_job(job)
            train_row(job, data, settings.training, on_step)
    if not is_main:
        return None
    outcomes, rainy = measure(
        study, jobs, sets, out, device=settings.training.device, note=note, progress=progress
    )
    table = build(study, sets, outcomes, rainy, settings)
    write_files(out, table, outcomes, about or {})
    return table
