"""Each name of the three papers builds what the papers say, in a clone that has no other data.

Compared row by row with the papers' tables; a change here needs a reason from a paper.
"""

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from derain.models import MODELS  # noqa: E402

DEFAULTS = {
    "MSPFN": {
        "fine_modules": 17,
        "attention_units": 1,
        "width": 64,
        "levels": 3,
        "lstm_widths": (128, 64, 32),
        "rru_widths": None,
        "recurrent_steps": 1,
        "strides": 1,
        "outer_skip": True,
        "reconstruction_width": None,
        "reduction": 4,
        "pyramid": "box",
        "align": "tf",
        "coarse_fusion": True,
        "cross_scale": True,
        "window": None,
    },
    "DCSFN": {
        "width": 32,
        "blocks": 16,
        "scales": 3,
        "convolutions": 4,
        "unit": "gru",
        "cross": True,
        "single": False,
        "inner": True,
        "dense": True,
        "skip": "input",
        "direction": "code",
        "order": "code",
    },
    "MH2FNet": {
        "extraction_blocks": 8,
        "width": 32,
        "growth": None,
        "streams": 3,
        "down": "max",
        "join": "concat",
        "hadb": True,
        "distillation_width": None,
        "entry": "concat",
        "attention": "sequential",
        "reduction": 4,
        "fusion": "rpff",
        "residual": False,
        "window": None,
    },
}
CHANGES = {  # name -> paper, and how it differs from the paper's own system
    "mspfn": ("MSPFN", {}),
    "mspfn-lite": (
        "MSPFN",
        {
            "fine_modules": 5,
            "width": 32,
            "lstm_widths": (32, 32, 32),
            "strides": 2,
            "align": "torch",
        },
    ),
    "mspfn-m30n1": ("MSPFN", {"fine_modules": 30}),
    "mspfn-m17n2": ("MSPFN", {"attention_units": 2}),
    "mspfn-m13n2": ("MSPFN", {"fine_modules": 13, "attention_units": 2}),
    "mspfn-m10n3": ("MSPFN", {"fine_modules": 10, "attention_units": 3}),
    "mspfn-m8n5": ("MSPFN", {"fine_modules": 8, "attention_units": 5}),
    "mspfn-gaussian": ("MSPFN", {"pyramid": "gaussian"}),
    "mspfn-recurrent": ("MSPFN", {"recurrent_steps": 3}),
    "mspfn-model1": (
        "MSPFN",
        {"fine_modules": 10, "attention_units": 3, "levels": 1, "lstm_widths": (128,)},
    ),
    "mspfn-model2": ("MSPFN", {"fine_modules": 10, "attention_units": 3, "coarse_fusion": False}),
    "mspfn-model3": ("MSPFN", {"fine_modules": 0, "attention_units": 3}),
    "mspfn-model4": ("MSPFN", {"fine_modules": 10, "attention_units": 3, "cross_scale": False}),
    "mspfn-model5": ("MSPFN", {"fine_modules": 5}),
    "mspfn-model6": ("MSPFN", {"fine_modules": 6, "attention_units": 3}),
    "mspfn-released": ("MSPFN", {"lstm_widths": (256, 128, 64), "rru_widths": (32, 32, 32)}),
    "mspfn-released-train": (
        "MSPFN",
        {"attention_units": (3, 3, 1), "lstm_widths": (256, 128, 64), "rru_widths": (32, 32, 32)},
    ),
    "dcsfn": ("DCSFN", {}),
    "dcsfn-code": ("DCSFN", {"width": 20, "scales": 4}),
    "dcsfn-eq2": ("DCSFN", {"order": "equation"}),
    "dcsfn-small": ("DCSFN", {"width": 16, "blocks": 8}),
    "dcsfn-lstm": ("DCSFN", {"unit": "lstm"}),
    "dcsfn-rnn": ("DCSFN", {"unit": "rnn"}),
    "dcsfn-k1": ("DCSFN", {"scales": 1}),
    "dcsfn-k2": ("DCSFN", {"scales": 2}),
    "dcsfn-k4": ("DCSFN", {"scales": 4}),
    "dcsfn-m1": ("DCSFN", {"skip": "none"}),
    "dcsfn-m2": ("DCSFN", {"dense": False}),
    "dcsfn-m3": ("DCSFN", {"single": True}),
    "dcsfn-noinner": ("DCSFN", {"inner": False}),
    "dcsfn-nocross": ("DCSFN", {"cross": False}),
    "mh2fnet": ("MH2FNet", {}),
    "mh2fnet-n4": ("MH2FNet", {"extraction_blocks": 4}),
    "mh2fnet-n6": ("MH2FNet", {"extraction_blocks": 6}),
    "mh2fnet-n10": ("MH2FNet", {"extraction_blocks": 10}),
    "mh2fnet-nohadb": ("MH2FNet", {"hadb": False}),
    "mh2fnet-concat": ("MH2FNet", {"fusion": "concat"}),
    "mh2fnet-add": ("MH2FNet", {"fusion": "add"}),
}


def test_the_papers_own_systems_are_the_defaults():
    for paper, config in DEFAULTS.items():
        entry = next(entry for entry in MODELS.values() if entry.network.__name__ == paper)
        assert dataclasses.asdict(type(entry.config)()) == config


@pytest.mark.parametrize("name", CHANGES)
def test_each_variant_is_its_row(name):
    paper, changes = CHANGES[name]
    entry = MODELS[name]
    assert entry.network.__name__ == paper
    assert dataclasses.asdict(entry.config) == DEFAULTS[paper] | changes


def test_every_variant_of_the_papers_is_listed():
    of_papers = {n for n, entry in MODELS.items() if entry.network.__name__ in DEFAULTS}
    assert of_papers == CHANGES.keys()
