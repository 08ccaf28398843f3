"""The papers' recipes: every value of them, so that a learning rate times ten is caught.

The values are those of the papers; their sections are named beside them.
"""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from derain.training.recipe import SourceRecipe, read_recipe

PAPERS = Path(__file__).resolve().parents[2] / "recipes" / "papers"

ADAM = {"kind": "adam", "weight_decay": 1e-4, "clip": 0.0, "ema": 0.0}  # Adam decays no weight
MSPFN = {  # section 4.1 of the paper; crops, their flips and rotations from the released code
    "network": "mspfn", "steps": 160_000, "seed": 0,
    "loss": {"charbonnier": 1.0, "edge": 0.05},  # Eq. 3: lambda = 0.05
    "data": {"patch": 96, "batch": 8}, "optimiser": {"lr": 2e-4},
    "source": {"path": "Rain13K", "augment": "dihedral"},
    "schedule": {"every": 20_000, "factor": 0.5, "final_lr": 1e-6},
}  # fmt: skip
DCSFN = {  # section 4.1; batch and seed from the released code
    "network": "dcsfn", "epochs": 800, "seed": 66, "loss": {"ssim": 1.0},
    "data": {"patch": 64, "batch": 24}, "optimiser": {"lr": 5e-4},
    "source": {"augment": "none"},
    "schedule": {"milestones": (480 / 800, 640 / 800), "factor": 0.1, "final_lr": 0.0},
}  # fmt: skip
MH2FNET = {  # section 4.1; the halvings are our reading
    "network": "mh2fnet", "epochs": 200, "seed": 0, "loss": {"l1": 1.0, "ssim": 0.2},  # Eq. 5
    "data": {"patch": 64, "batch": 16}, "optimiser": {"lr": 1e-3},
    "source": {"augment": "mirror"},
    "schedule": {"milestones": (0.25, 0.5, 0.75), "factor": 0.5, "final_lr": 0.0},
}  # fmt: skip
PRENET = {  # section 4 and the released code
    "network": "prenet", "steps": 150_000, "seed": 0, "loss": {"ssim": 1.0},
    "data": {"patch": 100, "batch": 18}, "optimiser": {"lr": 1e-3},
    "source": {"path": "RainTrainH", "augment": "none"},
    "schedule": {"milestones": (30 / 100, 50 / 100, 80 / 100), "factor": 0.2, "final_lr": 0.0},
}  # fmt: skip


def at(paper: dict[str, Any], path: str, **changes: Any) -> dict[str, Any]:
    return {**paper, **changes, "source": {**paper["source"], "path": path}}


EXPECTED = {
    "mspfn": MSPFN,
    "mspfn-no-edge": {**MSPFN, "loss": {"charbonnier": 1.0}},  # Table 4: lambda = 0
    "dcsfn": at(DCSFN, "Rain200H/train"),
    "dcsfn-rain200l": at(DCSFN, "Rain200L/train"),
    "dcsfn-rain1200": at(DCSFN, "Rain1200/train"),
    "mh2fnet": at(MH2FNET, "Rain200H/train"),
    "mh2fnet-rain200l": at(MH2FNET, "Rain200L/train"),
    "mh2fnet-rain1400": at(MH2FNET, "Rain1400/training", epochs=100),
    "mh2fnet-spa-data": at(MH2FNET, "SPA-Data/train", epochs=25),
    "prenet": PRENET,
}


def test_each_recipe_of_the_papers_is_here():
    assert {path.stem for path in PAPERS.glob("*.toml")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_every_value_is_the_papers(name):
    """Every field: none may change without a change here."""
    recipe = dataclasses.asdict(read_recipe(PAPERS / f"{name}.toml"))
    expected = EXPECTED[name]
    source = dataclasses.asdict(SourceRecipe(path="", layout="set")) | expected["source"]
    data = {
        "stages": (), "accumulate": 1, "order": "epochs", "validation": 0, "validation_set": "",
        "storage": "auto", **expected["data"], "sources": (source,),
    }  # fmt: skip
    schedule = {"kind": "steps", "warmup": 0.0, "milestones": (), "every": 0}
    assert recipe == {
        "name": name, "network": expected["network"], "options": {}, "init": "",
        "steps": expected.get("steps", 0), "epochs": expected.get("epochs", 0),
        "loss": expected["loss"], "seed": expected["seed"], "precision": "f32", "compile": False,
        "data": data, "optimiser": ADAM | expected["optimiser"],
        "schedule": schedule | expected["schedule"],
    }  # fmt: skip
