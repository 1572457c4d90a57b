"""Propositions about one quantity, each in several wordings, and the quantity in several written forms and units."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_lib.numbers.writing import shortest
from ssl_lib.synthetic.operands import Draw, operand_split
from ssl_lib.synthetic.page import Page, Template, template
from ssl_lib.synthetic.scene import Scene, Values

_FORMS = {  # before the number, what one unit of it is worth, after the number, thousands separators
    "money": (
        ("$", 1, "", True),
        ("$", 1_000_000, " million", False),
        ("", 1_000_000, " million dollars", False),
        ("", 1, " dollars", False),
        ("$", 1_000, " thousand", False),
    ),
    "length": (
        ("", 1, " m", False),
        ("", 1000, " km", False),
        ("", 1, " metres", True),
        ("", 1000, " kilometres", False),
    ),
    "weight": (
        ("", 1, " g", False),
        ("", 1000, " kg", False),
        ("", 1, " grams", True),
        ("", 1000, " kilograms", False),
    ),
    "count": (("", 1, "", False), ("", 1, "", True), ("", 1000, " thousand", False)),
}
_ROLE = {"money": "money", "length": "measurement", "weight": "measurement", "count": "count"}
_RANGE = {
    "money": (100_000, 90_000_000),
    "length": (1_000, 90_000),
    "weight": (1_000, 90_000),
    "count": (1_000, 90_000),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One proposition: the kind of its quantity, its wordings for training, and those reserved for test."""

    kind: str
    wordings: tuple[Template, ...]
    reserved: tuple[Template, ...]


def _frame(kind: str, wordings: list[str], reserved: list[str]) -> Frame:
    quantity = f"{{before}}{{number:{_ROLE[kind]}}}{{after}}"

    def compiled(sources: list[str]) -> tuple[Template, ...]:
        return tuple(template(source.replace("QUANTITY", quantity)) for source in sources)

    return Frame(kind, compiled(wordings), compiled(reserved))


FRAMES = (
    _frame(
        "money",
        [
            "{firm} earned QUANTITY.",
            "The earnings of {firm} were QUANTITY.",
            "{firm} had earnings of QUANTITY.",
        ],
        ["Earnings of QUANTITY were reported by {firm}.", "{firm} reported earnings of QUANTITY."],
    ),
    _frame(
        "money",
        ["The bridge in {city} cost QUANTITY.", "The cost of the bridge in {city} was QUANTITY."],
        [
            "{city} paid QUANTITY for the bridge.",
            "For the bridge, {city} paid a price of QUANTITY.",
        ],
    ),
    _frame(
        "length",
        [
            "{person} ran QUANTITY.",
            "{person} covered a distance of QUANTITY.",
            "The run of {person} was QUANTITY long.",
        ],
        ["A distance of QUANTITY was covered by {person}.", "{person} ran a distance of QUANTITY."],
    ),
    _frame(
        "length",
        ["The road to {city} is QUANTITY long.", "The length of the road to {city} is QUANTITY."],
        ["The road to {city} has a length of QUANTITY.", "To {city} the road runs for QUANTITY."],
    ),
    _frame(
        "weight",
        ["The parcel of {person} weighs QUANTITY.", "{person} sent a parcel of QUANTITY."],
        [
            "The parcel {person} sent has a mass of QUANTITY.",
            "A mass of QUANTITY was in the parcel {person} sent.",
        ],
    ),
    _frame(
        "weight",
        ["{firm} used QUANTITY of steel.", "The steel used by {firm} weighed QUANTITY."],
        ["{firm} needed steel with a mass of QUANTITY.", "QUANTITY of steel was used by {firm}."],
    ),
    _frame(
        "count",
        [
            "{city} has QUANTITY people.",
            "The number of people in {city} is QUANTITY.",
            "QUANTITY people live in {city}.",
        ],
        ["In {city} there are QUANTITY people.", "{city} is a town of QUANTITY people."],
    ),
    _frame(
        "count",
        ["{firm} made QUANTITY {things}.", "The number of {things} made by {firm} is QUANTITY."],
        ["QUANTITY {things} were made by {firm}.", "The factory of {firm} made QUANTITY {things}."],
    ),
)


def draw_quantity(draw: Draw, kind: str) -> int:
    """A quantity of the split, in the smallest unit of the kind (dollars, metres, grams, pieces), of 3 to 5 figures."""
    low, high = _RANGE[kind]
    while True:
        value = int(low * (high / low) ** draw.random())
        value -= value % (high // 90_000)
        if operand_split("quantity", value) == draw.split:
            return value


def written(kind: str, value: int, form: int) -> Values:
    """Slots of a quantity in one of its written forms, exactly."""
    before, worth, after, separated = _FORMS[kind][form]
    places = len(str(worth)) - 1
    number = (
        f"{value:,}" if separated else shortest(value / worth, places) if worth > 1 else str(value)
    )
    return {"before": before, "number": number, "after": after}


def form_count(kind: str) -> int:
    """How many written forms a kind of quantity has."""
    return len(_FORMS[kind])


def state_twice(scene: Scene, page: Page) -> None:
    """Two sentences that say the same in other words and in another form or unit; nothing there is determined."""
    draw = scene.draw
    frame = draw.pick(FRAMES)
    value = draw_quantity(draw, frame.kind)
    wordings = draw.shuffled(frame.reserved if scene.reserved else frame.wordings)
    forms = draw.shuffled(range(form_count(frame.kind)))
    things: Values = {"things": draw.pick(("books", "chairs", "bricks", "pens"))}
    for wording, form in zip(wordings[:2], forms[:2], strict=True):
        scene.say(page, wording, things | written(frame.kind, value, form))
