"""The reasoning families: their facts, drawn for a split, and how a document states them.

A wording gives the answer right after a fixed cue. A fact that belongs to one split is never stated in another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssl_lib.numbers.writing import shortest, spell
from ssl_lib.synthetic import wordings as say
from ssl_lib.synthetic.composed_wordings import composed
from ssl_lib.synthetic.operands import (
    PERCENT_RATES,
    Draw,
    draw_difference,
    draw_geometric,
    draw_list,
    draw_numeral,
    draw_progression,
    draw_sum,
    operand_split,
    percentage_facts,
)
from ssl_lib.synthetic.page import Page, Template
from ssl_lib.synthetic.words import ITEMS, PEOPLE

RESERVED_SHARE = 0.15  # of the statements in test documents
COMPOSED_SHARE = 0.15  # of the statements in training documents
BETWEEN_SHARE = 0.5  # of the statements in training documents, of families that have such facts
UNITS = (  # larger, smaller, their long names, factor, largest amount
    ("km", "m", "kilometres", "metres", 1000, 999),
    ("kg", "g", "kilograms", "grams", 1000, 999),
    ("l", "ml", "litres", "millilitres", 1000, 999),
    ("t", "kg", "tonnes", "kilograms", 1000, 999),
    ("m", "cm", "metres", "centimetres", 100, 999),
    ("cm", "mm", "centimetres", "millimetres", 10, 999),
    ("hours", "minutes", "hours", "minutes", 60, 60),
    ("minutes", "seconds", "minutes", "seconds", 60, 60),
    ("days", "hours", "days", "hours", 24, 60),
    ("weeks", "days", "weeks", "days", 7, 99),
    ("feet", "inches", "feet", "inches", 12, 99),
    ("yards", "feet", "yards", "feet", 3, 99),
)

Unit = tuple[str, str, str, str, int, int]
Values = dict[str, object]


@dataclass(frozen=True)
class Family:
    """One kind of fact: how it is drawn and how it is said; `asked` names the slots that can be an answer.

    `between` draws facts whose operands or results lie between those that are asked, such as 15% of 37 or 2.5 hours:
    of a family with few facts, a model would learn those by heart instead of the rule.
    """

    name: str
    asked: str
    draw: Callable[[Draw, Template], Values]
    wordings: tuple[Template, ...]
    reserved: tuple[Template, ...]
    between: Callable[[Draw, Template], Values] | None = None

    def state(self, page: Page, draw: Draw) -> None:
        """Add one sentence with a fact of the draw's split; a reserved wording only in test documents, a composed one
        and a fact between those that are asked only in training documents.
        """
        wording = self._wording(draw)
        between = self.between and draw.split == "train" and draw.random() < BETWEEN_SHARE
        make = self.between if between else self.draw
        page.add(wording, make(draw, wording))

    def _wording(self, draw: Draw) -> Template:
        if draw.split == "train" and draw.random() < COMPOSED_SHARE:
            return composed(draw, self.name)
        held_out = draw.split == "test" and draw.random() < RESERVED_SHARE
        return draw.pick(self.reserved if held_out else self.wordings)

    def questions(self, reserved: bool = False) -> tuple[Template, ...]:
        """The wordings that end with the answer, said only there, and a full stop."""
        choices = self.reserved if reserved else self.wordings
        return tuple(each for each in choices if each.asked in tuple(self.asked))


def story(draw: Draw) -> Values:
    """Two people and a kind of thing."""
    first = draw.below(len(PEOPLE))
    second = (first + draw.between(1, len(PEOPLE) - 1)) % len(PEOPLE)
    return {"who": PEOPLE[first], "other": PEOPLE[second], "things": draw.pick(ITEMS)}


def _addition(draw: Draw, wording: Template) -> Values:
    first, second = draw_sum(draw)
    values: Values = {"a": first, "b": second, "c": first + second}
    return values | story(draw) if wording.story else values


def _subtraction(draw: Draw, wording: Template) -> Values:
    first, second = draw_difference(draw)
    values: Values = {"a": first, "b": second, "c": first - second}
    return values | story(draw) if wording.story else values


def _comparison(draw: Draw, wording: Template) -> Values:
    first, second = draw_list(draw, 2)
    return compared(first, second)


def compared(first: int, second: int) -> Values:
    """Slots of a comparison: the pair in order, the larger and the smaller, and the words that follow from them."""
    high, low = max(first, second), min(first, second)
    yes, no = ("Yes", "No") if first > second else ("No", "Yes")
    return {"a": first, "b": second, "h": high, "l": low, "more": yes, "less": no}


def _maximum(draw: Draw, wording: Template) -> Values:
    return listed(draw_list(draw, wording.elements), max)


def _minimum(draw: Draw, wording: Template) -> Values:
    return listed(draw_list(draw, wording.elements), min)


def listed(numbers: list[int], best: Callable[[list[int]], int]) -> Values:
    """Slots of a list: its first elements `x`, `y`, `z`, `v`, the last `w`, and the best one as the answer."""
    values: Values = dict(zip("xyzv", numbers[:-1], strict=False))
    values["w"], values["c"] = numbers[-1], best(numbers)
    return values


def _sequence(draw: Draw, wording: Template) -> Values:
    start, step = draw_progression(draw)
    return (
        progression(start, step) if draw.random() < 0.75 else progression(start + 4 * step, -step)
    )


def progression(start: int, step: int) -> Values:
    """Slots of an arithmetic progression: four terms, the fifth as the answer, the step and its direction."""
    way = "up" if step > 0 else "down"
    terms = (start, start + step, start + 2 * step, start + 3 * step, start + 4 * step)
    return {
        "x": terms[0],
        "y": terms[1],
        "z": terms[2],
        "v": terms[3],
        "c": terms[4],
        "s": abs(step),
        "way": way,
    }


def _geometric(draw: Draw, wording: Template) -> Values:
    return _powers(*draw_geometric(draw))


def _geometric_between(draw: Draw, wording: Template) -> Values:
    return _powers(*draw_geometric(draw, start_limit=draw.pick((99, 999))))


def _powers(start: int, ratio: int) -> Values:
    return {
        "x": start,
        "y": start * ratio,
        "z": start * ratio**2,
        "v": start * ratio**3,
        "r": ratio,
    }


_DAYS = next(unit for unit in UNITS if unit[0] == "days")
_UNITS_BY_WEIGHT = UNITS + tuple(unit for unit in UNITS if unit[4] in (12, 24, 60)) + UNITS[:2]
_UNITS_TO_LEARN = _UNITS_BY_WEIGHT + 2 * (_DAYS,)
"""Hours of days are learned last: training documents say them twice as often."""


def _conversion(draw: Draw, wording: Template) -> Values:
    while True:
        unit = draw.pick(_UNITS_TO_LEARN if draw.split == "train" else _UNITS_BY_WEIGHT)
        amount = draw.between(2, unit[5] if draw.random() < 0.5 else min(99, unit[5]))
        if operand_split("conversion", unit[0], unit[1], amount) == draw.split:
            return converted(unit, amount)


def converted(unit: Unit, amount: int) -> Values:
    """Slots of a conversion: the amount in the larger unit, in the smaller one, and the units' names."""
    large, small, long_large, long_small, factor, _ = unit
    names = {"large": large, "small": small, "Large": long_large, "Small": long_small}
    return {"a": amount, "c": amount * factor, "f": factor, **names}


