"""Who and what one sealed document speaks of, and how that fills the slots of its templates."""

from __future__ import annotations

from ssl_lib.numbers.writing import ordinal
from ssl_lib.sealed.words import (
    MONEY_SIGNS,
    MONEY_WORDS,
    NAMES,
    ORDINAL_WORDS,
    PEOPLE,
    TAGS,
    THINGS,
    UNITS,
)
from ssl_lib.synthetic import entities
from ssl_lib.synthetic.document import Values
from ssl_lib.synthetic.quantities import Draw


class Cast(entities.Entities):
    """The names of one document; a name whose first part is said again goes on as before."""

    __slots__ = ()

    def name(self, kind: str) -> str | tuple[str, str]:
        """A name of a kind of NAMES: "Amber Heron", later ("Amber", " Heron")."""
        if kind in self._names:
            return self._names[kind]
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
            amount = log_uniform(draw, 2, 8_000)
            tenth = draw.between(1, 9)
            values[slot] = amount if draw.random() < 0.6 else f"{amount}.{tenth}"
            values[f"{slot}_unit"] = draw.pick(UNITS[slot])
        elif slot == "things":
            values["things"] = draw.pick(THINGS)
        elif slot == "year":
            values["year"] = draw.between(1790, 2040)
        elif slot in ("month", "day", "hour", "weekday"):
            entities.fill_time(draw, slot, values)
        else:
            _fill_number(draw, slot, values)


def log_uniform(draw: Draw, low: int, high: int) -> int:
    """A whole number from `low` to `high`, every order of magnitude equally often."""
    return int(low * (high / low) ** draw.random())


def story(draw: Draw) -> Values:
    """Two people and a kind of thing."""
    who, other = draw.shuffled(PEOPLE)[:2]
    return {"who": who, "other": other, "things": draw.pick(THINGS)}


def _fill_number(draw: Draw, slot: str, values: Values) -> None:
    match slot:
        case "before":
            values["before"], values["sum"], values["after"] = _money(draw)
        case "rate":
            rate = draw.between(2, 98)
            values["rate"] = rate if draw.random() < 0.65 else f"{rate}.{draw.between(1, 9)}"
        case "many":
            number = log_uniform(draw, 3, 9_500)
            values["many"] = f"{number:,}" if draw.random() < 0.5 else number
        case "points":
            points = log_uniform(draw, 2, 140)
            values["points"] = points
            values["fewer"] = draw.below(points)
        case "rank":
            values["rank"], values["suffix"] = ordinal(draw.between(2, 95))
            if draw.random() < 0.4:
                values["rank"], values["suffix"] = draw.pick(ORDINAL_WORDS), ""
        case "tag":
            values["tag"] = draw.pick(TAGS)
            number = log_uniform(draw, 120, 95_000)
            values["code"] = number if draw.random() < 0.7 else f"{number % 10_000:05d}"
        case _:
            raise AssertionError(f"nothing fills the slot {slot}")


def _money(draw: Draw) -> tuple[str, int | str, str]:
    """Sign, number and words of an amount: ("฿", "3.4", " million"), ("", 250, " rand")."""
    sign = draw.pick(MONEY_SIGNS)
    style = draw.random()
    amount = log_uniform(draw, 3, 80_000)
    if style < 0.25:
        return sign, f"{draw.between(2, 95)}.{draw.between(1, 9)}", " million"
    if style < 0.55:
        return sign, f"{amount:,}", ""
    if style < 0.7:
        return sign, f"{draw.between(2, 95)}.{draw.between(10, 99)}", ""
    return "", amount, f" {draw.pick(MONEY_WORDS)}"
