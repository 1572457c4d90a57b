"""How digits are cut into groups: a regular expression for each mode, and cuts through longer runs.

A pattern that looks ahead to the end of a run costs quadratic time, so it looks at most LOOK_DIGITS
ahead, and `pieces` cuts longer runs at borders that the rule itself would have chosen. Runs of
whitespace are cut too: a million of them overflows the matcher's stack.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from ssl_lib.errors import UserError

DIGIT_MODES = ("as_is", "single", "left3", "right3")
LOOK_DIGITS = 30  # multiple of 3, so that a cut run keeps its borders
BLOCK_SPACES = 50_000
# Every run of LOOK_DIGITS digits holds two neighbors among every _STRIDE-th character.
_STRIDE = LOOK_DIGITS // 2

# A point opens decimals after a digit, a sign or nothing ("3.14", ".5"), not after a letter or a
# point ("p.1234", "...1234").
_POINT = r"(?<![\p{L}.])\."
_AFTER_POINT = "|".join(
    rf"(?<={_POINT}\p{{N}}{{{count}}})" for count in range(0, LOOK_DIGITS + 1, 3)
)
_DECIMALS = rf"(?:{_AFTER_POINT})\p{{N}}{{3}}"
_WHOLE = rf"\p{{N}}{{1,3}}(?=(?:\p{{N}}{{3}}){{1,{LOOK_DIGITS // 3}}}(?!\p{{N}}))"

DIGIT_RULES = {
    "single": r"\p{N}",
    "left3": r"\p{N}{1,3}+",  # 12345 → 123 45
    "right3": rf"(?=\p{{N}})(?:\p{{N}}{{1,3}}+(?!\p{{N}})|{_DECIMALS}|{_WHOLE}|\p{{N}}{{1,3}})",
}
_KNOWN_RULES = (*DIGIT_RULES.values(), r" ?\p{N}++", r" ?\p{N}+", r"\p{N}{1,3}")
_LONG_RUN = re.compile(rf"(?<!\d)\d{{{LOOK_DIGITS + 1},}}")
_NEIGHBORS = re.compile(r"\d(?=\d)")


def regroup(pattern: str, digits: str) -> str:
    """The splitting pattern with its alternative for digits replaced by that of the mode `digits`.

    A space before digits becomes a piece of its own. Raises UserError if the pattern has no
    alternative for digits that is known.
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
    """Whether `text` may hold a run of digits or whitespace that must be cut.

    Linear, and false for all ordinary prose.
    """
    if next(_blocks_of_spaces(text), None) is not None:
        return True
    if not from_the_right:
        return False
    for match in _NEIGHBORS.finditer(text[::_STRIDE]):
        start = match.start() * _STRIDE
        if text[start : start + _STRIDE].isdecimal():
            return True
    return False


def pieces(text: str, from_the_right: bool) -> Iterator[str]:
    """Consecutive parts of `text`, each safe to encode.

    They are cut inside long runs only, at borders of digit groups.
    """
    # 40 digits from the right are cut after 10, so that 30 = 10 * 3 remain.
    cuts = {0, len(text), *_blocks_of_spaces(text)}
    if from_the_right:
        for run in _LONG_RUN.finditer(text):
            cuts.update(_cuts_of_run(text, *run.span()))
    return (text[first:last] for first, last in itertools.pairwise(sorted(cuts)))


def _cuts_of_run(text: str, start: int, end: int) -> Iterable[int]:
    """Borders of groups inside a long run of digits."""
    before = text[max(0, start - 2) : start]
    letter = len(before) == 2 and (before[0].isalpha() or before[0] == ".")
    if before.endswith(".") and not letter:  # _POINT, in Python
        rest = end - (end - start) % 3
        return (*range(start + LOOK_DIGITS, end, LOOK_DIGITS), rest)
    return range(end - LOOK_DIGITS, start, -LOOK_DIGITS)


def _blocks_of_spaces(text: str) -> Iterator[int]:
    """Where an aligned block of BLOCK_SPACES spaces starts; a run twice as long holds one."""
    for start in range(0, len(text) - BLOCK_SPACES + 1, BLOCK_SPACES):
        if text[start : start + BLOCK_SPACES].isspace():
            yield start
