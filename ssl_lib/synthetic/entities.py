"""The people, firms, places and things of one document, and how they fill its templates' slots.

Held-out entities occur in documents of split `test` alone. In training documents, three in ten
names, units of measure and things are nonce words: what cannot be known has to be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssl_lib.numbers.writing import ordinal
from ssl_lib.synthetic.document import DocumentBuilder, Template, Values
from ssl_lib.synthetic.quantities import Draw

NONCE_SHARE = 0.3  # of names, units, currencies and things in training documents

MONTHS = """January February March April May June July August September October November
    December""".split()
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
PEOPLE = """Anna Ben Clara David Emma Felix Grace Henry Jack Kate Leo Maria Noah Olga Paul Rosa Sam
    Tara""".split()
SURNAMES = """Abbott Baker Carver Dalton Ellis Foster Hobbs Irwin Jensen Keller Lawson Norton Palmer
    Quinn Reed""".split()
FIRM_HEADS = """Marlow Halden Orion Vesta Brixton Calder Denby Everett Fulton Garnet Hollis Juniper
    Linden""".split()
FIRM_TAILS = "Foods Steel Motors Energy Textiles Shipping Optics Paper".split()
PLACE_HEADS = "North South East West Upper Lower Old New Great Little".split()
PLACE_TAILS = """Ashford Benham Corley Dunmore Elswick Farley Granton Harlow Kirkby Milford Oakley
    Preston""".split()
TEAM_TAILS = "Rovers United Wolves Hawks Tigers Comets Lions Sharks".split()
NAMES = {  # of one kind each: first and second parts
    "firm": (FIRM_HEADS, FIRM_TAILS),
    "person": (PEOPLE, SURNAMES),
    "city": (PLACE_HEADS, PLACE_TAILS),
    "team": (PLACE_TAILS[:6], TEAM_TAILS[:4]),
    "rival": (PLACE_TAILS[6:], TEAM_TAILS[4:]),
}
SYLLABLES = (  # of nonce words: one of each list, or of the first and the last
    """bel dar fen gor hal kes lum mar nor pel quin ras sel tor ulm vem wes yor zan brin cor dun
    esk""".split(),
    "a e i o u en al or is un".split(),
    "by den dra fax gow kin lin mor nox per ric sson ton vale wick mont stad burg".split(),
)

ITEMS = "apples books coins stamps marbles tickets chairs pens bricks cards shells eggs".split()
HELD_OUT_ITEMS = "lanterns buttons kettles saddles".split()
UNITS = {
    "length": "m km cm metres kilometres feet".split(),
    "weight": "kg g kilograms grams tonnes".split(),
    "volume": "l ml litres millilitres".split(),
    "heat": "°C degrees".split(),
    "speed": "km/h m/s".split(),
    "power": "watts kilowatts".split(),
}
HELD_OUT_UNITS = {
    "length": "miles fathoms furlongs".split(),
    "weight": "ounces stones".split(),
    "volume": "gallons pints".split(),
    "heat": ["kelvins"],
    "speed": ["knots"],
    "power": ["horsepower"],
}
# Three times in four a dollar, where a sign stands.
MONEY_SIGNS = ("$", "$", "$", "€")
MONEY_WORDS = ("dollars", "euros")
# In place of those in 30% of training documents' amounts, as nonce words are of other things.
RARE_MONEY_SIGNS = ("₩", "₹", "₺", "₽", "₴", "₦", "₱", "₪", "₫", "R$", "kr ", "Rs ", "zł ", "Kč ")
HELD_OUT_MONEY_SIGNS = ("£", "¥")
HELD_OUT_MONEY_WORDS = ("francs", "crowns")
ORDINAL_WORDS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()


class Entities:
    """What one document speaks of.

    A name stays the same all through the document; once its first part has been said again, the
    rest is deterministic.
    """

    __slots__ = ("_names", "draw", "held_out")

    def __init__(self, draw: Draw, held_out: bool = False) -> None:
        self.draw = draw
        self.held_out = held_out
        self._names: dict[str, tuple[str, str]] = {}

    def say(
        self, builder: DocumentBuilder, template: Template, values: Values | None = None
    ) -> None:
        """Add a sentence; slots without a given value get fresh quantities and the known names."""
        filled: Values = dict(values) if values else {}
        for slot in template.slots:
            if slot.name not in filled:
                self.fill(slot.name, filled)
        builder.add(template, filled)

    def name(self, kind: str) -> str | tuple[str, str]:
        """A name of one of the kinds of NAMES: "Marlow Foods", later ("Marlow", " Foods")."""
        # a name said before
        if kind in self._names:
            return self._names[kind]
        if _nonce_follows(self.draw):
            head = _nonce_word(self.draw).capitalize()
            tail = _nonce_word(self.draw).capitalize()
        else:
            heads, tails = NAMES[kind]
            head = self.draw.pick(heads)
            tail = self.draw.pick(tails)
        self._names[kind] = (head, f" {tail}")
        return f"{head} {tail}"

    def fill(self, slot: str, values: Values) -> None:
        """Draw the value of a slot, and of those that come with it, as `suffix` with `rank`."""
        draw = self.draw
        if slot in NAMES:
            values[slot] = self.name(slot)
        elif slot in UNITS:
            number = _any_size(draw, 4)
            whole = draw.random() < 0.6 or number < 10
            values[slot] = number if whole else f"{number // 10}.{number % 10 or 5}"
            units = HELD_OUT_UNITS if self.held_out else UNITS
            values[f"{slot}_unit"] = _noun(draw, units[slot])
        elif slot == "things":
            values["things"] = _noun(draw, HELD_OUT_ITEMS if self.held_out else ITEMS)
        elif slot == "before":
            values["before"], values["sum"], values["after"] = self._money()
        elif slot in ("rate", "many", "points", "fewer", "rank", "tag"):
            _fill_number(draw, slot, values)
        else:
            fill_time(draw, slot, values)

    def _money(self) -> tuple[str, str, str]:
        """Sign, number and words of an amount: ("$", "3.4", " million"), ("", "250", " euros")."""
        draw = self.draw
        style = draw.random()
        # sign and word are drawn whatever the style, which may need neither
        signs = RARE_MONEY_SIGNS if _nonce_follows(draw) else MONEY_SIGNS
        sign = draw.pick(HELD_OUT_MONEY_SIGNS if self.held_out else signs)
        word = _noun(draw, HELD_OUT_MONEY_WORDS if self.held_out else MONEY_WORDS)
        amount = _any_size(draw, 5)
        if style < 0.25:
            number = f"{draw.between(1, 99)}.{draw.between(1, 9)}"
            return sign, number, draw.pick((" million", " billion"))
        if style < 0.55:
            return sign, f"{amount:,}", ""
        if style < 0.7:
            return sign, f"{draw.between(1, 99)}.{draw.between(10, 99)}", ""
        return "", str(amount), f" {word}"


def _fill_number(draw: Draw, slot: str, values: Values) -> None:
    match slot:
        case "rate":
            rate = draw.between(1, 99)
            values["rate"] = rate
            if draw.random() >= 0.7:
                values["rate"] = f"{rate}.{draw.between(1, 9)}"
        case "many":
            number = max(2, _any_size(draw, 4))
            plain = number < 1000 or draw.random() < 0.5
            values["many"] = number if plain else f"{number:,}"
        case "points" | "fewer":
            low, high = (1, 9) if draw.random() < 0.4 else (10, 120)
            points = draw.between(low, high)
            values["points"] = points
            values["fewer"] = draw.below(points)
        case "rank":
            if draw.random() < 0.4:
                values["rank"] = draw.pick(ORDINAL_WORDS)
                values["suffix"] = ""
            else:
                values["rank"], values["suffix"] = ordinal(draw.between(1, 99))
        case "tag":
            values["tag"] = draw.pick(("", "", "", "#", "AB-", "K-", "TX-"))
            if draw.random() < 0.7:
                values["code"] = draw.between(100, 99_999)
            else:
                values["code"] = f"{draw.below(10_000):04d}"


def fill_time(draw: Draw, slot: str, values: Values) -> None:
    """Draw a year or a later one, a day with its month, an hour with its minute, a weekday."""
    match slot:
        case "year":
            values["year"] = draw.between(1850, 2030)
        case "later":  # than the year that stands before it
            year = values["year"]
            assert isinstance(year, int)
            values["later"] = year + draw.between(1, 40)
        case "month" | "day":
            month = draw.below(12)
            values["month"] = MONTHS[month]
            values["day"] = draw.between(1, MONTH_DAYS[month])
        case "hour":
            values["hour"] = draw.between(0, 23)
            values["minute"] = f"{draw.below(60):02d}"
        case "weekday":
            values["weekday"] = draw.pick(WEEKDAYS)
        case _:
            raise AssertionError(f"nothing fills the slot {slot}")


def _nonce_follows(draw: Draw) -> bool:
    """Whether something that no list has comes next: in training documents alone."""
    return draw.split == "train" and draw.random() < NONCE_SHARE


def _nonce_word(draw: Draw) -> str:
    """A word that no list has, such as tormavick."""
    first, middle, last = SYLLABLES
    parts = (first, middle, last) if draw.random() < 0.5 else (first, last)
    return "".join(draw.pick(part) for part in parts)


def _noun(draw: Draw, known: Sequence[str]) -> str:
    """One of the known words, or in training documents a nonce word in the plural."""
    if _nonce_follows(draw):
        return f"{_nonce_word(draw)}s"
    return draw.pick(known)


def _any_size(draw: Draw, digits: int) -> int:
    """A whole number of up to `digits` digits, every length equally often."""
    size = draw.between(1, digits)
    return draw.between(10 ** (size - 1), 10**size - 1)
