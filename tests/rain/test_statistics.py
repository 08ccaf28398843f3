import numpy as np
import pytest

from derain.rain import statistics


def stripes(period: int = 40, width: int = 4) -> np.ndarray:
    rain = np.zeros((200, 200), np.float32)
    for column in range(10, 200, period):
        rain[:, column : column + width] = 100
    return rain


def test_rain_is_recovered_where_it_is_not_censored():
    clean = np.array([[[10, 20, 200], [250, 250, 250]]], np.uint8)
    rain, known = statistics.recover_rain(np.minimum(clean + 60.0, 255).astype(np.uint8), clean)
    assert rain[0, 0] == 60
    assert known.tolist() == [[True, False]]


def test_vertical_stripes_have_their_angle_coherence_and_widths():
    rain, known = stripes(), np.ones((200, 200), bool)
    histogram, _ = statistics.orientation(rain, known)
    found = statistics.layer_statistics(rain, known)
    assert histogram.sum() == pytest.approx(1)
    assert found["angle"] == pytest.approx(90, abs=1.25)
    assert found["angle spread"] < 2
    assert found["run width"] == pytest.approx(4, abs=1)
    assert found["run length"] > 100  # 200, but for a direction that is off by half a bin
    assert found["correlation across"] == pytest.approx(2, abs=0.5)


def test_spread_of_two_directions():
    histogram = np.zeros(72)
    histogram[[34, 37]] = 0.5  # 86.25 and 93.75 degrees: 3.75 to each side
    assert statistics.angle_spread(histogram) == pytest.approx(3.75, rel=0.01)


def test_directions_near_zero_wrap_round():
    histogram = np.zeros(72)
    histogram[[0, 71]] = 0.5
    assert statistics.angle_spread(histogram) == pytest.approx(1.25, rel=0.01)
