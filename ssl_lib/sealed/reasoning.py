"""Facts of the sealed world's reasoning families, drawn as their templates need them.

The operands have the lengths of those in training and other ranges. No fact was ever stated there:
all are of split `test` by `operand_split`, which training documents leave out in any words.
"""

from __future__ import annotations

from collections.abc import Callable

from ssl_lib.numbers.writing import spell
from ssl_lib.sealed.cast import log_uniform, story
from ssl_lib.sealed.templates import FAMILY_TEMPLATES
from ssl_lib.sealed.words import CONTAINERS
from ssl_lib.synthetic.document import DocumentBuilder, Template, Values
from ssl_lib.synthetic.quantities import Draw, draw_geometric, near, operand_split
from ssl_lib.synthetic.reasoning import UNIT_PAIRS

RATES = range(5, 100, 5)
Facts = Callable[[Draw, Template], Values]


def addition(draw: Draw, template: Template) -> Values:
    """Addends `a` and `b`, their sum `c`."""
    while True:
        first = log_uniform(draw, 4, 990)
        second = log_uniform(draw, 4, 990)
        if operand_split("addition", first, second) == draw.split:
            return {"a": first, "b": second, "c": first + second} | story(draw)


def subtraction(draw: Draw, template: Template) -> Values:
    """Minuend `a`, subtrahend `b`, difference `c`."""
    while True:
        low, high = sorted((log_uniform(draw, 4, 990), log_uniform(draw, 4, 990)))
        if low < high and operand_split("subtraction", high, low) == draw.split:
            return {"a": high, "b": low, "c": high - low} | story(draw)


def comparison(draw: Draw, template: Template) -> Values:
    """A pair `a`, `b`, its larger `h` and smaller `l`, and whether the first is more, or less."""
    first, second = draw_row(draw, 2)
    low, high = sorted((first, second))
    more, less = ("Yes", "No") if first > second else ("No", "Yes")
    return {"a": first, "b": second, "h": high, "l": low, "more": more, "less": less}


def maximum(draw: Draw, template: Template) -> Values:
    """A list, its first elements `x`, `y`, `z`, `v` and its last `w`, and the largest `c`."""
    numbers = draw_row(draw, template.elements)
    return _listed(numbers) | {"c": max(numbers)}


def minimum(draw: Draw, template: Template) -> Values:
    """The same with the smallest `c`."""
    numbers = draw_row(draw, template.elements)
    return _listed(numbers) | {"c": min(numbers)}


def _listed(numbers: list[int]) -> Values:
    values: Values = dict(zip("xyzv", numbers[:-1], strict=False))
    return values | {"w": numbers[-1]}


def draw_row(draw: Draw, count: int) -> list[int]:
    """Different numbers of up to four digits, in half of the rows close ones."""
    while True:
        close = draw.random() < 0.5
        numbers = [log_uniform(draw, 12, 9_800)]
        while len(numbers) < count:
            other = log_uniform(draw, 12, 9_800)
            if close:
                other = near(draw, draw.pick(numbers), 9_999)
            if other not in numbers:
                numbers.append(other)
        if operand_split("comparison", *numbers) == draw.split:
            return draw.shuffled(numbers)


def sequence(draw: Draw, template: Template) -> Values:
    """Terms `x`, `y`, `z`, `v` of an arithmetic progression, the fifth `c`, step `s` and `way`."""
    while True:
        start = draw.between(3, 230)
        step = draw.between(2, 29)
        if operand_split("sequence", start, step) == draw.split:
            break
    way = "up"
    if draw.random() < 0.3:  # the same terms downward
        start, step, way = start + 4 * step, -step, "down"
    values: Values = {name: start + place * step for place, name in enumerate("xyzvc")}
    return values | {"s": abs(step), "way": way}


def geometric(draw: Draw, template: Template) -> Values:
    """Terms `x`, `y`, `z`, `v` of a geometric progression, and its ratio `r`."""
    start, ratio = draw_geometric(draw)
    values: Values = {name: start * ratio**place for place, name in enumerate("xyzv")}
    return values | {"r": ratio}


def conversion(draw: Draw, template: Template) -> Values:
    """An amount `a` in the larger unit and `c` in the smaller one, factor `f`, the units' names.

    Where the template says the factor, the unit is a container that training never spoke of.
    """
    values: Values
    if any(slot.name == "f" for slot in template.slots):
        held = draw.pick(CONTAINERS)
        factor, limit = held.factor, 60
        key = (held.names, held.content)
        values = {"one": held.name, "large": held.names, "small": held.content}
    else:
        pair = draw.pick(UNIT_PAIRS)
        factor, limit = pair.factor, pair.limit
        key = (pair.large, pair.small)
        values = {"Large": pair.large_name, "Small": pair.small_name}
    while True:
        amount = log_uniform(draw, 2, limit)
        if operand_split("conversion", *key, amount) == draw.split:
            return values | {"a": amount, "c": amount * factor, "f": factor}


def percentage(draw: Draw, template: Template) -> Values:
    """A rate `p` of a base `b`, which is `c`."""
    while True:
        rate = draw.pick(RATES)
        base = 20 * draw.between(2, 50)
        if operand_split("percentage", rate, base) == draw.split:
            return {"p": rate, "b": base, "c": rate * base // 100} | story(draw)


def numeration(draw: Draw, template: Template) -> Values:
    """A number's digits `c`, its words `w`, and its words as the start of a sentence `W`.

    Half of the words are as the British say them: four hundred and twelve.
    """
    while True:
        number = log_uniform(draw, 21, 9_800)
        if operand_split("numeration", number) == draw.split:
            break
    words = spell(number)
    if draw.random() < 0.5:
        words = words.replace("hundred ", "hundred and ")
    return {"c": number, "w": words, "W": words[0].upper() + words[1:]}


FACTS: dict[str, Facts] = {
    "addition": addition,
    "subtraction": subtraction,
    "comparison": comparison,
    "maximum": maximum,
    "minimum": minimum,
    "sequence": sequence,
    "geometric": geometric,
    "conversion": conversion,
    "percentage": percentage,
    "numeration": numeration,
}
ANSWERS = dict.fromkeys(FACTS, "c") | {"comparison": "hl", "conversion": "ca"}


def questions(family: str) -> tuple[Template, ...]:
    """The templates that end with an answer in digits, said only there, and a full stop."""
    answers = tuple(ANSWERS[family])
    return tuple(each for each in FAMILY_TEMPLATES[family] if each.answer_slot in answers)


def state(family: str, draw: Draw, builder: DocumentBuilder) -> None:
    """Add one sentence with a fact of the family."""
    template = draw.pick(FAMILY_TEMPLATES[family])
    builder.add(template, FACTS[family](draw, template))
