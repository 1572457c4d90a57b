"""Every number in a text: its exact span, its value in float64 and the form it is written in (rules: docs/numbers.md).

One pass looks for runs of digits and reads what stands around them; `number_words` looks for numbers in letters. The
shape of a
run is a pure function of its characters and is memoised. All patterns are possessive or bounded: the time is linear
in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ssl_lib.tokens.number_context import AFTER, DATE_WORDS, NAMED, raw_number, read_run
from ssl_lib.tokens.number_shapes import (
    ANY_RUN,
    ASCII_RUN,
    CIRCLED,
    CURRENCY_CODES,
    FORM_INDEX,
    FORMS,
    MONTHS,
    VULGAR,
    Raw,
    disjoint,
    parts_of,
    pieces_of,
)  # fmt: skip
from ssl_lib.tokens.number_words import find_words

__all__ = ["FORMS", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]


@dataclass(frozen=True, slots=True)
class Number:
    """One number: `text` is `source[start:end]` in characters, `value == sign * mantissa * 10**exponent`.

    `value` and `mantissa` are NaN, `sign` and `exponent` 0, where the number is no usable target (identifiers, 1e400).
    """

    text: str
    start: int
    end: int
    value: float
    sign: int
    exponent: int
    mantissa: float
    form: str


class NumberArrays(NamedTuple):
    """The numbers of one text as columns, all of length N: the fields of `Number`; `form` is an index into `FORMS`."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    sign: np.ndarray
    exponent: np.ndarray
    mantissa: np.ndarray
    form: np.ndarray


_DATE = FORM_INDEX["date_part"]
_MONTH_WORD = re.compile(rf"(?:{MONTHS})\.?")
_CLOSER_LOOK = re.compile(
    rf"[(]?(?:{CURRENCY_CODES}|Rs\.?)|.*[$€£¥₹₽₩₿₺₴₫₪₦฿]|[Mm]inus|[Nn]egative|(?i:{'|'.join(sorted(NAMED))})[:#]?"
)
# Behind a run: group 1 is a common ending that needs no look at what follows it ("%" or " million" before a plain
# word or a
# stop), group 2 says that something stands there that has to be looked at closely.
_BEHIND = (
    r"(?:(%(?= [a-z(]|[.,;)])|(?: million| billion| trillion)(?=[.,;)]| [agiklnostuvwz(]))"
    rf"|(?={AFTER.pattern})())?"
)
_ASCII_SCAN = re.compile(f"(?:{ASCII_RUN.pattern}){_BEHIND}")
_ANY_SCAN = re.compile(f"(?:{ANY_RUN.pattern}){_BEHIND}")
# Where the ASCII patterns would miss something: digits of other scripts, other separators between digits.
_NOT_ASCII = re.compile(rf"[^\x00-\x7f](?:(?<=[\d{VULGAR}{CIRCLED}])|(?<=\d.)(?=\d))")
_MEMO_SIZE = 65536


class _Draft:
    """A `Number` in the making: the same slots, but writable. Filling it and changing its class takes a third of the
    time that
    the constructor of a frozen dataclass does."""

    __slots__ = ("end", "exponent", "form", "mantissa", "sign", "start", "text", "value")


