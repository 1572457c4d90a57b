"""Sentences of the narrative domains that say a quantity twice, look one up, or state a fact of a family in a story."""

from __future__ import annotations

from collections.abc import Callable

from ssl_lib.numbers.writing import ordinal, scientific, spell
from ssl_lib.synthetic import words
from ssl_lib.synthetic.operands import (
    Draw,
    draw_difference,
    draw_list,
    draw_numeral,
    draw_sum,
    operand_split,
)
from ssl_lib.synthetic.page import Page, plain
from ssl_lib.synthetic.scene import Scene, Values

_MILLIONS = plain(
    [
        "{firm} earned ${a} million, in full ${b!}.",
        "The budget was ${a} million, that is ${b!}.",
        "Sales of ${a} million are ${b!} in full.",
        "A loan of ${b} is ${a!} million.",
        "The cost was {a} million dollars, in full ${b!}.",
    ],
    "money",
)
_THOUSANDS = plain(
    [
        "The price of ${a} is written ${b!} without a comma.",
        "The rent of {b} dollars is written ${a!} with a comma.",
        "{person} paid ${a}, that is {b!} dollars.",
        "The sum of {d} thousand dollars is ${a!} in full.",
    ],
    "money",
)
_MONEY_SUM = plain(
    [
        "The {things} cost ${a} and the repair ${b}, which makes ${c!}.",
        "{person} earned ${a} in spring and ${b} in summer, together ${c!}.",
        "Adding ${b} to ${a} makes ${c!}.",
    ],
    "money",
)
_MONEY_DIFFERENCE = plain(
    [
        "{person} had ${a} and spent ${b}, which leaves ${c!}.",
        "Income was ${a} and costs were ${b}, so the profit is ${c!}.",
        "A price of ${a} less a discount of ${b} is ${c!}.",
    ],
    "money",
)
_SPELLED = plain(
    [
        "The cheque says {w} dollars, in digits ${c!}.",
        "{person} paid ${c}, in words {w!} dollars.",
    ],
    "money",
)
_DATES = plain(
    [
        "{month} {d:date_part}, {y:year} is {y:year!}-{m:date_part!}-{e:date_part!}.",
        "{d:date_part} {month} {y:year} is {month!} {d:date_part!}, {y:year!}.",
        "{y:year}-{m:date_part}-{e:date_part} is {month!} {d:date_part!}, {y:year!}.",
        "{person} was born in {y:year}, in the {f:year!}s.",
        "{firm} dates from {y:year}, in the {o:ordinal!}{suffix!} century.",
    ]
)
_CLOCKS = plain(
    [
        "{h}:{m} p.m. is {k!}:{m!}.",
        "{k}:{m} is {h!}:{m!} p.m.",
    ],
    "date_part",
)
_LEADS = plain(
    [
        "{team} beat {rival} {a} to {b}, so the lead was {c!} points.",
        "{team} scored {a} and {rival} scored {b}, so the winner was {team!}.",
        "With {a} points against {b}, {team} won by {c!}.",
    ],
    "score",
)
_TOTALS = plain(
    [
        "{team} scored {a} and {rival} scored {b}, together {c!} points.",
        "{person} scored {a} and then {b}, which makes {c!}.",
    ],
    "score",
)
_DECIMALS = plain(
    [
        "The rope is {a} m long, which is {b!} cm.",
        "A length of {a} m is {b!} cm.",
        "The wall is {b} cm high, that is {a!} m.",
    ],
    "measurement",
)
_GRAMS = plain(
    [
        "The parcel weighs {a} kg, which is {b!} g.",
        "A mass of {b} g is {a!} kg.",
        "The road is {a} km long, which is {b!} m.",
        "A distance of {b} m is {a!} km.",
        "The tank holds {a} l, which is {b!} ml.",
    ],
    "measurement",
)
_GRAM_UNITS = ("kg g", "kg g", "km m", "km m", "l ml")
_FORMS = plain(
    [
        "The number {a} is written {b!} without a comma.",
        "The number {b} is written {a!} with a comma.",
        "{d} thousand is {b!}.",
        "In scientific form, {b} is {s!}.",
        "The form {s} stands for {b!}.",
    ]
)
_TABLE_YEARS = plain(
    [
        "{firm} sold {x} {things} in {i:year}, {y} in {j:year} and {w} in {k:year}.",
        "{firm} made {x} {things} in {i:year}, {y} in {j:year} and {w} in {k:year}.",
    ]
)
_TABLE_YEAR_QUESTIONS = plain(
    [
        "The largest is {c!}, in {t:year!}.",
        "With {c!}, {t:year!} was the best year.",
        "In {q:year} it was {r!}.",
        "{r} belongs to {q:year!}.",
    ]
)
_TABLE_PEOPLE = plain(["{first} has {x} {things}, {second} has {y} and {third} has {w}."])
_TABLE_PEOPLE_QUESTIONS = plain(
    [
        "The largest is {c!}, of {best!}.",
        "{asked} has {r!} {things!}.",
        "{r} {things} belong to {asked!}.",
        "How many {things} has {asked}? It is {r!}.",
    ]
)


