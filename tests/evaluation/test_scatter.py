import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from derain.evaluation.scatter import BOTTOM, HEIGHT, TOP, Level, Point, _apart, scatter

POINTS = [
    Point("small", 1.0, 25.0, "measured", 24.0),
    Point("large", 100.0, 28.0, "measured"),
    Point("a <paper>", 10.0, 27.0, "published"),
]
LEVELS = [Level("rainy input 13.55", 13.55, "input"), Level("MSPFN 28.60", 28.6, "published")]


def circles(svg: str) -> dict[str, tuple[float, float]]:
    root = ET.fromstring(svg)
    found = {}
    for circle in root.iter("circle"):
        (title,) = circle
        name = (title.text or "").partition(":")[0]
        found[name] = (float(circle.attrib["cx"]), float(circle.attrib["cy"]))
    return found


def test_better_is_higher_and_dearer_is_further_right() -> None:
    found = circles(scatter(POINTS, LEVELS, "GMACs", "PSNR", lower=False))
    assert found.keys() == {"small", "small, published", "large", "a <paper>"}
    assert found["small"][0] < found["a <paper>"][0] < found["large"][0]
    # costs 1, 10, 100 lie evenly on a logarithmic axis
    assert found["a <paper>"][0] == pytest.approx(
        (found["small"][0] + found["large"][0]) / 2, abs=0.2
    )
    assert found["large"][1] < found["a <paper>"][1] < found["small"][1]
    assert found["small, published"][0] == found["small"][0]
    assert found["small, published"][1] > found["small"][1]
    assert all(TOP <= y <= HEIGHT - BOTTOM for _, y in found.values())


def test_where_lower_is_better_the_axis_points_down() -> None:
    found = circles(scatter(POINTS, LEVELS, "GMACs", "NIQE", lower=True))
    assert found["small"][1] < found["large"][1]


def test_one_point_is_enough() -> None:
    found = circles(scatter(POINTS[1:2], [], "GMACs", "PSNR", lower=False))
    assert len(found) == 1


def test_levels_are_named_with_their_values() -> None:
    svg = scatter(POINTS, LEVELS, "GMACs", "PSNR", lower=False)
    texts = [text.text for text in ET.fromstring(svg).iter("text")]
    assert {"rainy input 13.55", "MSPFN 28.60"} <= set(texts)


@pytest.mark.parametrize("wanted", [[50.0] * 9, [20.0, 21.0, 100.0, 101.0, 102.0], [360.0] * 3, []])
def test_names_do_not_overlap_and_stay_inside(wanted: list[float]) -> None:
    places = _apart(wanted)
    assert len(places) == len(wanted)
    assert all(b - a >= 16.99 for a, b in pairwise(places))
    assert all(TOP - 0.01 <= place <= HEIGHT - BOTTOM + 0.01 for place in places)


def test_names_that_have_room_stay_where_they_are() -> None:
    assert _apart([40.0, 100.0, 300.0]) == [40.0, 100.0, 300.0]
    moved = _apart([100.0, 200.0, 201.0])
    assert moved[0] == 100.0
    assert sum(moved[1:]) == pytest.approx(401.0)  # the two share the move
