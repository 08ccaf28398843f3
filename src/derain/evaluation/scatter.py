"""Quality against cost as inline SVG: measured models, published figures, the rainy input."""

import math
from collections.abc import Callable, Sequence
from html import escape
from statistics import fmean
from typing import NamedTuple

WIDTH, HEIGHT = 1000, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 18, 52  # margins; the right one holds the levels' names
_LABEL = 17  # pixels from one line of text to the next


class Point(NamedTuple):
    """A model whose cost is known."""

    name: str
    cost: float
    quality: float
    kind: str  # "measured" or "published"
    published: float | None = None  # the paper's figure for a measured network


class Level(NamedTuple):
    """A figure without a cost: a line across the plot."""

    text: str  # its name and value
    quality: float
    kind: str  # "input" or "published"


def scatter(
    points: Sequence[Point], levels: Sequence[Level], cost: str, quality: str, *, lower: bool
) -> str:
    """Draw one plot.

    Args:
        points: At least one; costs above 0.
        levels: Lines across.
        cost: Name of the horizontal axis, which is logarithmic.
        quality: Name of the vertical axis.
        lower: Whether lower quality numbers are better; the axis then points down.

    Returns:
        An <svg> element without colours of its own: classes name what things are.
    """
    costs = [point.cost for point in points]
    low, high = min(costs), max(costs)
    spread = max(high / low, 9.0) ** 0.5 * 1.25
    middle = math.sqrt(low * high)
    first, last = math.log10(middle / spread), math.log10(middle * spread)
    values = [*(p.quality for p in points), *(level.quality for level in levels)]
    values += [p.published for p in points if p.published is not None]
    step = _step(max(values) - min(values))
    bottom = math.floor((min(values) - 0.2 * step) / step) * step
    top = math.ceil((max(values) + 0.2 * step) / step) * step

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        fraction = (value - bottom) / (top - bottom)
        return TOP + (fraction if lower else 1 - fraction) * (HEIGHT - TOP - BOTTOM)

    end = WIDTH - RIGHT
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(quality)} against {escape(cost)}">'
    ]
    for i in range(round((top - bottom) / step) + 1):
        value = bottom + i * step
        parts.append(_line("grid", LEFT, y(value), end, y(value)))
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:g}", "tick", "end"))
    for value in _log_ticks(10**first, 10**last):
        parts.append(_line("grid", x(value), TOP, x(value), HEIGHT - BOTTOM))
        parts.append(_text(x(value), HEIGHT - BOTTOM + 18, f"{value:g}", "tick", "middle"))
    parts.append(_text((LEFT + end) / 2, HEIGHT - 10, cost, "axis", "middle"))
    parts.append(
        f'<text class="axis" transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(quality)}</text>'
    )
    ordered = sorted(levels, key=lambda level: y(level.quality))
    places = _apart([y(level.quality) for level in ordered])
    for level, place in zip(ordered, places, strict=True):
        height = y(level.quality)
        parts.append(_line(f"level {level.kind}", LEFT, height, end, height))
        parts.append(_line(f"leader {level.kind}", end, height, end + 14, place))
        parts.append(_text(end + 18, place + 4, level.text, f"name {level.kind}", "start"))
    taken: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: y(p.quality)):
        parts += _point(point, x(point.cost), y, taken, end)
    return "".join([*parts, "</svg>"])


def _point(
    point: Point,
    x: float,
    y: Callable[[float], float],
    taken: list[tuple[float, float]],
    end: float,
) -> list[str]:
    height = y(point.quality)
    parts: list[str] = []
    if point.published is not None:
        parts.append(_line("shift", x, height, x, y(point.published)))
        parts.append(
            f'<circle class="published" cx="{x:.1f}" cy="{y(point.published):.1f}" r="5">'
            f"<title>{escape(point.name)}, published: {point.published:g}</title></circle>"
        )
    parts.append(
        f'<circle class="{point.kind}" cx="{x:.1f}" cy="{height:.1f}" r="6">'
        f"<title>{escape(point.name)}: {point.quality:.4g} at {point.cost:.4g}</title></circle>"
    )
    place = height + 4
    while any(abs(place - other) < _LABEL and abs(x - at) < 160 for at, other in taken):
        place += _LABEL
    taken.append((x, place))
    right = x + 8.5 * len(point.name) > end - 10
    anchor, at = ("end", x - 11) if right else ("start", x + 11)
    return [*parts, _text(at, place, point.name, f"name {point.kind}", anchor)]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _step(span: float) -> float:
    """A round distance between ticks, for about six of them."""
    rough = max(span, 1e-3) / 6
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def _apart(places: Sequence[float]) -> list[float]:
    """Move ascending places as little as needed for texts not to overlap, inside the plot.

    Less what the texts before each take up, the places must ascend: isotonic regression, in which
    neighbours that do not are replaced by their mean.
    """
    blocks: list[list[float]] = []
    for i, place in enumerate(places):
        blocks.append([place - i * _LABEL])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    free = [fmean(block) for block in blocks for _ in block]
    highest = HEIGHT - BOTTOM - (len(places) - 1) * _LABEL
    return [max(TOP, min(place, highest)) + i * _LABEL for i, place in enumerate(free)]
