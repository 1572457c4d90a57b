"""The people, firms, places and quantities of one document, and how they fill the slots of its sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssl_lib.numbers.writing import ordinal
from ssl_lib.synthetic import words
from ssl_lib.synthetic.operands import Draw
from ssl_lib.synthetic.page import Page, Template

UNITS_BY_KIND = {  # for training; those of RESERVED_UNITS are only in test documents
    "length": ("m", "km", "cm", "metres", "kilometres", "feet"),
    "weight": ("kg", "g", "kilograms", "grams", "tonnes"),
    "volume": ("l", "ml", "litres", "millilitres"),
    "heat": ("°C", "degrees"),
    "speed": ("km/h", "m/s"),
    "power": ("watts", "kilowatts"),
}
RESERVED_UNITS = {
    "length": ("miles", "fathoms", "furlongs"),
    "weight": ("ounces", "stones"),
    "volume": ("gallons", "pints"),
    "heat": ("kelvins",),
    "speed": ("knots",),
    "power": ("horsepower",),
}
MONEY_SIGNS = ("$", "$", "$", "€")
MONEY_WORDS = ("dollars", "euros")
RARE_MONEY_SIGNS = ("₩", "₹", "₺", "₽", "₴", "₦", "₱", "₪", "₫", "R$", "kr ", "Rs ", "zł ", "Kč ")
RESERVED_MONEY_SIGNS = ("£", "¥")
RESERVED_MONEY_WORDS = ("francs", "crowns")
RANK_WORDS = (
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
)
COINED_SHARE = (
    0.3  # of names, units and things in training documents: what cannot be known has to be read
)

Values = dict[str, object]
_PAIRS = {
    "firm": (words.FIRM_HEADS, words.FIRM_TAILS),
    "person": (words.PEOPLE, words.SURNAMES),
    "city": (words.PLACE_HEADS, words.PLACE_TAILS),
    "team": (words.PLACE_TAILS[:6], words.TEAM_TAILS[:4]),
    "rival": (words.PLACE_TAILS[6:], words.TEAM_TAILS[4:]),
}


class Scene:
    """Names stay the same all through a document; the rest of a name is determined once the name has been said."""

    __slots__ = ("_names", "draw", "reserved")

    def __init__(self, draw: Draw, reserved: bool = False) -> None:
        self.draw = draw
        self.reserved = reserved
        self._names: dict[str, tuple[str, str]] = {}

    def say(self, page: Page, wording: Template, values: Values | None = None) -> None:
        """Add a sentence; slots without a given value are filled with fresh quantities and the document's names."""
        filled: Values = dict(values) if values else {}
        for _, slot, _, _ in wording.slots:
            if slot not in filled:
                self._fill(slot, filled)
        page.add(wording, filled)

    def _fill(self, slot: str, values: Values) -> None:
        if slot in _PAIRS:
            values[slot] = self.name(slot)
        else:
            _FILLERS[slot](self, values)

    def name(self, kind: str) -> str | tuple[str, str]:
        """A name of the kind; (first part, determined rest) when it was said before."""
        if kind in self._names:
            return self._names[kind]
        head, tail = self._new_name(kind)
        self._names[kind] = (head, f" {tail}")
        return f"{head} {tail}"

    def _new_name(self, kind: str) -> tuple[str, str]:
        draw = self.draw
        if _unknown(draw):
            return _coined(draw).capitalize(), _coined(draw).capitalize()
        heads, tails = _PAIRS[kind]
        return draw.pick(heads), draw.pick(tails)


def _unknown(draw: Draw) -> bool:
    """Whether something that no list has comes next: in training documents alone."""
    return draw.split == "train" and draw.random() < COINED_SHARE


def _coined(draw: Draw) -> str:
    """A word that no list has, such as tormavick."""
    parts = words.SYLLABLES if draw.random() < 0.5 else (words.SYLLABLES[0], words.SYLLABLES[2])
    return "".join(draw.pick(part) for part in parts)


def _noun(draw: Draw, known: Sequence[str]) -> str:
    """One of the known words, or in training documents a coined one in the plural."""
    return f"{_coined(draw)}s" if _unknown(draw) else draw.pick(known)


def whole(draw: Draw, digits: int) -> int:
    """A whole number of up to `digits` digits, every length equally often."""
    size = draw.between(1, digits)
    return draw.between(10 ** (size - 1), 10**size - 1)


