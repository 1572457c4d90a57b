"""Sentences that say a quantity twice: in other words, in another written form or unit of measure.

`state_paraphrase` and the pairs of the evaluation use PROPOSITIONS, each in several templates; the
other writers here say a quantity again in the same sentence, where it is deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ssl_lib.numbers.writing import ordinal, scientific, shortest, spell
from ssl_lib.synthetic.document import (
    DocumentBuilder,
    TemplateSet,
    Value,
    Values,
    parse_template,
    parse_template_set,
    parse_templates,
)
from ssl_lib.synthetic.entities import ITEMS, MONTH_DAYS, MONTHS, PEOPLE, Entities
from ssl_lib.synthetic.quantities import (
    Draw,
    draw_difference,
    draw_list,
    draw_numeral,
    draw_sum,
    operand_split,
)


class WrittenForm(NamedTuple):
    """How a quantity is written: the text before, what a number of 1 is worth, the text after."""

    before: str
    worth: int
    after: str
    separated: bool = False  # with thousands separators


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of quantity, in its smallest unit of measure: role, least and largest, its forms."""

    role: str
    low: int
    high: int
    forms: tuple[WrittenForm, ...]


KINDS = {
    # the last one but one: "3400000 dollars"
    "money": Kind(
        "money",
        100_000,
        90_000_000,
        (
            WrittenForm("$", 1, "", separated=True),
            WrittenForm("$", 1_000_000, " million"),
            WrittenForm("", 1_000_000, " million dollars"),
            WrittenForm("", 1, " dollars"),
            WrittenForm("$", 1_000, " thousand"),
        ),
    ),
    "length": Kind(
        "measurement",
        1_000,
        90_000,
        (
            WrittenForm("", 1, " m"),
            WrittenForm("", 1000, " km"),
            WrittenForm("", 1, " metres", separated=True),
            WrittenForm("", 1000, " kilometres"),
        ),
    ),
    "weight": Kind(
        "measurement",
        1_000,
        90_000,
        (
            WrittenForm("", 1, " g"),
            WrittenForm("", 1000, " kg"),
            WrittenForm("", 1, " grams", separated=True),
            WrittenForm("", 1000, " kilograms"),
        ),
    ),
    # 1234 people, 1,234 people, 1.234 thousand people
    "count": Kind(
        "count",
        1_000,
        90_000,
        (
            WrittenForm("", 1, ""),
            WrittenForm("", 1, "", separated=True),
            WrittenForm("", 1000, " thousand"),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Proposition:
    """Something to say about one quantity, and the ways to say it."""

    kind: Kind
    templates: TemplateSet


def proposition(kind: Kind, common: str, held_out: str) -> Proposition:
    """Templates, one a line, in which QUANTITY stands for a quantity of the kind."""
    quantity = f"{{before}}{{number:{kind.role}}}{{after}}"
    texts = (text.replace("QUANTITY", quantity) for text in (common, held_out))
    return Proposition(kind, parse_template_set(*texts))


PROPOSITIONS = (
    proposition(
        KINDS["money"],
        """
        {firm} earned QUANTITY.
        The earnings of {firm} were QUANTITY.
        {firm} had earnings of QUANTITY.
        """,
        held_out="""
        Earnings of QUANTITY were reported by {firm}.
        {firm} reported earnings of QUANTITY.
        """,
    ),
    proposition(
        KINDS["money"],
        """
        The bridge in {city} cost QUANTITY.
        The cost of the bridge in {city} was QUANTITY.
        """,
        held_out="""
        {city} paid QUANTITY for the bridge.
        For the bridge, {city} paid a price of QUANTITY.
        """,
    ),
    proposition(
        KINDS["length"],
        """
        {person} ran QUANTITY.
        {person} covered a distance of QUANTITY.
        The run of {person} was QUANTITY long.
        """,
        held_out="""
        A distance of QUANTITY was covered by {person}.
        {person} ran a distance of QUANTITY.
        """,
    ),
    proposition(
        KINDS["length"],
        """
        The road to {city} is QUANTITY long.
        The length of the road to {city} is QUANTITY.
        """,
        held_out="""
        The road to {city} has a length of QUANTITY.
        To {city} the road runs for QUANTITY.
        """,
    ),
    proposition(
        KINDS["weight"],
        """
        The parcel of {person} weighs QUANTITY.
        {person} sent a parcel of QUANTITY.
        """,
        held_out="""
        The parcel {person} sent has a mass of QUANTITY.
        A mass of QUANTITY was in the parcel {person} sent.
        """,
    ),
    proposition(
        KINDS["weight"],
        """
        {firm} used QUANTITY of steel.
        The steel used by {firm} weighed QUANTITY.
        """,
        held_out="""
        {firm} needed steel with a mass of QUANTITY.
        QUANTITY of steel was used by {firm}.
        """,
    ),
    proposition(
        KINDS["count"],
        """
        {city} has QUANTITY people.
        The number of people in {city} is QUANTITY.
        QUANTITY people live in {city}.
        """,
        held_out="""
        In {city} there are QUANTITY people.
        {city} is a town of QUANTITY people.
        """,
    ),
    proposition(
        KINDS["count"],
        """
        {firm} made QUANTITY {things}.
        The number of {things} made by {firm} is QUANTITY.
        """,
        held_out="""
        QUANTITY {things} were made by {firm}.
        The factory of {firm} made QUANTITY {things}.
        """,
    ),
)
COUNTED = ("books", "chairs", "bricks", "pens")  # the things of propositions


def draw_quantity(draw: Draw, kind: Kind) -> int:
    """A quantity of the split, log-uniform, in the smallest unit of its kind."""
    low = kind.low
    high = kind.high
    while True:
        value = int(low * (high / low) ** draw.random())
        # 90,000,000 // 90,000 = 1000: amounts of money are whole thousands
        value -= value % (high // 90_000)
        if operand_split("quantity", value) == draw.split:
            return value


def written(kind: Kind, value: int, form: int) -> Values:
    """Slots of a quantity in one of the written forms of its kind, exactly."""
    before, worth, after, separated = kind.forms[form]
    if separated:
        number = f"{value:,}"
    elif worth > 1:
        number = shortest(value / worth, places=len(str(worth)) - 1)
    else:
        number = str(value)
    return {"before": before, "number": number, "after": after}


def state_paraphrase(entities: Entities, builder: DocumentBuilder) -> None:
    """Two sentences that say the same, in other words and in another form; nothing is marked."""
    draw = entities.draw
    said = draw.pick(PROPOSITIONS)
    kind = said.kind
    value = draw_quantity(draw, kind)
    templates = draw.shuffled(said.templates.chosen(entities.held_out))
    forms = draw.shuffled(range(len(kind.forms)))
    things: Values = {"things": draw.pick(COUNTED)}
    for template, form in zip(templates[:2], forms[:2], strict=True):
        entities.say(builder, template, things | written(kind, value, form))


# "Orion Steel earned $3.41 million, in full $3,410,000."
_MILLIONS = parse_templates(
    """
    {firm} earned ${a} million, in full ${b!}.
    The budget was ${a} million, that is ${b!}.
    Sales of ${a} million are ${b!} in full.
    A loan of ${b} is ${a!} million.
    The cost was {a} million dollars, in full ${b!}.
    """,
    "money",
)
# "The price of $12,345 is written $12345 without a comma."
_THOUSANDS = parse_templates(
    """
    The price of ${a} is written ${b!} without a comma.
    The rent of {b} dollars is written ${a!} with a comma.
    {person} paid ${a}, that is {b!} dollars.
    The sum of {d} thousand dollars is ${a!} in full.
    """,
    "money",
)
# "Adding $218 to $345 makes $563."
_MONEY_SUM = parse_templates(
    """
    The {things} cost ${a} and the repair ${b}, which makes ${c!}.
    {person} earned ${a} in spring and ${b} in summer, together ${c!}.
    Adding ${b} to ${a} makes ${c!}.
    """,
    "money",
)
# "A price of $563 less a discount of $218 is $345."
_MONEY_DIFFERENCE = parse_templates(
    """
    {person} had ${a} and spent ${b}, which leaves ${c!}.
    Income was ${a} and costs were ${b}, so the profit is ${c!}.
    A price of ${a} less a discount of ${b} is ${c!}.
    """,
    "money",
)
# "The cheque says seventeen dollars, in digits $17."
_SPELLED = parse_templates(
    """
    The cheque says {w} dollars, in digits ${c!}.
    {person} paid ${c}, in words {w!} dollars.
    """,
    "money",
)


def state_money(entities: Entities, builder: DocumentBuilder) -> None:
    """An amount of money said twice, or a sum or a difference of amounts."""
    draw = entities.draw
    share = draw.random()
    values: Values
    if share < 0.3:
        number = draw.between(101, 9999)
        number += number % 10 == 0  # 3.40 would be written 3.4
        templates = _MILLIONS
        values = {"a": f"{number / 100:.2f}", "b": f"{number * 10_000:,}"}
    elif share < 0.45:
        # the template is drawn before the number
        entities.say(builder, draw.pick(_THOUSANDS), _thousands(draw))
        return
    elif share < 0.7:
        first, second = draw_sum(draw)
        templates = _MONEY_SUM
        values = {"a": first, "b": second, "c": first + second}
    elif share < 0.9:
        first, second = draw_difference(draw)
        templates = _MONEY_DIFFERENCE
        values = {"a": first, "b": second, "c": first - second}
    else:
        number = draw_numeral(draw)
        templates = _SPELLED
        values = {"c": number, "w": spell(number)}
    entities.say(builder, draw.pick(templates), values)


def _thousands(draw: Draw) -> Values:
    """12345 as `a` "12,345", `b` 12345, `d` "12.345" thousand and `s` "1.2345e4"."""
    number = draw.between(1001, 99_999)
    number += number % 10 == 0
    thousands = f"{number // 1000}.{number % 1000:03d}"
    return {"a": f"{number:,}", "b": number, "d": thousands, "s": scientific(number)}


# "In scientific form, 12345 is 1.2345e4."
_FORMS = parse_templates("""
    The number {a} is written {b!} without a comma.
    The number {b} is written {a!} with a comma.
    {d} thousand is {b!}.
    In scientific form, {b} is {s!}.
    The form {s} stands for {b!}.
""")


def state_form(entities: Entities, builder: DocumentBuilder) -> None:
    """The same number in another written form."""
    entities.say(builder, entities.draw.pick(_FORMS), _thousands(entities.draw))


# "June 7, 1987 is 1987-06-07."
_DATES = parse_templates("""
    {month} {d:date_part}, {y:year} is {y:year!}-{m:date_part!}-{e:date_part!}.
    {d:date_part} {month} {y:year} is {month!} {d:date_part!}, {y:year!}.
    {y:year}-{m:date_part}-{e:date_part} is {month!} {d:date_part!}, {y:year!}.
    {person} was born in {y:year}, in the {f:year!}s.
    {firm} dates from {y:year}, in the {o:ordinal!}{suffix!} century.
""")
# "3:05 p.m. is 15:05."
_CLOCKS = parse_templates("{h}:{m} p.m. is {k!}:{m!}.\n{k}:{m} is {h!}:{m!} p.m.", "date_part")


def state_date(entities: Entities, builder: DocumentBuilder) -> None:
    """A date or a time of day said twice."""
    draw = entities.draw
    if draw.random() < 0.3:
        hour = draw.between(1, 11)
        template = draw.pick(_CLOCKS)
        clock: Values = {"h": hour, "k": hour + 12, "m": f"{draw.below(60):02d}"}
        entities.say(builder, template, clock)
        return
    month = draw.below(12)
    year = draw.between(1850, 2030)
    day = draw.between(1, MONTH_DAYS[month])
    century, suffix = ordinal((year - 1) // 100 + 1)
    values: Values = {"d": day, "e": f"{day:02d}", "m": f"{month + 1:02d}", "month": MONTHS[month]}
    values |= {"y": year, "f": year // 10 * 10, "o": century, "suffix": suffix}
    entities.say(builder, draw.pick(_DATES), values)


# "With 104 points against 97, Ashford Rovers won by 7."
_LEADS = parse_templates(
    """
    {team} beat {rival} {a} to {b}, so the lead was {c!} points.
    {team} scored {a} and {rival} scored {b}, so the winner was {team!}.
    With {a} points against {b}, {team} won by {c!}.
    """,
    "score",
)
# "Kate Reed scored 34 and then 51, which makes 85."
_TOTALS = parse_templates(
    """
    {team} scored {a} and {rival} scored {b}, together {c!} points.
    {person} scored {a} and then {b}, which makes {c!}.
    """,
    "score",
)


def state_score(entities: Entities, builder: DocumentBuilder) -> None:
    """The lead or the total of two scores."""
    draw = entities.draw
    values: Values
    if draw.random() < 0.6:
        first, second = draw_difference(draw, 199)
        templates = _LEADS
        values = {"a": first, "b": second, "c": first - second}
    else:
        first, second = draw_sum(draw, 199)
        templates = _TOTALS
        values = {"a": first, "b": second, "c": first + second}
    entities.say(builder, draw.pick(templates), values)


_MEASUREMENTS = (  # larger unit, smaller unit, factor, template
    ("kg", "g", 1000, "The parcel weighs {a} kg, which is {b!} g."),
    ("kg", "g", 1000, "A mass of {b} g is {a!} kg."),
    ("km", "m", 1000, "The road is {a} km long, which is {b!} m."),
    ("km", "m", 1000, "A distance of {b} m is {a!} km."),
    ("l", "ml", 1000, "The tank holds {a} l, which is {b!} ml."),
    ("m", "cm", 100, "The rope is {a} m long, which is {b!} cm."),
    ("m", "cm", 100, "A length of {a} m is {b!} cm."),
    ("m", "cm", 100, "The wall is {b} cm high, that is {a!} m."),
)
_MEASUREMENT_TEMPLATES = {
    source: parse_template(source, "measurement") for _, _, _, source in _MEASUREMENTS
}


def state_measurement(entities: Entities, builder: DocumentBuilder) -> None:
    """A measurement with a decimal point, said again in the smaller unit."""
    draw = entities.draw
    while True:
        tenths = draw.between(11, 999)
        large, small, factor, source = draw.pick(_MEASUREMENTS)
        amount = f"{tenths / 10:.1f}"
        decimal = tenths % 10 != 0
        if decimal and operand_split("conversion", large, small, amount) == draw.split:
            break
    values: Values = {"a": amount, "b": tenths * factor // 10}
    entities.say(builder, _MEASUREMENT_TEMPLATES[source], values)


# "Orion Steel sold 17 chairs in 1987, 563 in 1988 and 218 in 1989. In 1988 it was 563."
_YEARS_TABLE = parse_templates("""
    {firm} sold {x} {things} in {i:year}, {y} in {j:year} and {w} in {k:year}.
    {firm} made {x} {things} in {i:year}, {y} in {j:year} and {w} in {k:year}.
""")
_YEARS_QUESTIONS = parse_templates("""
    The largest is {c!}, in {t:year!}.
    With {c!}, {t:year!} was the best year.
    In {q:year} it was {r!}.
    {r} belongs to {q:year!}.
""")
# "Anna has 17 pens, Ben has 563 and Clara has 218. The largest is 563, of Ben."
_PEOPLE_TABLE = parse_templates("{first} has {x} {things}, {second} has {y} and {third} has {w}.")
_PEOPLE_QUESTIONS = parse_templates("""
    The largest is {c!}, of {best!}.
    {asked} has {r!} {things!}.
    {r} {things} belong to {asked!}.
    How many {things} has {asked}? It is {r!}.
""")


def state_table(entities: Entities, builder: DocumentBuilder) -> None:
    """A small table told in one sentence, and two or three questions about it.

    Training documents ask all four.
    """
    draw = entities.draw
    numbers = draw_list(draw, 3)
    values: Values = {"x": numbers[0], "y": numbers[1], "w": numbers[2], "c": max(numbers)}
    values["things"] = draw.pick(ITEMS)
    keys: list[Value]
    if draw.random() < 0.5:
        year = draw.between(1850, 2025)
        keys = [year, year + 1, year + 2]
        values |= dict(zip("ijk", keys, strict=True))
        opening = draw.pick(_YEARS_TABLE)
        questions = _YEARS_QUESTIONS
    else:
        keys = [*draw.shuffled(PEOPLE)[:3]]
        values |= dict(zip(("first", "second", "third"), keys, strict=True))
        opening = draw.pick(_PEOPLE_TABLE)
        questions = _PEOPLE_QUESTIONS
    entities.say(builder, opening, values)
    best = keys[numbers.index(max(numbers))]
    chosen = draw.shuffled(questions)
    count = len(questions) if draw.split == "train" else draw.between(2, 3)
    for template in chosen[:count]:
        place = draw.below(3)
        asked = keys[place]
        answers: Values = {"q": asked, "asked": asked, "r": numbers[place], "t": best, "best": best}
        entities.say(builder, template, values | answers)
