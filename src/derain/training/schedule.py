"""Learning rate over a run, by progress: 0 at the first step, 1 at the last."""

import math

from derain.training.recipe import ScheduleRecipe


def learning_rate(top: float, schedule: ScheduleRecipe, progress: float, steps: int) -> float:
    """The learning rate at a point of a run: a linear warm-up, then as ``kind`` says.

    Args:
        top: The highest learning rate.
        schedule: ``cosine`` falls by a half cosine to ``final_lr``; ``steps`` multiplies with
            ``factor`` at every milestone, or every so many steps, but not below ``final_lr``.
        progress: 0..1; the fraction of the steps, or of the time budget, that is spent.
        steps: Number of steps of the whole run.
    """
    if progress < schedule.warmup:
        return top * max(progress, schedule.warmup / 100) / schedule.warmup
    if schedule.kind == "steps":
        passed = sum(progress >= milestone for milestone in schedule.milestones)
        if schedule.every:
            passed = int(progress * steps + 1e-6) // schedule.every
        return max(top * schedule.factor**passed, schedule.final_lr)
    rest = (progress - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    cosine = (1 + math.cos(math.pi * min(rest, 1.0))) / 2
    return schedule.final_lr + (top - schedule.final_lr) * cosine