def _decimal(draw: Draw) -> str:
    number = whole(draw, 4)
    return (
        str(number) if draw.random() < 0.6 or number < 10 else f"{number // 10}.{number % 10 or 5}"
    )


def _year(scene: Scene, values: Values) -> None:
    values["year"] = scene.draw.between(1850, 2030)


def _later(scene: Scene, values: Values) -> None:
    values["later"] = int(str(values["year"])) + scene.draw.between(1, 40)


def _rate(scene: Scene, values: Values) -> None:
    rate = scene.draw.between(1, 99)
    values["rate"] = rate if scene.draw.random() < 0.7 else f"{rate}.{scene.draw.between(1, 9)}"


def _money(scene: Scene, values: Values) -> None:
    draw = scene.draw
    style = draw.random()
    known_signs = RARE_MONEY_SIGNS if _unknown(draw) else MONEY_SIGNS
    sign = draw.pick(RESERVED_MONEY_SIGNS if scene.reserved else known_signs)
    word = _noun(draw, RESERVED_MONEY_WORDS if scene.reserved else MONEY_WORDS)
    amount = whole(draw, 5)
    if style < 0.25:
        before, number, after = (
            sign,
            f"{draw.between(1, 99)}.{draw.between(1, 9)}",
            draw.pick((" million", " billion")),
        )
    elif style < 0.55:
        before, number, after = sign, f"{amount:,}", ""
    elif style < 0.7:
        before, number, after = sign, f"{draw.between(1, 99)}.{draw.between(10, 99)}", ""
    else:
        before, number, after = "", str(amount), f" {word}"
    values |= {"before": before, "sum": number, "after": after}


def _many(scene: Scene, values: Values) -> None:
    draw = scene.draw
    number = max(2, whole(draw, 4))
    values["many"] = number if number < 1000 or draw.random() < 0.5 else f"{number:,}"


def _size(kind: str) -> Callable[[Scene, Values], None]:
    def fill(scene: Scene, values: Values) -> None:
        values[kind] = _decimal(scene.draw)
        values[f"{kind}_unit"] = _noun(
            scene.draw, (RESERVED_UNITS if scene.reserved else UNITS_BY_KIND)[kind]
        )

    return fill


def _points(scene: Scene, values: Values) -> None:
    points = scene.draw.between(1, 9) if scene.draw.random() < 0.4 else scene.draw.between(10, 120)
    values["points"], values["fewer"] = points, scene.draw.below(points)


def _rank(scene: Scene, values: Values) -> None:
    draw = scene.draw
    if draw.random() < 0.4:
        values["rank"], values["suffix"] = draw.pick(RANK_WORDS), ""
    else:
        values["rank"], values["suffix"] = ordinal(draw.between(1, 99))


def _code(scene: Scene, values: Values) -> None:
    draw = scene.draw
    values["tag"] = draw.pick(("", "", "", "#", "AB-", "K-", "TX-"))
    values["code"] = (
        draw.between(100, 99_999) if draw.random() < 0.7 else f"{draw.below(10_000):04d}"
    )


def _date(scene: Scene, values: Values) -> None:
    month = scene.draw.below(12)
    values["month"], values["day"] = (
        words.MONTHS[month],
        scene.draw.between(1, words.MONTH_DAYS[month]),
    )


def _clock(scene: Scene, values: Values) -> None:
    values["hour"], values["minute"] = scene.draw.between(0, 23), f"{scene.draw.below(60):02d}"


def _weekday(scene: Scene, values: Values) -> None:
    values["weekday"] = scene.draw.pick(words.WEEKDAYS)


def _things(scene: Scene, values: Values) -> None:
    values["things"] = _noun(scene.draw, words.RESERVED_ITEMS if scene.reserved else words.ITEMS)


_FILLERS: dict[str, Callable[[Scene, Values], None]] = {
    "year": _year,
    "later": _later,
    "rate": _rate,
    "before": _money,
    "many": _many,
    "points": _points,
    "fewer": _points,
    "rank": _rank,
    "tag": _code,
    "month": _date,
    "day": _date,
    "hour": _clock,
    "weekday": _weekday,
    "things": _things,
} | {kind: _size(kind) for kind in UNITS_BY_KIND}