_PARTS = {
    1000: (10,),
    100: (10,),
    60: (20, 10),
    24: (4, 10),
    12: (4, 10),
    10: (10,),
    7: (4, 10),
    3: (4, 10),
}
"""By factor: the parts of a unit of which there are amounts between those asked, such as tenths of an hour."""
_UNITS_BETWEEN = UNITS + 2 * (*(unit for unit in UNITS if unit[4] not in (10, 100, 1000)), _DAYS)
"""Moving a decimal point is learned soon; other factors come three times as often, and hours of days five times."""


def _conversion_between(draw: Draw, wording: Template) -> Values:
    while True:
        unit = draw.pick(_UNITS_BETWEEN)
        parts = draw.pick(_PARTS[unit[4]])
        amount = draw.between(parts + 1, parts * min(99, unit[5]))
        large: int | str = shortest(amount / parts) if amount % parts else amount // parts
        if operand_split("conversion", unit[0], unit[1], large) == draw.split:
            return converted(unit, 1) | {"a": large, "c": shortest(amount * unit[4] / parts)}


def _percentage(draw: Draw, wording: Template) -> Values:
    rate, base = draw.pick(percentage_facts(draw.split))
    return _taken(draw, wording, rate, base, rate * base // 100)


def _percentage_between(draw: Draw, wording: Template) -> Values:
    while True:
        rate, base = draw.pick(PERCENT_RATES), draw.between(1, 1000)
        if operand_split("percentage", rate, base) == draw.split:
            return _taken(draw, wording, rate, base, shortest(rate * base / 100, 2))


def _taken(draw: Draw, wording: Template, rate: int, base: int, part: int | str) -> Values:
    values: Values = {"p": rate, "b": base, "c": part}
    return values | story(draw) if wording.story else values


def _numeration(draw: Draw, wording: Template) -> Values:
    return numeral(draw_numeral(draw))


def numeral(number: int) -> Values:
    """Slots of a numeral: its digits as the answer, its words, and its words as the start of a sentence."""
    words = spell(number)
    return {"c": number, "w": words, "W": words[0].upper() + words[1:]}


FAMILIES = {
    family.name: family
    for family in (
        Family("addition", "c", _addition, say.ADDITION, say.ADDITION_RESERVED),
        Family("subtraction", "c", _subtraction, say.SUBTRACTION, say.SUBTRACTION_RESERVED),
        Family("comparison", "hl", _comparison, say.COMPARISON, say.COMPARISON_RESERVED),
        Family("maximum", "c", _maximum, say.MAXIMUM, say.MAXIMUM_RESERVED),
        Family("minimum", "c", _minimum, say.MINIMUM, say.MINIMUM_RESERVED),
        Family("sequence", "c", _sequence, say.SEQUENCE, say.SEQUENCE_RESERVED),
        Family(
            "geometric", "", _geometric, say.GEOMETRIC, say.GEOMETRIC_RESERVED, _geometric_between
        ),
        Family(
            "conversion",
            "ca",
            _conversion,
            say.CONVERSION,
            say.CONVERSION_RESERVED,
            _conversion_between,
        ),
        Family(
            "percentage",
            "c",
            _percentage,
            say.PERCENTAGE,
            say.PERCENTAGE_RESERVED,
            _percentage_between,
        ),
        Family("numeration", "c", _numeration, say.NUMERATION, say.NUMERATION_RESERVED),
    )
}