class _Memo(dict[str, Any]):
    """`memo[key]` is `make(key)`, remembered; a hit costs one look-up in C. Forgets everything when it is full."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: str) -> Any:
        if len(self) >= _MEMO_SIZE:
            self.clear()
        value = self._make(key)
        if len(key) <= 64:
            self[key] = value
        return value


def _word_kind(before: str) -> int:
    """What the word in front of a run means for it: 0 nothing, 1 a year may follow, 2 a date follows, 3 it needs a
    closer look."""
    word = (before.split() or [""])[-1]
    if word.lower() in DATE_WORDS:
        return 1
    return 2 if _MONTH_WORD.fullmatch(word) else 3 if _CLOSER_LOOK.fullmatch(word) else 0


def _plain(run: str) -> tuple[Raw, ...]:
    """The numbers of a run with nothing around it, at offset 0."""
    return tuple(raw_number(piece.start, piece.end, parts_of(piece.literal), piece.form) for piece in pieces_of(run))


def _year(run: str) -> tuple[Raw, ...]:
    """The same for a run where a year may stand."""
    year = len(run) == 4 and run.isdecimal() and "1000" <= run < "2200"
    return (raw_number(0, 4, parts_of(run), "date_part"),) if year else _plain(run)


def _day_or_year(run: str) -> tuple[Raw, ...] | None:
    """The same for a run behind a month; None if it needs a closer look."""
    day = len(run) <= 2 and run.isdecimal() and run[0] != "0" and int(run) <= 31
    return (raw_number(0, len(run), parts_of(run), "date_part"),) if day else _year(run) if len(run) == 4 else None


def _dressed(text: str) -> tuple[Raw, ...] | None:
    """The same for a run with a dollar sign before it or one of the common endings behind it."""
    run, ending = text.removeprefix("$").removesuffix("%"), ""
    if " " in run and run[-1] == "n":
        run, ending = run.rsplit(" ", 1)
    pieces = pieces_of(run)
    simple = len(pieces) == 1 and pieces[0].form in ("integer", "decimal", "thousands") and pieces[0].end == len(run)
    if not simple or (text[0] == "$" and text[-1] == "%"):
        return None
    form = "percent" if text[-1] == "%" else "currency" if text[0] == "$" else pieces[0].form
    return (raw_number(0, len(text), parts_of(pieces[0].literal, 0, _FACTORS.get(ending, 1.0)), form),)


_FACTORS = {"million": 1e6, "billion": 1e9, "trillion": 1e12}
_WORD_KINDS, _DRESSED = _Memo(_word_kind), _Memo(_dressed)
_BY_KIND = (_Memo(_plain), _Memo(_year), _Memo(_day_or_year))


def _easy(text: str, start: int, end: int, ending: int | None) -> tuple[int, tuple[Raw, ...] | None]:
    """`(offset, numbers)` of a run in the middle of a line that stands free or in a common dress; None if it needs
    `read_run`."""
    before, kind = text[start - 1], 0
    if before == " ":
        kind = _WORD_KINDS[text[text.rfind(" ", start - 16, start - 1) + 1 : start - 1][-16:]]
        if kind == 3 or (kind == 2 and ending):
            return start, None
    elif before == "$" and text[start - 2] in " (":
        return start - 1, _DRESSED[text[start - 1 : end]]
    elif before != "(":
        return start, None
    return start, _DRESSED[text[start:end]] if ending else _BY_KIND[kind][text[start:end]]


def _find_digits(text: str) -> list[Raw]:
    """All numbers that begin with a digit, in order and disjoint."""
    found: list[Raw] = []
    scan = (_ANY_SCAN if not text.isascii() and _NOT_ASCII.search(text) else _ASCII_SCAN).finditer
    position, date_end, restart = 0, -9, True
    while restart:
        restart = False
        for match in scan(text, position):
            start, end = match.span()
            group = match.lastindex
            if group != 2 and start > position and start > 16 and start - 2 > date_end:
                offset, known = _easy(text, start, end, group)
                if known is not None:
                    for first, last, value, sign, exponent, mantissa, form in known:
                        found.append((offset + first, offset + last, value, sign, exponent, mantissa, form))
                    position = end
                    if form == _DATE:
                        date_end = end
                    continue
            end = end if group != 1 else match.start(1)
            after_date = date_end >= start - 2 and (end - start == 4 or text[start - 1] == "T")
            raws, position = read_run(text, start, end, position, after_date)
            found += raws
            if raws[-1][6] == _DATE:
                date_end = raws[-1][1]
            if position != match.end():
                restart = True
                break
    return found


def _find_raw(text: str) -> list[Raw]:
    digits, words = _find_digits(text), find_words(text)
    return disjoint(digits + words) if digits and words else digits or words


def find_numbers(text: str) -> list[Number]:
    """Every number of `text`, in order, disjoint, with `text[start:end] == number.text`. Never raises; O(len(text))."""
    numbers: list[Number] = []
    for start, end, value, sign, exponent, mantissa, form in _find_raw(text):
        draft = _Draft()
        draft.text, draft.start, draft.end, draft.value = text[start:end], start, end, value
        draft.sign, draft.exponent, draft.mantissa, draft.form = sign, exponent, mantissa, FORMS[form]
        draft.__class__ = Number
        numbers.append(draft)
    return numbers


def find_number_arrays(text: str) -> NumberArrays:
    """The numbers of `find_numbers` as columns (int64, int64, float64, int8, int16, float64, uint8), without
    objects."""
    found = _find_raw(text)
    kinds = (np.int64, np.int64, np.float64, np.int8, np.int16, np.float64, np.uint8)
    return NumberArrays(*(np.array([raw[column] for raw in found], kind) for column, kind in enumerate(kinds)))
