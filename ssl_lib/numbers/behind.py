"""What may stand behind the digits of a number and belong to it: powers, scales, units, ranges.

All patterns are possessive or bounded, so the time is linear.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ssl_lib.numbers import lexicon

_RAISED = rf"(?:\^|\*\*)[({{]?([-+−]?[0-9]{{1,6}}+)[)}}]?|([⁻⁺]?[{lexicon.SUPERSCRIPTS}]{{1,6}}+)"
# "e23", " × 10^23"
_POWER = re.compile(
    r"[eE]([-+−]?[0-9]++)(?![A-Za-z0-9_]|-[0-9a-fA-F]{4}-)"
    rf"|[ \u00a0]?(?:[×x*·⋅]|\\times)[ \u00a0]?10(?:{_RAISED})"
    # superscripts that were lost: "1×10−5", "3 × 106"
    r"|[ \u00a0]?[×x*·⋅][ \u00a0]?10 ?(−\d{1,3})(?!\d)"
    r"|[ \u00a0]?[×*·⋅][ \u00a0]?10([-–]\d{1,2})(?!\d| rep)"
    r"|(?<=\.\d) ?x ?10(-\d{1,2})(?!\d)|(?<=\.\d\d) ?x ?10(-\d{1,2})(?!\d)"
)
# of a mantissa in [1, 10): 3 × 106, but 5 × 100 and 1920×1080
_LOST_POWER = re.compile(r"[ \u00a0]?×[ \u00a0]?10([3-9]|1\d|2[0-4])(?![\d.,×]\d|\d| ?[×x] ?\d)")
_RAISED_TO = re.compile(_RAISED)
_PLAIN_DIGITS = str.maketrans(lexicon.SUPERSCRIPTS + "⁻⁺−–", "0123456789-+--")
ORDINAL = re.compile(r"(?:(?:st|nd|rd|th|ST|ND|RD|TH)|[ºª])(?![A-Za-z0-9])")
LETTERS = re.compile(r"[°A-Za-zÅµμΩ]++")
# "3M" is a firm and "1B" a door, but "over 3M", "3M users" and "3M people" are amounts.
_ABOUT = frozenset("about over under than nearly almost around approximately some to of".split())
_COUNTED = re.compile(r"[ \n](?:people|(?!is|was|has|as|its|this|does|says|makes)[a-z]+s)\b")
# "½" of 3½, " 1/2" of 3 1/2, " and 1/4", " and a half"
MIXED = re.compile(
    rf"[ \u00a0-]?([{lexicon.VULGAR_FRACTIONS}])"
    r"|(?:[ -]| and )([1-9]\d?)[/⁄](2|3|4|5|6|8|10|12|16|32|64)(?![\d/])"
    r"|[ \n]and[ \n]a[ -](half|quarter)\b"
)
GAP = r"(?:[ \u00a0]{1,2}| ?\n {0,8}|-)"  # between the words of a number
# " million", "-dozen", "  thousand"
_SCALE = re.compile(rf"{GAP}?({'|'.join(lexicon.SCALES_BEHIND)})s?\b", re.IGNORECASE)
_PERCENT = re.compile(
    rf"[ \u00a0\u202f-]?[%‰％٪]|{GAP}?(?:percent|per cent|per mille|pct|Prozent|pour cent)\b"
)
_CURRENCY = re.compile(
    rf"[ \u00a0\u202f]?[€£¥₹₽₩¢]|{GAP}(?:{lexicon.CURRENCY_CODES}|{lexicon.CURRENCY_WORDS})\b"
)
# "and one" of "3 hundred and one"
_AND_COUNT = re.compile(
    r"(?<=hundred|housand)[ \n]and[ \n]([a-z]++)(?:-([a-z]++))?(?! (?:of|other|another))"
)
# "(4)" of 1.23(4), "± 0.2" of 5 ± 0.2
UNCERTAINTY = re.compile(
    r"\(\d{1,3}\)|[ \u00a0]?(?:±|\+/?[-−])[ \u00a0]?(?:\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})"
    r"(?![\d/:]|[.,-]\d)"
)
# the upper end of a range, "to $20"; the scale and unit behind it count for both ends
UPPER = re.compile(
    rf"(?: to |[-–—]| (and) )([{lexicon.CURRENCY_SIGNS}]?)"
    r"((?:\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?:\.\d{1,9})?)(?![.,-]?\d)"
)


def power_of_ten(text: str, end: int, literal: str) -> tuple[int, int] | None:
    """`(end, exponent)` of "e23" and " × 10^23", and of "^6" or "⁶" behind a bare 10."""
    found = _POWER.match(text, end)
    zeros = 0
    if found is None and literal == "10":
        found, zeros = _RAISED_TO.match(text, end), 1
    if found is None and literal[1:2] in ("", ".") and literal[:1] not in ("", "0"):
        found = _LOST_POWER.match(text, end)
    if found is None:
        return None
    digits = found[found.lastindex or 0].translate(_PLAIN_DIGITS)
    exponent = 99999  # beyond float64
    if len(digits) < 8:
        exponent = int(digits.lstrip("+-")[:6])
    if digits[0] == "-":
        exponent = -exponent
    return found.end(), exponent - zeros


def counts(text: str, start: int, end: int, word: str) -> bool:
    """Whether one digit and M or B are an amount: "over 3M", "3M users", not the firm 3M."""
    return end - start > 1 or word.lower() in _ABOUT or bool(_COUNTED.match(text, end + 1))


def scale_behind(text: str, end: int) -> tuple[int, float]:
    """`(end, factor)` of the scale words behind `end`: " hundred thousand" gives 1e5."""
    factor = 1.0
    for _ in range(2):
        found = _SCALE.match(text, end)
        if found is None:
            break
        end = found.end()
        factor *= lexicon.SCALES_BEHIND[found.group(1).lower()]
    return end, factor


def unit_behind(text: str, end: int, form: str) -> tuple[int, str]:
    """`(end, form)` with the percent or currency word or sign behind `end`, if there is one."""
    if found := _PERCENT.match(text, end):
        return found.end(), "percent"
    if found := _CURRENCY.match(text, end):
        return found.end(), "currency"
    return end, form


def and_count(text: str, end: int) -> tuple[int, float]:
    """`(end, count)` of the words behind a hundred: " and one" of "3 hundred and one"."""
    found = _AND_COUNT.match(text, end)
    if found is None:
        return end, 0.0
    tens, ones = found.groups()
    if ones:
        if tens not in lexicon.TENS or ones not in lexicon.ONES:
            return end, 0.0
        return found.end(), float(lexicon.TENS[tens] + lexicon.ONES[ones])
    count = lexicon.COUNTS.get(tens)
    return (found.end(), float(count)) if count else (end, 0.0)


class Upper(NamedTuple):
    """The scale and the unit that the upper end of a range gives the lower: "10 to 20 million"."""

    factor: float = 1.0
    power: int = 0
    form: str = ""


def upper_behind(text: str, end: int, lower: float, between: bool) -> Upper:
    """What the upper end of a range behind `end` shares with the lower, if that is smaller.

    "900 to 1.2 million" shares nothing. Between "and" stands, after "between".
    """
    found = UPPER.match(text, end)
    if found is None or (found[1] and not between):
        return Upper()
    if float(found[3].replace(",", "")) <= lower:
        return Upper()
    letters, finish, power = LETTERS.match(text, found.end()), found.end(), 0
    if letters and letters[0] in lexicon.SCALE_LETTERS and (found[2] or letters[0] not in "mbT"):
        finish, power = letters.end(), lexicon.SCALE_LETTERS[letters[0]]
    finish, factor = scale_behind(text, finish)
    return Upper(factor, power, unit_behind(text, finish, "currency" if found[2] else "")[1])
