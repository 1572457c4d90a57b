"""How digits are cut into groups: one regular expression for each mode, and safe cuts through runs too long for it.

A pattern that looks ahead to the end of a run costs quadratic time, so it looks at most LOOK_DIGITS ahead, and
`pieces` cuts longer runs at borders that the rule itself would have chosen. Runs of whitespace are cut too: a million
of them overflows the matcher's stack.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ssl_lib.errors import UserError

DIGIT_MODES = ("as_is", "single", "left3", "right3")
LOOK_DIGITS = 30  # multiple of 3, so that a cut run keeps its borders
_STRIDE = (
    LOOK_DIGITS // 2
)  # every run of LOOK_DIGITS digits holds two neighbours among every _STRIDE-th character
BLOCK_SPACES = 50_000

# A point opens decimals after a digit, a sign or nothing ("3.14", ".5"), not after a letter or a point ("p.1234",
# "...1234").
_POINT = r"(?<![\p{L}.])\."
_AFTER_POINT = "|".join(
    rf"(?<={_POINT}\p{{N}}{{{count}}})" for count in range(0, LOOK_DIGITS + 1, 3)
)
_DECIMALS = rf"(?:{_AFTER_POINT})\p{{N}}{{3}}"
_WHOLE = rf"\p{{N}}{{1,3}}(?=(?:\p{{N}}{{3}}){{1,{LOOK_DIGITS // 3}}}(?!\p{{N}}))"

DIGIT_RULES = {
    "single": r"\p{N}",
    "left3": r"\p{N}{1,3}+",
    "right3": rf"(?=\p{{N}})(?:\p{{N}}{{1,3}}+(?!\p{{N}})|{_DECIMALS}|{_WHOLE}|\p{{N}}{{1,3}})",
}
_KNOWN_RULES = (*DIGIT_RULES.values(), r" ?\p{N}++", r" ?\p{N}+", r"\p{N}{1,3}")
_LONG_RUN = re.compile(rf"(?<!\d)\d{{{LOOK_DIGITS + 1},}}")
_NEIGHBOURS = re.compile(r"\d(?=\d)")


def regroup(pattern: str, digits: str) -> str:
    """The splitting pattern with its alternative for digits replaced; a space before digits becomes a piece of its own.

    Raises UserError if the pattern has no alternative for digits that is known.
    """
    if digits == "as_is":
        return pattern
    for rule in _KNOWN_RULES:
        if f"|{rule}|" in pattern:
            return pattern.replace(f"|{rule}|", f"|{DIGIT_RULES[digits]}|", 1)
    raise UserError(
        f"digits={digits!r} cannot be had: this encoding splits digits in an unknown way; use as_is"
    )


def groups_from_the_right(pattern: str) -> bool:
    """Whether the splitting pattern holds the rule of `right3`."""
    return DIGIT_RULES["right3"] in pattern


def has_long_run(text: str, from_the_right: bool) -> bool:
    """Whether `text` may hold a run of digits or whitespace that must be cut; linear, false for all ordinary prose."""
    if any(text[start : start + BLOCK_SPACES].isspace() for start in _whole_blocks(text)):
        return True
    if not from_the_right:
        return False
    hits = (match.start() * _STRIDE for match in _NEIGHBOURS.finditer(text[::_STRIDE]))
    return any(text[start : start + _STRIDE].isdecimal() for start in hits)


def pieces(text: str, from_the_right: bool) -> Iterator[str]:
    """Consecutive parts of `text`, cut inside long runs only, at borders of digit groups; each is safe to encode."""
    cuts = {0, len(text)}
    if from_the_right:
        for run in _LONG_RUN.finditer(text):
            cuts.update(_cuts_of_run(run.start(), run.end(), _opens_decimals(text, run.start())))
    cuts.update(
        start for start in _whole_blocks(text) if text[start : start + BLOCK_SPACES].isspace()
    )
    return (text[first:last] for first, last in itertools.pairwise(sorted(cuts)))


def _opens_decimals(text: str, start: int) -> bool:
    """_POINT, in Python."""
    before = text[max(0, start - 2) : start]
    return before.endswith(".") and not (
        len(before) == 2 and (before[0].isalpha() or before[0] == ".")
    )


def _cuts_of_run(start: int, end: int, decimal: bool) -> Iterator[int]:
    if decimal:
        yield from range(start + LOOK_DIGITS, end, LOOK_DIGITS)
        yield end - (end - start) % 3
    else:
        yield from range(end - LOOK_DIGITS, start, -LOOK_DIGITS)


def _whole_blocks(text: str) -> range:
    """Where the aligned blocks of BLOCK_SPACES characters start; every run twice as long holds one."""
    return range(0, len(text) - BLOCK_SPACES + 1, BLOCK_SPACES)
