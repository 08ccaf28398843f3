"""A study: which rows are trained and measured, and which published table they answer."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from derain.metrics import get_metric, get_protocol
from derain.training.recipe import from_table


@dataclass(frozen=True)
class Row:
    """One row of the table: a recipe with changes."""

    name: str  # as the paper prints it
    changes: tuple[str, ...] = ()  # of the recipe, as `derain train --set` takes them


@dataclass(frozen=True)
class Claim:
    """What a paper's table says of two rows: by the study's first metric, one is better."""

    better: str
    than: str


@dataclass(frozen=True)
class Study:
    """A table to repeat."""

    title: str
    recipe: str  # that the rows change; relative to the study's file
    sets: tuple[str, ...]  # to measure on, as `derain evaluate --set` takes them
    rows: tuple[Row, ...]
    paper: str = ""  # of the published table, as `derain published` names it
    table: str = ""
    metrics: tuple[str, ...] = ("psnr", "ssim")
    protocol: str = "y"
    claims: tuple[Claim, ...] = ()

    def row(self, name: str) -> Row:
        """The row of a name.

        Raises:
            ValueError: There is none; lists those that are there.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise ValueError(f"no row {name!r}; rows: {', '.join(row.name for row in self.rows)}")


def read_study(path: Path) -> Study:
    """Read a study's file.

    Raises:
        ValueError: Not TOML, an unknown key or a wrong value; names file, key and what is allowed.
    """
    try:
        study = from_table(Study, tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such study") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    try:
        if not study.rows or not study.sets or not study.metrics:
            raise ValueError("rows, sets and metrics must not be empty")
        slugs = [slug(row.name) for row in study.rows]
        if len(set(slugs)) < len(slugs):
            raise ValueError("rows must differ in the letters and digits of their names")
        for claim in study.claims:
            study.row(claim.better)
            study.row(claim.than)
        get_protocol(study.protocol)
        for metric in study.metrics:
            get_metric(metric)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return study


def slug(name: str) -> str:
    """The name of a row as files bear it: small letters and digits."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "row"
