"""The reasoning families: how their facts are drawn for a split, and how a document states them.

Each function below draws one fact of a family and gives the slots of its templates; a template has
the answer right after a fixed cue. A fact that belongs to one split is never stated in another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from ssl_lib.numbers.writing import shortest, spell
from ssl_lib.synthetic.compositional_templates import compose
from ssl_lib.synthetic.document import DocumentBuilder, Template, TemplateSet, Values
from ssl_lib.synthetic.entities import ITEMS, PEOPLE, Entities
from ssl_lib.synthetic.quantities import (
    PERCENT_RATES,
    Draw,
    draw_difference,
    draw_geometric,
    draw_list,
    draw_numeral,
    draw_progression,
    draw_sum,
    near,
    operand_split,
    percentage_facts,
)
from ssl_lib.synthetic.templates import FAMILY_TEMPLATES

HELD_OUT_SHARE = 0.15  # of the statements in test documents: in held-out templates
COMPOSITIONAL_SHARE = 0.15  # of the statements in training documents: in compositional templates
BETWEEN_SHARE = 0.5  # of the statements in training documents, of families that have such facts

# Operands: as the items ask them; between those, such as 15% of 37 or 2.5 hours, because of a
# family with few facts a model would learn those by heart instead of the rule; or longer than any
# in the documents.
Operands = Literal["asked", "between", "longer"]


class UnitPair(NamedTuple):
    """Two units of measure of one quantity, short and in full, and how they convert."""

    large: str
    small: str
    large_name: str
    small_name: str
    factor: int  # small ones in a large one
    limit: int  # largest amount, in the large unit


# Large and small, in full, small ones in a large one, largest amount.
UNIT_PAIRS = (
    UnitPair("km", "m", "kilometres", "metres", 1000, 999),
    UnitPair("kg", "g", "kilograms", "grams", 1000, 999),
    UnitPair("l", "ml", "litres", "millilitres", 1000, 999),
    UnitPair("t", "kg", "tonnes", "kilograms", 1000, 999),
    UnitPair("m", "cm", "metres", "centimetres", 100, 999),
    UnitPair("cm", "mm", "centimetres", "millimetres", 10, 999),
    UnitPair("hours", "minutes", "hours", "minutes", 60, 60),
    UnitPair("minutes", "seconds", "minutes", "seconds", 60, 60),
    UnitPair("days", "hours", "days", "hours", 24, 60),
    UnitPair("weeks", "days", "weeks", "days", 7, 99),
    UnitPair("feet", "inches", "feet", "inches", 12, 99),
    UnitPair("yards", "feet", "yards", "feet", 3, 99),
)
_DAYS = next(pair for pair in UNIT_PAIRS if pair.large == "days")
_WEIGHTED_PAIRS = (
    *UNIT_PAIRS,
    *(pair for pair in UNIT_PAIRS if pair.factor in (12, 24, 60)),
    *UNIT_PAIRS[:2],
)
# Hours of days are learned last: training documents say them twice as often.
_TRAINING_PAIRS = (*_WEIGHTED_PAIRS, _DAYS, _DAYS)
# Moving a decimal point is learned soon: between the amounts that are asked, other factors come
# three times as often, and hours of days five times.
_UNEVEN_PAIRS = tuple(pair for pair in UNIT_PAIRS if pair.factor not in (10, 100, 1000))
_PAIRS_BETWEEN = UNIT_PAIRS + 2 * (*_UNEVEN_PAIRS, _DAYS)
# By factor: the parts of a unit of which there are amounts between, such as tenths of an hour.
_PARTS: dict[int, tuple[int, ...]] = {1000: (10,), 100: (10,), 10: (10,), 60: (20, 10)}
_PARTS |= dict.fromkeys((24, 12, 7, 3), (4, 10))


def addition(draw: Draw, template: Template, operands: Operands) -> Values:
    """Addends `a` and `b`, their sum `c`."""
    longer = operands == "longer"
    first, second = (_long(draw), _long(draw)) if longer else draw_sum(draw)
    return {"a": first, "b": second, "c": first + second} | _story(draw, template, longer)


def subtraction(draw: Draw, template: Template, operands: Operands) -> Values:
    """Minuend `a`, subtrahend `b`, difference `c`."""
    longer = operands == "longer"
    if longer:
        second = _long(draw)
        first = second + _long(draw)
    else:
        first, second = draw_difference(draw)
    return {"a": first, "b": second, "c": first - second} | _story(draw, template, longer)


def comparison(draw: Draw, template: Template, operands: Operands) -> Values:
    """A pair `a`, `b`, its larger `h` and smaller `l`, and whether the first is more, or less."""
    first, second = _long_list(draw, 2) if operands == "longer" else draw_list(draw, 2)
    low, high = sorted((first, second))
    more, less = ("Yes", "No") if first > second else ("No", "Yes")
    return {"a": first, "b": second, "h": high, "l": low, "more": more, "less": less}


def extreme(
    draw: Draw, template: Template, operands: Operands, best: Callable[[Sequence[int]], int]
) -> Values:
    """A list, its first elements `x`, `y`, `z`, `v` and its last `w`, and the best one `c`."""
    longer = operands == "longer"
    count = template.elements
    numbers = _long_list(draw, count) if longer else draw_list(draw, count)
    values: Values = dict(zip("xyzv", numbers[:-1], strict=False))
    return values | {"w": numbers[-1], "c": best(numbers)}


def sequence(draw: Draw, template: Template, operands: Operands) -> Values:
    """Terms `x`, `y`, `z`, `v` of an arithmetic progression, the fifth `c`, step `s` and `way`."""
    if operands == "longer":
        start = draw.between(1000, 9999)
        step = draw.between(26, 99)
    else:
        start, step = draw_progression(draw)
    if draw.random() >= 0.75:  # the same terms downward
        start = start + 4 * step
        step = -step
    values: Values = {name: start + place * step for place, name in enumerate("xyzvc")}
    return values | {"s": abs(step), "way": "up" if step > 0 else "down"}


def geometric(draw: Draw, template: Template, operands: Operands) -> Values:
    """Terms `x`, `y`, `z`, `v` of a geometric progression, and its ratio `r`."""
    # there are few starts up to 60: see Operands
    start_limit = draw.pick((99, 999)) if operands == "between" else 60
    start, ratio = draw_geometric(draw, start_limit)
    values: Values = {name: start * ratio**place for place, name in enumerate("xyzv")}
    return values | {"r": ratio}


def conversion(draw: Draw, template: Template, operands: Operands) -> Values:
    """An amount `a` in the larger unit and `c` in the smaller one, factor `f`, the units' names."""
    amount: int | str
    result: int | str
    if operands == "longer":
        pair = draw.pick(UNIT_PAIRS)
        amount = draw.between(pair.limit + 1, 10 * pair.limit + 9)
        result = amount * pair.factor
    elif operands == "between":
        pair, amount, result = _amount_between(draw)
    else:
        pair, amount = _asked_amount(draw)
        result = amount * pair.factor
    names: Values = {"large": pair.large, "small": pair.small}
    names |= {"Large": pair.large_name, "Small": pair.small_name}
    return names | {"a": amount, "c": result, "f": pair.factor}


