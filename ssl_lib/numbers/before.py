"""The word before a number, and what it means for it."""

from __future__ import annotations

import re
from functools import lru_cache

from ssl_lib.numbers import lexicon

# "Q" of Q3, "FY" of FY2024
PERIOD_BEFORE = re.compile(r"(?<![A-Za-z0-9])(?:Q|FY)$")
_MONTH_WORD = re.compile(rf"(?:{lexicon.MONTH})\.?")
_PREFIX_WORD = re.compile(
    rf".*(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?|[Mm]inus|[Nn]egative)"
    rf"|.*[{lexicon.CURRENCY_SIGNS}]"
)
# " 500 mg tablets"
_DOSE = re.compile(rf" \d{{3}}[ -]?(?:{'|'.join(lexicon.DOSES)})[ -][a-z]++(?<=s)(?![A-Za-z])")


def apart(text: str, start: int, end: int, word: str) -> bool:
    """Whether a blank parts two numbers: "Q2 150", "May 5 200", "Phase 3 120", "2 500 mg tablets".

    One group of three behind one or two digits: the first belongs to what stands before.
    """
    head = text.index(" ", start)
    if end - head != 4 or head - start > 2 or text.endswith("000", start, end):
        return False
    if PERIOD_BEFORE.search(text, max(0, start - 3), start) or _DOSE.match(text, head):
        return True
    labeled = word.lower() in lexicon.ROMAN_PARTS or word.lower() in lexicon.LABELED
    return labeled or (kind_of(word) == "month" and int(text[start:head]) <= 31)


def word_before_blank(text: str, start: int) -> str:
    """The word before the one blank in front of `start`, at most 13 characters of it."""
    lead = text[max(0, start - 14) : start - 1]
    if not lead or lead[-1].isspace():
        return ""
    return lead.split()[-1]


@lru_cache(maxsize=65536)
def kind_of(word: str) -> str:
    """What the word before a number means for it.

    "date": a year may follow; "month": a date follows; "name": an identifier may follow ("Room");
    "prefix": a currency or a sign ("USD", "minus"); "": nothing.
    """
    lower = word.lower()
    if lower in lexicon.DATE_WORDS:
        return "date"
    if _MONTH_WORD.fullmatch(word):
        return "month"
    if lower.rstrip(":#") in lexicon.NAMED:
        return "name"
    return "prefix" if _PREFIX_WORD.fullmatch(word) else ""
