"""A page under construction: text, the spans of its numbers with their roles, and the spans the context determines.

Wordings are written as templates. `{name}` is a slot; `{name:role}` is a slot that holds a number of that role; a `!`
before the closing brace marks the slot as determined by what stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROLES = (
    "year",
    "money",
    "percentage",
    "count",
    "measurement",
    "score",
    "ordinal",
    "identifier",
    "date_part",
)

_MARKUP = re.compile(r"\{(?P<slot>\w+)(?::(?P<role>\w+))?(?P<sure>!?)\}")
_ROLE_OF_SLOT = {"p": "percentage"}


@dataclass(frozen=True, slots=True)
class LabeledNumber:
    """Character span of one number in a document, and what the number is.

    The span holds the numeral alone (digits with their separators, point, exponent, or the words of a spelled-out
    number); signs of currency and percent, units, `million` and the suffix of an ordinal stay outside.
    """

    start: int
    end: int
    role: str


@dataclass(frozen=True, slots=True)
class LabeledDocument:
    """A document, its domain, its numbers in order, and the character spans that a careful reader can foretell."""

    text: str
    domain: str
    numbers: tuple[LabeledNumber, ...]
    deterministic: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """One wording: slots (the fixed words before it, its name, its role, determined or not) and the closing words."""

    source: str
    slots: tuple[tuple[str, str, str, bool], ...]
    closing: str
    story: bool  # needs names of people or things
    elements: int  # how many elements of a list it shows

    @property
    def asked(self) -> str:
        """The last slot, if it stands before the closing full stop and nowhere else; otherwise nothing."""
        names = [slot for _, slot, _, _ in self.slots]
        return names[-1] if names and self.closing == "." and names.count(names[-1]) == 1 else ""


def template(source: str, role: str = "count") -> Template:
    """Cut a wording; slots of one letter hold numbers of `role` unless they name another; `p` is a percentage."""
    slots: list[tuple[str, str, str, bool]] = []
    position = 0
    for match in _MARKUP.finditer(source):
        given = match["role"] or _ROLE_OF_SLOT.get(
            match["slot"], role if len(match["slot"]) == 1 else ""
        )
        assert not given or given in ROLES, source
        slots.append((source[position : match.start()], match["slot"], given, bool(match["sure"])))
        position = match.end()
    names = {slot for _, slot, _, _ in slots}
    story = not names.isdisjoint({"who", "other", "things"})
    return Template(source, tuple(slots), source[position:], story, len(names & set("xyzvw")))


def weighted(
    frequent: Mapping[str, int], rare: Sequence[str], role: str = "count"
) -> tuple[Template, ...]:
    """Templates as often as their weights say (rare ones once), so that a uniform pick is a weighted one."""
    chosen = [template(source, role) for source, weight in frequent.items() for _ in range(weight)]
    return tuple(chosen + [template(source, role) for source in rare])


def plain(wordings: Sequence[str], role: str = "count") -> tuple[Template, ...]:
    """Templates of equal weight."""
    return weighted({}, wordings, role)


class Page:
    """Collects sentences, separated by one space, with their labels."""

    __slots__ = ("_determined", "_numbers", "_pieces", "length", "sentences")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._numbers: list[LabeledNumber] = []
        self._determined: list[tuple[int, int]] = []
        self.length = 0
        self.sentences = 0

    def add(self, wording: Template, values: Mapping[str, object]) -> None:
        """Append one sentence. A value of the form (head, tail) is a name whose tail is determined."""
        pieces, position = self._pieces, self.length
        if position:
            pieces.append(" ")
            position += 1
        for before, slot, role, sure in wording.slots:
            value = values[slot]
            start = position + len(before)
            if type(value) is tuple:
                head, tail = value
                text = head + tail
                if not sure:
                    self._mark(start + len(head), start + len(text))
            else:
                text = value if type(value) is str else str(value)
            pieces += (before, text)
            position = start + len(text)
            if role:
                self._numbers.append(LabeledNumber(start, position, role))
            if sure:
                self._mark(start, position)
        pieces.append(wording.closing)
        self.length = position + len(wording.closing)
        self.sentences += 1

    def finish(self, domain: str) -> LabeledDocument:
        """The finished document."""
        return LabeledDocument(
            "".join(self._pieces), domain, tuple(self._numbers), tuple(self._determined)
        )

    def _mark(self, start: int, end: int) -> None:
        if start == end:
            return
        if self._determined and self._determined[-1][1] == start:
            self._determined[-1] = (self._determined[-1][0], end)
        else:
            self._determined.append((start, end))
