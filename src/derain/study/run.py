"""Carry a study out: train every row, go on where it stopped, measure what is trained."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from derain.data.layouts import Found, find_set
from derain.evaluation.evaluate import Measured, Plan, evaluate
from derain.evaluation.models import InferenceSettings, evaluation_models, rainy_input
from derain.io.atomic import write_atomically
from derain.study.plan import Row, Study, slug
from derain.training.checkpoint import checkpoints
from derain.training.loop import train
from derain.training.recipe import Recipe, read_recipe, to_toml
from derain.training.settings import Progress, TrainingSettings

FINISHED = "finished.json"  # in a row's run folder, once it is trained


@dataclass(frozen=True)
class StudySettings:
    """How a study is carried out; what it compares is in its file."""

    recipe: Path | None = None  # instead of the study's own
    changes: tuple[str, ...] = ()  # of every row's recipe, as `derain train --set` takes them
    rows: tuple[str, ...] = ()  # train these alone; empty trains all
    seeds: int = 1  # runs of each row
    sets: tuple[str, ...] = ()  # measure on these instead of the study's
    limit: int | None = None  # measure the first so many images of each set
    training: TrainingSettings = field(default_factory=TrainingSettings)


class Job(NamedTuple):
    """One run: a row with a seed."""

    row: Row
    seed: int
    recipe: Recipe
    folder: Path

    @property
    def weights(self) -> Path:
        """Where its weights are once it has been saved."""
        return self.folder / f"{self.recipe.name}.safetensors"

    @property
    def finished(self) -> dict[str, float] | None:
        """Its steps and seconds; None until it is trained."""
        path = self.folder / FINISHED
        return json.loads(path.read_text()) if path.is_file() else None


class Outcome(NamedTuple):
    """A trained row with one seed, measured on every set."""

    job: Job
    steps: int
    seconds: float  # of training
    measured: tuple[Measured, ...]


def make_jobs(study: Study, path: Path, out: Path, settings: StudySettings) -> list[Job]:
    """Every run of a study, row by row.

    Args:
        study: What is compared.
        path: The study's file, which its recipe is relative to.
        out: The study's folder.
        settings: How it is carried out.

    Raises:
        ValueError: A row's recipe cannot be used; names row, key and what is allowed.
    """
    base = settings.recipe or path.parent / study.recipe
    jobs = []
    for seed in range(settings.seeds):
        for row in study.rows:
            name = f"{slug(row.name)}-seed{seed}"
            try:
                recipe = read_recipe(base, [*settings.changes, *row.changes, f"seed={seed}"])
            except ValueError as error:
                raise ValueError(f"row {row.name!r}: {error}") from None
            recipe = dataclasses.replace(recipe, name=name)
            jobs.append(Job(row, seed, recipe, out / "rows" / name))
    return jobs


def claim_folder(jobs: Sequence[Job], out: Path, minutes: float | None) -> None:
    """Write down what the folder's study is, or see that it is this one.

    Runs of another recipe or budget would not compare with those that are there.

    Raises:
        ValueError: The folder holds another study; says in which row it differs.
    """
    budget = "whole length" if minutes is None else f"{minutes:g} minutes a row"
    told = {job.recipe.name: f"# {budget}\n{to_toml(job.recipe)}" for job in jobs}
    path = out / "study.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    for name, text in told.items():
        if before.get(name, text) != text:
            raise ValueError(
                f"{out}: holds a study with another recipe or budget for {name}; choose another "
                "folder, or give the options that it was started with"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(before | told, indent=1) + "\n").encode())


def find_sets(study: Study, root: Path, settings: StudySettings) -> list[Found]:
    """The sets to measure on.

    Raises:
        ValueError: A set is unknown or not there; says what is looked for.
    """
    names = settings.sets or study.sets
    return [find_set(root, name).first(settings.limit) for name in names]


def train_row(
    job: Job, data: Path, settings: TrainingSettings, on_step: Callable[[Progress], None]
) -> None:
    """Train a row, or go on where it stopped; does nothing if it is trained.

    Raises:
        What ``derain.training.loop.train`` raises.
    """
    if job.finished:
        return
    resume = bool(checkpoints(job.folder / "checkpoints"))
    if not resume and job.folder.is_dir():
        shutil.rmtree(job.folder)  # what a start left that was killed before its first checkpoint
    last: list[Progress] = []

    def note(progress: Progress) -> None:
        last[:] = [progress]
        on_step(progress)

    train(job.recipe, data, job.folder, settings, resume=resume, on_step=note)
    if last:  # in the first process alone
        told = {"steps": last[0].step, "seconds": round(last[0].elapsed, 1)}
        write_atomically(job.folder / FINISHED, (json.dumps(told) + "\n").encode())


def measure(
    study: Study,
    jobs: Sequence[Job],
    sets: Sequence[Found],
    out: Path,
    *,
    device: str = "auto",
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Outcome], list[Measured]]:
    """Measure every row that is trained; what an earlier call measured is not computed again.

    Returns:
        The trained rows; and what was measured of the rainy images themselves.

    Raises:
        ValueError: An image cannot be read, restored or measured; names it.
    """
    trained = [job for job in jobs if job.finished]
    models = [rainy_input()]
    settings = InferenceSettings(device, "torch")
    models += evaluation_models([str(job.weights) for job in trained], settings)
    done, total = 0, len(models) * sum(len(found.items) for found in sets)

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    plan = Plan(study.metrics, study.protocol)
    results = evaluate(models, sets, plan, out / "cache", note=note, advance=advance)
    outcomes = []
    for job, model in zip(trained, models[1:], strict=True):
        finished = job.finished or {}
        mine = tuple(result for result in results if result.model is model)
        outcomes.append(Outcome(job, int(finished["steps"]), finished["seconds"], mine))
    return outcomes, [result for result in results if result.model is models[0]]
