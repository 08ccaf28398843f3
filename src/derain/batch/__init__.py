"""Restore many images and clips: find them, name the results, run, go on when one fails."""

from derain.batch.image import UNCHANGED, BatchSettings, Restored, restore_data
from derain.batch.jobs import Job, Outcome, plan
from derain.batch.runner import Cancelled, run

__all__ = [
    "UNCHANGED",
    "BatchSettings",
    "Cancelled",
    "Job",
    "Outcome",
    "Restored",
    "plan",
    "restore_data",
    "run",
]
