"""A million files and several machines: Ray Data runs, fsspec reads and writes.

``restore`` runs a `Plan`, ``restore_dataset`` takes the rain from a column of a Ray dataset, and
``read_manifest`` says what became of every file.
"""

from derain.scale.dataset import restore_dataset
from derain.scale.manifest import Row
from derain.scale.manifest import read as read_manifest
from derain.scale.plan import Plan
from derain.scale.run import Progress, restore

__all__ = ["Plan", "Progress", "Row", "read_manifest", "restore", "restore_dataset"]
