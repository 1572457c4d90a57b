"""Facts with operands longer than any that the documents state, in the slots of the reasoning families."""

from __future__ import annotations

from collections.abc import Callable

from ssl_lib.synthetic.operands import PERCENT_RATES, Draw, near
from ssl_lib.synthetic.page import Template
from ssl_lib.synthetic.reasoning import (
    UNITS,
    Values,
    compared,
    converted,
    listed,
    numeral,
    progression,
    story,
)


def _long(draw: Draw) -> int:
    return draw.between(1000, 9999) if draw.random() < 0.5 else draw.between(10_000, 99_999)


def _addition(draw: Draw, wording: Template) -> Values:
    first, second = _long(draw), _long(draw)
    return {"a": first, "b": second, "c": first + second, **story(draw)}


def _subtraction(draw: Draw, wording: Template) -> Values:
    second, rest = _long(draw), _long(draw)
    return {"a": second + rest, "b": second, "c": rest, **story(draw)}


def _longer_list(draw: Draw, count: int) -> list[int]:
    numbers = [draw.between(10_000, 99_999)]
    close = draw.random() < 0.5
    while len(numbers) < count:
        other = near(draw, draw.pick(numbers), 99_999) if close else draw.between(10_000, 99_999)
        if other >= 10_000 and other not in numbers:
            numbers.append(other)
    return draw.shuffled(numbers)


def _comparison(draw: Draw, wording: Template) -> Values:
    first, second = _longer_list(draw, 2)
    return compared(first, second)


def _maximum(draw: Draw, wording: Template) -> Values:
    return listed(_longer_list(draw, wording.elements), max)


def _minimum(draw: Draw, wording: Template) -> Values:
    return listed(_longer_list(draw, wording.elements), min)


def _sequence(draw: Draw, wording: Template) -> Values:
    start, step = draw.between(1000, 9999), draw.between(26, 99)
    return (
        progression(start, step) if draw.random() < 0.75 else progression(start + 4 * step, -step)
    )


def _conversion(draw: Draw, wording: Template) -> Values:
    unit = draw.pick(UNITS)
    return converted(unit, draw.between(unit[5] + 1, 10 * unit[5] + 9))


def _percentage(draw: Draw, wording: Template) -> Values:
    rate, base = draw.pick(PERCENT_RATES), 20 * draw.between(51, 499)
    return {"p": rate, "b": base, "c": rate * base // 100, **story(draw)}


def _numeration(draw: Draw, wording: Template) -> Values:
    return numeral(draw.between(10_000, 99_999))


LONGER: dict[str, Callable[[Draw, Template], Values]] = {
    "addition": _addition,
    "subtraction": _subtraction,
    "comparison": _comparison,
    "maximum": _maximum,
    "minimum": _minimum,
    "sequence": _sequence,
    "conversion": _conversion,
    "percentage": _percentage,
    "numeration": _numeration,
}