def money(scene: Scene, page: Page) -> None:
    """An amount of money said twice, or a sum or a difference of amounts."""
    draw, share = scene.draw, scene.draw.random()
    if share < 0.3:
        number = draw.between(101, 9999)
        number += number % 10 == 0
        scene.say(
            page, draw.pick(_MILLIONS), {"a": f"{number / 100:.2f}", "b": f"{number * 10_000:,}"}
        )
    elif share < 0.45:
        scene.say(page, draw.pick(_THOUSANDS), _thousands(draw))
    elif share < 0.7:
        first, second = draw_sum(draw)
        scene.say(page, draw.pick(_MONEY_SUM), {"a": first, "b": second, "c": first + second})
    elif share < 0.9:
        first, second = draw_difference(draw)
        scene.say(
            page, draw.pick(_MONEY_DIFFERENCE), {"a": first, "b": second, "c": first - second}
        )
    else:
        number = draw_numeral(draw)
        scene.say(page, draw.pick(_SPELLED), {"c": number, "w": spell(number)})


def _thousands(draw: Draw) -> Values:
    number = draw.between(1001, 99_999)
    number += number % 10 == 0
    return {
        "a": f"{number:,}",
        "b": number,
        "d": f"{number // 1000}.{number % 1000:03d}",
        "s": scientific(number),
    }


def forms(scene: Scene, page: Page) -> None:
    """The same number in another written form."""
    scene.say(page, scene.draw.pick(_FORMS), _thousands(scene.draw))


def dates(scene: Scene, page: Page) -> None:
    """A date or a time of day said twice."""
    draw = scene.draw
    if draw.random() < 0.3:
        hour = draw.between(1, 11)
        scene.say(
            page, draw.pick(_CLOCKS), {"h": hour, "k": hour + 12, "m": f"{draw.below(60):02d}"}
        )
        return
    month, year = draw.below(12), draw.between(1850, 2030)
    day = draw.between(1, words.MONTH_DAYS[month])
    century, suffix = ordinal((year - 1) // 100 + 1)
    values: Values = {
        "d": day,
        "e": f"{day:02d}",
        "m": f"{month + 1:02d}",
        "month": words.MONTHS[month],
    }
    values |= {"y": year, "f": year // 10 * 10, "o": century, "suffix": suffix}
    scene.say(page, draw.pick(_DATES), values)


def scores(scene: Scene, page: Page) -> None:
    """The lead or the total of two scores."""
    draw = scene.draw
    if draw.random() < 0.6:
        first, second = draw_difference(draw, 199)
        scene.say(page, draw.pick(_LEADS), {"a": first, "b": second, "c": first - second})
    else:
        first, second = draw_sum(draw, 199)
        scene.say(page, draw.pick(_TOTALS), {"a": first, "b": second, "c": first + second})


def measurements(scene: Scene, page: Page) -> None:
    """A measurement with a decimal point, said again in the smaller unit."""
    draw = scene.draw
    while True:
        tenths = draw.between(11, 999)
        place = draw.below(len(_GRAMS) + len(_DECIMALS))
        large, small = _GRAM_UNITS[place].split() if place < len(_GRAMS) else ("m", "cm")
        if (
            tenths % 10
            and operand_split("conversion", large, small, f"{tenths / 10:.1f}") == draw.split
        ):
            break
    factor = 100 if place < len(_GRAMS) else 10
    wording = _GRAMS[place] if place < len(_GRAMS) else _DECIMALS[place - len(_GRAMS)]
    scene.say(page, wording, {"a": f"{tenths / 10:.1f}", "b": tenths * factor})


def tables(scene: Scene, page: Page) -> None:
    """A small table told in one sentence, and two or three questions about it; in training documents all four."""
    draw = scene.draw
    numbers = draw_list(draw, 3)
    values: Values = {"x": numbers[0], "y": numbers[1], "w": numbers[2], "c": max(numbers)}
    things = draw.pick(words.ITEMS)
    if draw.random() < 0.5:
        year = draw.between(1850, 2025)
        keys: tuple[object, ...] = (year, year + 1, year + 2)
        values |= {"i": keys[0], "j": keys[1], "k": keys[2], "things": things}
        opening, questions = draw.pick(_TABLE_YEARS), _TABLE_YEAR_QUESTIONS
    else:
        keys = tuple(draw.shuffled(words.PEOPLE)[:3])
        values |= {"first": keys[0], "second": keys[1], "third": keys[2], "things": things}
        opening, questions = draw.pick(_TABLE_PEOPLE), _TABLE_PEOPLE_QUESTIONS
    scene.say(page, opening, values)
    best = keys[numbers.index(max(numbers))]
    for wording in draw.shuffled(questions)[
        : len(questions) if draw.split == "train" else draw.between(2, 3)
    ]:
        place = draw.below(3)
        asked: Values = {
            "q": keys[place],
            "asked": keys[place],
            "r": numbers[place],
            "t": best,
            "best": best,
        }
        scene.say(page, wording, values | asked)


WRITERS: dict[str, Callable[[Scene, Page], None]] = {
    "money": money,
    "dates": dates,
    "scores": scores,
    "measurements": measurements,
    "tables": tables,
    "forms": forms,
}
