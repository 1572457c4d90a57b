"""Templates of sentences, and the builder that makes a labeled document of them.

In a template, `{name}` is a slot and `{name:role}` a slot that holds a number of that role; a `!`
before the closing brace marks it as deterministic: a careful reader can predict what it will hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

ROLES = tuple("year money percentage count measurement score ordinal identifier date_part".split())
Value = int | str | tuple[str, str]  # a pair is a name said before: its rest is deterministic
Values = dict[str, Value]

# What a number looks like in its role: every template of a role shares these, so that no
# notation tells a template.
ROLE_MACROS = {
    "MONEY": "{before}{sum:money}{after}",
    "LENGTH": "{length:measurement} {length_unit}",
    "WEIGHT": "{weight:measurement} {weight_unit}",
    "VOLUME": "{volume:measurement} {volume_unit}",
    "HEAT": "{heat:measurement} {heat_unit}",
    "SPEED": "{speed:measurement} {speed_unit}",
    "POWER": "{power:measurement} {power_unit}",
    "RANK": "{rank:ordinal}{suffix}",
    "CODE": "{tag}{code:identifier}",
    "CLOCK": "{hour:date_part}:{minute:date_part}",
    "DATE": "{month} {day:date_part}",
    "DAY": "{day:date_part} {month}",
    "WON": "{points:score}-{fewer:score}",
    "LOST": "{fewer:score}-{points:score}",
    "TALLY": "{points:score} to {fewer:score}",
    "POINTS": "{points:score}",
    "MANY": "{many:count}",
    "RATE": "{rate:percentage}",
    "YEAR": "{year:year}",
    "LATER": "{later:year}",
}

_MARKUP = re.compile(r"\{(?P<slot>\w+)(?::(?P<role>\w+))?(?P<sure>!?)\}")
_WEIGHT = re.compile(r"(\d+)x (.+)")


@dataclass(frozen=True, slots=True)
class LabeledNumber:
    """Character span of one number in a document, and the number's role.

    The span holds the numeral alone (digits with their separators, point, exponent, or the words of
    a spelled-out number); signs of currency and percent, units, `million` and the suffix of an
    ordinal stay outside.
    """

    start: int
    end: int
    role: str


@dataclass(frozen=True, slots=True)
class LabeledDocument:
    """A document, its domain, its numbers in order, and the character spans that are deterministic.

    A span is deterministic if a careful reader can predict it from what stands before it.
    """

    text: str
    domain: str
    numbers: tuple[LabeledNumber, ...]
    deterministic: tuple[tuple[int, int], ...]


class Slot(NamedTuple):
    """The fixed words before a slot, its name, the role of its number or nothing, and the `!`."""

    before: str
    name: str
    role: str
    deterministic: bool


@dataclass(frozen=True, slots=True)
class Template:
    """One sentence with slots, and the words that end it."""

    source: str
    slots: tuple[Slot, ...]
    ending: str
    word_problem: bool  # speaks of people or things, which have to be drawn
    elements: int  # how many elements of a list it shows

    @property
    def answer_slot(self) -> str:
        """The last slot, if it stands before the full stop and nowhere else; otherwise nothing."""
        names = [slot.name for slot in self.slots]
        if not names or self.ending != "." or names.count(names[-1]) > 1:
            return ""
        return names[-1]


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Ways to say one thing: for all documents, and held out for documents of split `test`."""

    common: tuple[Template, ...]
    held_out: tuple[Template, ...]

    def chosen(self, held_out: bool) -> tuple[Template, ...]:
        """The held-out templates, or the common ones."""
        return self.held_out if held_out else self.common


def parse_template(source: str, role: str = "count") -> Template:
    """Cut a template at its slots.

    Slots of one letter hold numbers of `role` unless they name another; `p` is a percentage.
    """
    slots: list[Slot] = []
    position = 0
    for match in _MARKUP.finditer(source):
        name = match["slot"]
        slot_role = match["role"] or ""
        if not slot_role and len(name) == 1:
            slot_role = "percentage" if name == "p" else role
        assert not slot_role or slot_role in ROLES, source
        before = source[position : match.start()]
        slots.append(Slot(before, name, slot_role, bool(match["sure"])))
        position = match.end()
    names = {slot.name for slot in slots}
    word_problem = not names.isdisjoint({"who", "other", "things"})
    elements = names.intersection("xyzvw")
    return Template(source, tuple(slots), source[position:], word_problem, len(elements))


def parse_templates(lines: str, role: str = "count") -> tuple[Template, ...]:
    """Templates, one a line.

    `8x ` before one repeats it eight times, so that a uniform pick among all is a weighted one.
    """
    templates: list[Template] = []
    for line in split_lines(lines):
        weight, source = 1, line
        if weighted := _WEIGHT.fullmatch(line):
            weight = int(weighted[1])
            source = weighted[2]
        templates += weight * [parse_template(source, role)]
    return tuple(templates)


def parse_template_set(common: str, held_out: str, role: str = "count") -> TemplateSet:
    """Common and held-out templates, one a line: see `parse_templates`."""
    return TemplateSet(parse_templates(common, role), parse_templates(held_out, role))


def with_slots(sentences: str) -> str:
    """Sentences with the slots of ROLE_MACROS: "paid MONEY" → "paid {before}{sum:money}{after}"."""
    for macro, slots in ROLE_MACROS.items():
        sentences = sentences.replace(macro, slots)
    return sentences


def split_lines(lines: str) -> list[str]:
    """The lines of a block of text, without their indentation."""
    return [line.strip() for line in lines.strip().splitlines()]


class DocumentBuilder:
    """Collects sentences, separated by one space, with their labels."""

    __slots__ = ("_deterministic", "_numbers", "_pieces", "length", "sentences")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._numbers: list[LabeledNumber] = []
        self._deterministic: list[tuple[int, int]] = []
        self.length = 0
        self.sentences = 0

    def add(self, template: Template, values: Mapping[str, Value]) -> None:
        """Append one sentence; every slot needs its value.

        Of a value (head, rest) the rest is deterministic even where the slot is not marked.
        """
        pieces = self._pieces
        position = self.length
        if position:
            pieces.append(" ")
            position += 1
        for before, name, role, deterministic in template.slots:
            value = values[name]
            start = position + len(before)
            text = "".join(value) if isinstance(value, tuple) else str(value)
            pieces += (before, text)
            position = start + len(text)
            if role:
                self._numbers.append(LabeledNumber(start, position, role))
            if deterministic:
                self._mark(start, position)
            elif isinstance(value, tuple):
                # of ("Marlow", " Foods") what follows the head
                self._mark(start + len(value[0]), position)
        pieces.append(template.ending)
        self.length = position + len(template.ending)
        self.sentences += 1

    def finish(self, domain: str) -> LabeledDocument:
        """The finished document."""
        numbers = tuple(self._numbers)
        deterministic = tuple(self._deterministic)
        return LabeledDocument("".join(self._pieces), domain, numbers, deterministic)

    def _mark(self, start: int, end: int) -> None:
        """Add a deterministic span; one that begins where the last one ends makes it longer."""
        if start == end:
            return
        if self._deterministic and self._deterministic[-1][1] == start:
            start = self._deterministic.pop()[0]
        self._deterministic.append((start, end))
