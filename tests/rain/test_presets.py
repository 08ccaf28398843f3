from pathlib import Path

import numpy as np
import pytest

from derain.rain import MIXTURES, PRESETS
from derain.rain.ranges import LIMITS

GUIDE = Path(__file__).parents[2] / "docs" / "rain.md"


@pytest.mark.parametrize("name", PRESETS)
def test_every_range_of_a_preset_has_a_limit_and_lies_within_it(name):
    rng = np.random.default_rng(0)
    for key, values in PRESETS[name].ranges.items():
        low, high = LIMITS[key]
        drawn = [values.draw(rng) for _ in range(200)]
        assert low <= min(drawn) <= max(drawn) <= high, key


@pytest.mark.parametrize("name", MIXTURES)
def test_a_mixture_is_made_of_presets_and_adds_up(name):
    probabilities = MIXTURES[name].probabilities
    assert set(probabilities) <= set(PRESETS)
    assert sum(probabilities.values()) == pytest.approx(1)


def test_the_guide_names_every_preset():
    text = GUIDE.read_text()
    families = ("rain1200", "photo")  # a row names the first, then only the endings
    for name in [*PRESETS, *MIXTURES]:
        family, _, ending = name.partition("-")
        assert f"`{name}`" in text or (family in families and f"`-{ending}`" in text), name
