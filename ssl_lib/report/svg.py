"""Small drawings in SVG: lines, intervals, points.

They are 360 units wide, so that a phone shows their words at full size. Colours come from the page's style sheet, so
that they follow its theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ssl_lib.report.formats import short
from ssl_lib.report.markup import Html, join, tag

WIDTH = 360
LEFT, RIGHT, TOP, BOTTOM = 42, 20, 12, 36
POINTS_SHOWN = 240  # of a line: more cannot be told apart

Point = tuple[float, float]


class Series(NamedTuple):
    """A line through points; `style` is one or more classes: after, before, plain, thin, diagonal."""

    name: str
    points: Sequence[Point]
    style: str


class Mark(NamedTuple):
    """A figure with its interval (None: without); `style` is after, before or plain, with hollow for an empty dot."""

    value: float
    interval: Sequence[float] | None
    style: str


class Row(NamedTuple):
    """One line of an interval chart: words at the left, marks, the figure in words at the right."""

    label: str
    marks: Sequence[Mark]
    shown: str


class Axis(NamedTuple):
    """From values to units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies, never beyond the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low or 1.0)
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round values from low to high."""
    width = max(high - low, 1e-12) / most
    power = 10.0 ** math.floor(math.log10(width))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= width * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


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
    x_axis = Axis(*(x or _bounds([p[0] for p in points])), LEFT, WIDTH - RIGHT)
    height = 220
    y_axis = Axis(*(y or _bounds([p[1] for p in points])), height - BOTTOM, TOP)
    lines = [_polyline(_thinned(one.points), x_axis, y_axis, one.style) for one in series]
    marks = [_vertical(x_axis(place), mark, y_axis) for place, mark in errors]
    return drawing(title, height, _frame(x_axis, y_axis, x_label, shown), *lines, *marks)


def interval_chart(
    title: str,
    rows: Sequence[Row],
    domain: tuple[float, float],
    shown: Callable[[float], str],
    bar: float | None = None,
) -> Html:
    """One line a row; `bar` is a value to reach, drawn dotted across all of them."""
    label_width, value_width, step = 124, 52, 24
    axis = Axis(*domain, label_width, WIDTH - value_width - 8)
    bottom = TOP + step * len(rows)
    parts = []
    for value in ticks(*domain, most=4):
        parts.append(
            tag("line", x1=axis(value), x2=axis(value), y1=TOP - 4, y2=bottom, class_="grid-line")
        )
        parts.append(tag("text", shown(value), x=axis(value), y=bottom + 15, class_="mid"))
    if bar is not None:
        parts.append(tag("line", x1=axis(bar), x2=axis(bar), y1=TOP - 8, y2=bottom, class_="bar"))
    for i, row in enumerate(rows):
        middle = TOP + step * (i + 0.5)
        parts.append(tag("text", row.label, x=0, y=middle + 4, class_="strong"))
        parts.extend(_horizontal(mark, axis, middle) for mark in row.marks)
        parts.append(tag("text", row.shown, x=WIDTH, y=middle + 4, class_="strong right"))
    return drawing(title, bottom + 22, *parts)


def scatter(
    title: str, points: Sequence[Point], weights: Sequence[float], names: Sequence[str]
) -> Html:
    """Points joined in their order; `weights` (0 to 1) say how dark each is; names stand beside their points."""
    height, pad = 280, 26
    x_axis = Axis(*_bounds([p[0] for p in points]), pad, WIDTH - pad - 20)
    y_axis = Axis(*_bounds([p[1] for p in points]), height - pad, pad)
    path = _polyline(points, x_axis, y_axis, "plain thin")
    dots = [
        tag(
            "circle",
            cx=x_axis(x),
            cy=y_axis(y),
            r=4,
            class_="dot after",
            fill_opacity=round(0.25 + 0.75 * weight, 3),
        )
        for (x, y), weight in zip(points, weights, strict=True)
    ]
    named = [
        (x_axis(x), y_axis(y), text) for (x, y), text in zip(points, names, strict=True) if text
    ]
    words = [
        tag("text", text, x=x, y=y, class_="strong halo")
        for (x, y), (_, _, text) in zip(_label_places(named, height), named, strict=True)
    ]
    return drawing(title, height, path, *dots, *words)


def cloud(title: str, points: Sequence[Point], x_label: str, style: str) -> Html:
    """Points over a common frame, so pale that many in one place look dark."""
    height = 220
    x_axis = Axis(*_bounds([p[0] for p in points]), LEFT, WIDTH - RIGHT)
    y_axis = Axis(*_bounds([p[1] for p in points]), height - BOTTOM, TOP)
    dots = [
        tag("circle", cx=x_axis(x), cy=y_axis(y), r=3, class_=f"dot {style}", fill_opacity=0.35)
        for x, y in points
    ]
    return drawing(title, height, _frame(x_axis, y_axis, x_label, short), *dots)


def _label_places(named: Sequence[tuple[float, float, str]], height: float) -> list[Point]:
    """Where the words of named points begin: the first of some places around each that no earlier word covers."""
    taken: list[tuple[float, float, float]] = []
    for x, y, text in named:
        width = 7.0 * len(text)
        around = [
            (dx, dy)
            for ring in range(1, 9)
            for dy in (-6 * ring, 4 + 10 * ring)
            for dx in (6, -6 - width)
        ]
        inside = [
            (x + dx, y + dy)
            for dx, dy in around
            if 0 <= x + dx <= WIDTH - width and 12 <= y + dy <= height - 2
        ]
        free = [
            place
            for place in inside
            if all(
                place[0] + width < left or right < place[0] or abs(place[1] - line) > 13
                for left, right, line in taken
            )
        ]
        place = (free or inside or [(x, y)])[0]
        taken.append((place[0], place[0] + width, place[1]))
    return [(round(left, 1), round(line, 1)) for left, _, line in taken]


def drawing(title: str, height: float, *parts: Html) -> Html:
    """The SVG element itself, with words for those who cannot see it."""
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height:g}", role="img", aria_label=title)


def _frame(x_axis: Axis, y_axis: Axis, x_label: str, shown: Callable[[float], str]) -> Html:
    parts = []
    for value in ticks(y_axis.low, y_axis.high):
        place = y_axis(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=place, y2=place, class_="grid-line"))
        parts.append(tag("text", shown(value), x=LEFT - 6, y=place + 4, class_="right"))
    for value in ticks(x_axis.low, x_axis.high, most=4):
        parts.append(tag("text", shown(value), x=x_axis(value), y=y_axis.start + 16, class_="mid"))
    parts.append(
        tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y_axis.start, y2=y_axis.start, class_="axis")
    )
    parts.append(
        tag("text", x_label, x=(LEFT + WIDTH - RIGHT) / 2, y=y_axis.start + 31, class_="mid")
    )
    return join(*parts)


def _polyline(points: Sequence[Point], x_axis: Axis, y_axis: Axis, style: str) -> Html:
    places = " ".join(f"{x_axis(x):g},{y_axis(y):g}" for x, y in points)
    return tag("polyline", points=places, class_=f"line {style}")


def _horizontal(mark: Mark, axis: Axis, middle: float) -> Html:
    line = None
    if mark.interval is not None:
        low, high = mark.interval
        line = tag(
            "line", x1=axis(low), x2=axis(high), y1=middle, y2=middle, class_=f"span {mark.style}"
        )
    return join(
        line, tag("circle", cx=axis(mark.value), cy=middle, r=4, class_=f"dot {mark.style}")
    )


def _vertical(place: float, mark: Mark, axis: Axis) -> Html:
    line = None
    if mark.interval is not None:
        low, high = mark.interval
        line = tag(
            "line", x1=place, x2=place, y1=axis(low), y2=axis(high), class_=f"span {mark.style}"
        )
    return join(
        line, tag("circle", cx=place, cy=axis(mark.value), r=3.5, class_=f"dot {mark.style}")
    )


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    """Every so-manieth point, and the last one."""
    stride = -(-len(points) // POINTS_SHOWN)
    return points if stride <= 1 else [*points[:-1:stride], points[-1]]


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    margin = 0.04 * (high - low) or 0.5
    return (0.0 if 0 <= low <= 0.35 * high else low - margin), high + margin
