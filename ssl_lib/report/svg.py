"""Small drawings in SVG: lines, intervals, points.

They are 360 pixels wide, so that a phone shows their words at full size. Colors come from the
page's style sheet, so that they follow its theme: a class `after`, `before` or `plain` sets one.

    line_chart      <polyline points="42,12 191,98.5 340,160" class="line after"/> in a frame
    interval_chart  one line a row: words, <line class="interval after"/> and <circle/>, value
    parallel_chart  <polyline class="line plain thin"/> through one axis a column
    scatter         points joined in their order, with names beside some of them
    cloud           points in a frame, so pale that many in one place look dark
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ssl_lib.report.markup import Html, join, short, tag

WIDTH = 360
HEIGHT = 220
# Margins of a frame: room for the words at both axes.
LETTER = 6.5  # of a label: its mean width
LEFT = 42
RIGHT = 20
TOP = 12
BOTTOM = 36
LETTER = 7.0  # width of a letter of the labels, at most
MOST_POINTS = 240  # of a line: more cannot be told apart

Point = tuple[float, float]


class Series(NamedTuple):
    """A line through points; `style` is one or more of after, before, plain, thin, diagonal."""

    name: str
    points: Sequence[Point]
    style: str


class Mark(NamedTuple):
    """A value with its interval (None: without one).

    `style` is after, before or plain, with hollow for an empty dot.
    """

    value: float
    interval: Sequence[float] | None
    style: str


class Row(NamedTuple):
    """A row of an interval chart: words at the left, marks, the value in words at the right."""

    label: str
    marks: Sequence[Mark]
    shown: str


class Axis(NamedTuple):
    """From values (low to high) to pixels of the drawing (start to end)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies, never beyond the axis."""
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low or 1.0)
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round values from low to high: (0, 1) → 0, 0.2, 0.4, 0.6, 0.8, 1."""
    width = max(high - low, 1e-12) / most
    power = 10.0 ** math.floor(math.log10(width))
    # The steps are 1, 2 or 5 times a power of ten; the slack is for rounding.
    steps = (power * factor for factor in (1, 2, 5, 10))
    step = next(step for step in steps if step >= width * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def line_chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    errors: Sequence[tuple[float, Mark]] = (),
    shown: Callable[[float], str] = short,
) -> Html:
    """Lines over a common frame; `errors` are marks with vertical intervals at places of x."""
    points = [point for one in series for point in one.points]
    x_axis, y_axis = _axes(points, x, y)
    parts = [_frame(x_axis, y_axis, x_label, shown)]
    for one in series:
        # Every second, third, ... point of a long line, and always its last one.
        stride = -(-len(one.points) // MOST_POINTS)
        kept = one.points
        if stride > 1:
            kept = [*one.points[:-1:stride], one.points[-1]]
        parts.append(_polyline(kept, x_axis, y_axis, one.style))
    # <line x1="310.2" x2="310.2" y1="36.1" y2="25.8" class="interval after"/>, and a circle
    for x_value, mark in errors:
        place = x_axis(x_value)
        if mark.interval is not None:
            low, high = (y_axis(end) for end in mark.interval)
            parts.append(_line(place, place, low, high, f"interval {mark.style}"))
        parts.append(_dot(place, y_axis(mark.value), 3.5, mark.style))
    return drawing(title, HEIGHT, *parts)


def interval_chart(
    title: str,
    rows: Sequence[Row],
    domain: tuple[float, float],
    shown: Callable[[float], str],
    bar: float | None = None,
) -> Html:
    """One line a row; `bar` is a value to reach, drawn dotted across all of them."""
    # 124 pixels for labels, or what the longest takes, 60 for values: between them is the axis.
    longest = max((len(row.label) for row in rows), default=0)
    axis = Axis(*domain, max(124, LETTER * longest + 8), WIDTH - 60)
    step = 24
    bottom = TOP + step * len(rows)
    parts = []
    for value in ticks(*domain, most=4):
        place = axis(value)
        parts.append(_line(place, place, TOP - 4, bottom, "grid-line"))
        parts.append(_words(shown(value), place, bottom + 15, "mid"))
    if bar is not None:
        place = axis(bar)
        parts.append(_line(place, place, TOP - 8, bottom, "bar"))
    # Words lie 4 pixels below the middle of their row, so that capitals are centered on it.
    for i, row in enumerate(rows):
        middle = TOP + step * (i + 0.5)
        parts.append(_words(row.label, 0, middle + 4, "strong"))
        for mark in row.marks:
            if mark.interval is not None:
                low, high = (axis(end) for end in mark.interval)
                parts.append(_line(low, high, middle, middle, f"interval {mark.style}"))
            parts.append(_dot(axis(mark.value), middle, 4, mark.style))
        parts.append(_words(row.shown, WIDTH, middle + 4, "strong right"))
    return drawing(title, bottom + 22, *parts)


def scatter(
    title: str, points: Sequence[Point], weights: Sequence[float], names: Sequence[str]
) -> Html:
    """Points joined in their order, with names beside those that have one.

    `weights` (0 to 1) say how dark each point is; a name is empty where a point has none.
    """
    height, pad = 280, 26
    x_axis = Axis(*_bounds([x for x, _ in points]), pad, WIDTH - pad - 20)
    y_axis = Axis(*_bounds([y for _, y in points]), height - pad, pad)
    parts = [_polyline(points, x_axis, y_axis, "plain thin")]
    labels: list[tuple[float, float, str]] = []
    for (x, y), weight, text in zip(points, weights, names, strict=True):
        place = (x_axis(x), y_axis(y))
        # The smallest number is pale, not invisible.
        opacity = round(0.25 + 0.75 * weight, 3)
        parts.append(_dot(*place, 4, "after", opacity))
        if text:
            labels.append((*place, text))
    parts += _labels(labels, height)
    return drawing(title, height, *parts)


def _labels(labels: Sequence[tuple[float, float, str]], height: float) -> list[Html]:
    """Names of points (x, y, text), each in the first place around its point that is free."""
    taken: list[tuple[float, float, float]] = []  # left, right, baseline
    words = []
    for x, y, text in labels:
        width = LETTER * len(text)

        def free(left: float, line: float, width: float = width) -> bool:
            """Beside every name that is there already, or on another line than it."""
            return all(
                left + width < start or end < left or abs(line - other) > 13
                for start, end, other in taken
            )

        # Above and below the point, to its right and left, nearest first; inside the drawing.
        places = []
        for ring in range(1, 9):
            for line in (y - 6 * ring, y + 4 + 10 * ring):
                places += [(x + 6, line), (x - 6 - width, line)]
        inside = [p for p in places if 0 <= p[0] <= WIDTH - width and 12 <= p[1] <= height - 2]
        best = [place for place in inside if free(*place)] or inside or [(x, y)]
        left, line = best[0]
        taken.append((left, left + width, line))
        words.append(_words(text, round(left, 1), round(line, 1), "strong halo"))
    return words


def cloud(title: str, points: Sequence[Point], x_label: str, style: str) -> Html:
    """Points over a common frame, so pale that many in one place look dark."""
    x_axis, y_axis = _axes(points)
    dots = [_dot(x_axis(x), y_axis(y), 3, style, 0.35) for x, y in points]
    return drawing(title, HEIGHT, _frame(x_axis, y_axis, x_label, short), *dots)


def parallel_chart(title: str, labels: Sequence[str], rows: Sequence[Sequence[float]]) -> Html:
    """An axis for each label, a line for each row through its values; the first rows are dark."""
    columns = list(zip(*rows, strict=True))
    x_axis = Axis(0, len(labels) - 1, LEFT / 2, WIDTH - RIGHT)
    axes = [Axis(min(column), max(column), HEIGHT - BOTTOM, TOP) for column in columns]
    parts = []
    # the best last, so that nothing lies over it
    for i, row in reversed(list(enumerate(rows))):
        places = [f"{x_axis(j):g},{axes[j](value):g}" for j, value in enumerate(row)]
        opacity = round(1.0 - 0.85 * i / len(rows), 3)
        style = "line after thin" if i < max(1, len(rows) // 10) else "line plain thin"
        line = tag("polyline", points=" ".join(places), class_=style, stroke_opacity=opacity)
        parts.append(line)
    for j, axis in enumerate(axes):
        place = x_axis(j)
        parts.append(_line(place, place, axis.start, axis.end, "axis"))
        parts.append(_words(str(j + 1), place, HEIGHT - BOTTOM + 16, "mid"))
    # "1 mlm.weight 0.01 to 0.04" below each other: a phone has no room at the axes
    for j, (label, axis) in enumerate(zip(labels, axes, strict=True)):
        words = f"{j + 1} {label}: {short(axis.low)} to {short(axis.high)}"
        parts.append(_words(words, 0, HEIGHT - BOTTOM + 36 + 15 * j, "strong"))
    return drawing(title, HEIGHT - BOTTOM + 42 + 15 * len(labels), *parts)


def drawing(title: str, height: float, *parts: Html) -> Html:
    """The SVG element itself, with words for those who cannot see it."""
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=title)


def _axes(
    points: Sequence[Point],
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
) -> tuple[Axis, Axis]:
    """Axes of a framed drawing: over the given bounds, or over those of the points."""
    x_low, x_high = x or _bounds([point[0] for point in points])
    y_low, y_high = y or _bounds([point[1] for point in points])
    return Axis(x_low, x_high, LEFT, WIDTH - RIGHT), Axis(y_low, y_high, HEIGHT - BOTTOM, TOP)


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest value with a margin; from zero where the lowest lies near it."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low = min(finite)
    high = max(finite)
    # [1.6, 9.1] → (0, 9.4), and [7.0, 9.1] → (6.9, 9.2)
    margin = 0.04 * (high - low) or 0.5
    start = 0.0 if 0 <= low <= 0.35 * high else low - margin
    return start, high + margin


def _frame(x_axis: Axis, y_axis: Axis, x_label: str, shown: Callable[[float], str]) -> Html:
    """Lines at round values of y, words along both axes."""
    left = x_axis.start
    right = x_axis.end
    bottom = y_axis.start
    parts = []
    for value in ticks(y_axis.low, y_axis.high):
        place = y_axis(value)
        parts.append(_line(left, right, place, place, "grid-line"))
        parts.append(_words(shown(value), left - 6, place + 4, "right"))
    for value in ticks(x_axis.low, x_axis.high, most=4):
        parts.append(_words(shown(value), x_axis(value), bottom + 16, "mid"))
    parts.append(_line(left, right, bottom, bottom, "axis"))
    parts.append(_words(x_label, (left + right) / 2, bottom + 31, "mid"))
    return join(*parts)


def _polyline(points: Sequence[Point], x_axis: Axis, y_axis: Axis, style: str) -> Html:
    places = " ".join(f"{x_axis(x):g},{y_axis(y):g}" for x, y in points)
    return tag("polyline", points=places, class_=f"line {style}")


def _line(x1: float, x2: float, y1: float, y2: float, style: str) -> Html:
    return tag("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=style)


def _dot(x: float, y: float, radius: float, style: str, opacity: float | None = None) -> Html:
    return tag("circle", cx=x, cy=y, r=radius, class_=f"dot {style}", fill_opacity=opacity)


def _words(text: str, x: float, y: float, style: str) -> Html:
    return tag("text", text, x=x, y=y, class_=style)
