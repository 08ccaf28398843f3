"""Learning rate over a run, by progress: 0 at the first step, 1 at the last."""

import math

from derain.training.recipe import OptimiserRecipe


def learning_rate(recipe: OptimiserRecipe, progress: float) -> float:
    """Linear warm-up to ``lr``, then a half cosine down to ``final_lr``.

    Args:
        recipe: Rates and the share of the run that is warm-up.
        progress: 0..1; the share of the steps, or of the time budget, that is spent.
    """
    if progress < recipe.warmup:
        return recipe.lr * max(progress, recipe.warmup / 100) / recipe.warmup
    rest = (progress - recipe.warmup) / max(1 - recipe.warmup, 1e-9)
    cosine = (1 + math.cos(math.pi * min(rest, 1.0))) / 2
    return recipe.final_lr + (recipe.lr - recipe.final_lr) * cosine
