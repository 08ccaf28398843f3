"""Help lists what the tables hold, so that a new row is a new choice."""

import re

import pytest

from derain.cli.facts import FACTS
from derain.rain import PRESETS


@pytest.mark.parametrize(
    "command", ["restore", "synthesize", "metrics", "evaluate", "downstream", "benchmark"]
)
def test_no_fact_is_left_unsaid(command, derain):
    code, out, _ = derain(command, "--help")
    assert code == 0
    assert not set(re.findall(r"\b[A-Z_]+\b", out)) & set(FACTS)


def test_a_new_preset_is_one_row(derain, monkeypatch):
    monkeypatch.setitem(PRESETS, "toy-rain", PRESETS["rain100h"])
    assert "|toy-rain|" in "".join(derain("synthesize", "--help")[1].split())


def test_defaults_are_those_of_the_tables(derain):
    def words(command):
        return " ".join(derain(command, "--help")[1].split())

    assert "psnr and ssim with references, niqe and sseq without" in words("metrics")
    assert "psnr, ssim and fsim on sets of pairs, niqe and sseq on the others" in words("evaluate")