def _asked_amount(draw: Draw) -> tuple[UnitPair, int]:
    while True:
        pair = draw.pick(_TRAINING_PAIRS if draw.split == "train" else _WEIGHTED_PAIRS)
        limit = pair.limit if draw.random() < 0.5 else min(99, pair.limit)
        amount = draw.between(2, limit)
        if operand_split("conversion", pair.large, pair.small, amount) == draw.split:
            return pair, amount


def _amount_between(draw: Draw) -> tuple[UnitPair, int | str, str]:
    """An amount in the larger unit, and the same in the smaller: "2.5" hours, "150" minutes."""
    while True:
        pair = draw.pick(_PAIRS_BETWEEN)
        parts = draw.pick(_PARTS[pair.factor])
        count = draw.between(parts + 1, parts * min(99, pair.limit))
        amount = shortest(count / parts) if count % parts else count // parts
        if operand_split("conversion", pair.large, pair.small, amount) == draw.split:
            return pair, amount, shortest(count * pair.factor / parts)


def percentage(draw: Draw, template: Template, operands: Operands) -> Values:
    """A rate `p` of a base `b`, which is `c`."""
    if operands == "between":
        while True:
            rate = draw.pick(PERCENT_RATES)
            base = draw.between(1, 1000)
            if operand_split("percentage", rate, base) == draw.split:
                break
        result: int | str = shortest(rate * base / 100, 2)
    else:
        if operands == "longer":
            rate = draw.pick(PERCENT_RATES)
            base = 20 * draw.between(51, 499)
        else:
            rate, base = draw.pick(percentage_facts(draw.split))
        result = rate * base // 100
    return {"p": rate, "b": base, "c": result} | _story(draw, template, operands == "longer")


def numeration(draw: Draw, template: Template, operands: Operands) -> Values:
    """A number's digits `c`, its words `w`, and its words as the start of a sentence `W`."""
    number = draw.between(10_000, 99_999) if operands == "longer" else draw_numeral(draw)
    words = spell(number)
    return {"c": number, "w": words, "W": words[0].upper() + words[1:]}


def _story(draw: Draw, template: Template, longer: bool) -> Values:
    """Two people and a kind of thing, where the template is a word problem or numbers are long."""
    if not (template.word_problem or longer):
        return {}
    first = draw.below(len(PEOPLE))
    # another person, as often as any other
    second = (first + draw.between(1, len(PEOPLE) - 1)) % len(PEOPLE)
    return {"who": PEOPLE[first], "other": PEOPLE[second], "things": draw.pick(ITEMS)}


def _long(draw: Draw) -> int:
    if draw.random() < 0.5:
        return draw.between(1000, 9999)
    return draw.between(10_000, 99_999)


def _long_list(draw: Draw, count: int) -> list[int]:
    """Different numbers of five digits; half of the lists are close."""
    numbers = [draw.between(10_000, 99_999)]
    close = draw.random() < 0.5
    while len(numbers) < count:
        other = near(draw, draw.pick(numbers), 99_999) if close else draw.between(10_000, 99_999)
        if other >= 10_000 and other not in numbers:
            numbers.append(other)
    return draw.shuffled(numbers)


@dataclass(frozen=True)
class Family:
    """One kind of fact: how it is drawn and how it is said.

    `answers` names the slots that can be an answer; `has_between` says whether there are facts with
    operands between those that are asked.
    """

    name: str
    answers: str
    draw: Callable[[Draw, Template, Operands], Values]
    has_between: bool = False

    @property
    def templates(self) -> TemplateSet:
        """The family's common and held-out templates."""
        return FAMILY_TEMPLATES[self.name]

    def say(self, entities: Entities, builder: DocumentBuilder) -> None:
        """Add one sentence with a fact of the document's split."""
        draw = entities.draw
        template = self.pick_template(draw)
        operands: Operands = "asked"
        if self.has_between and draw.split == "train" and draw.random() < BETWEEN_SHARE:
            operands = "between"
        builder.add(template, self.draw(draw, template, operands))

    def pick_template(self, draw: Draw) -> Template:
        """One of the templates: compositional ones only in training documents, held-out in test."""
        if draw.split == "train" and draw.random() < COMPOSITIONAL_SHARE:
            return compose(draw, self.name)
        held_out = draw.split == "test" and draw.random() < HELD_OUT_SHARE
        return draw.pick(self.templates.chosen(held_out))

    def questions(self, held_out: bool = False) -> tuple[Template, ...]:
        """The templates that end with the answer, said only there, and a full stop."""
        templates = self.templates.chosen(held_out)
        answers = tuple(self.answers)
        return tuple(each for each in templates if each.answer_slot in answers)


FAMILIES = {
    family.name: family
    for family in (
        Family("addition", "c", addition),
        Family("subtraction", "c", subtraction),
        Family("comparison", "hl", comparison),
        Family("maximum", "c", partial(extreme, best=max)),
        Family("minimum", "c", partial(extreme, best=min)),
        Family("sequence", "c", sequence),
        Family("geometric", "", geometric, has_between=True),
        Family("conversion", "ca", conversion, has_between=True),
        Family("percentage", "c", percentage, has_between=True),
        Family("numeration", "c", numeration),
    )
}
