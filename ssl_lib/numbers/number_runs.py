"""Numbers that begin with a digit, one run after another: a pattern finds the runs, memos read the common ones.

What stands free or in a common dress is answered from memos; everything else goes to `read_run`. All patterns are
possessive or bounded: the time is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ssl_lib.numbers.number_context import AFTER, DATE_WORDS, NAMED, raw_number, read_run
from ssl_lib.numbers.number_shapes import (
    ANY_RUN,
    ASCII_RUN,
    CURRENCY_CODES,
    FORM_INDEX,
    MONTHS,
    Raw,
    parts_of,
    pieces_of,
)  # fmt: skip

_DATE = FORM_INDEX["date_part"]
_MONTH_WORD = re.compile(rf"(?:{MONTHS})\.?")
_CLOSER_LOOK = re.compile(
    rf".*(?<![A-Za-z])(?:{CURRENCY_CODES}|Rs\.?|[Mm]inus|[Nn]egative)|.*[$€£¥₹₽₩₿₺₴₫₪₦฿]"
    rf"|(?i:{'|'.join(sorted(NAMED))})[:#]?"
)
# Behind a run: group 1 is a common ending that needs no look at what follows it ("%", or " million" before a stop or a
# word that cannot be a unit), group 2 says that something stands there that has to be looked at closely.
BEHIND = (
    r"(?:(%|(?: million| billion| trillion)(?=[.,;)]| [agiknosuvwz(]| l[^a]| t(?!ri|hou|n\b)|[ \n](?!Ca|Au)[A-Z][a-z]"
    r"| (?:b[^inu]|c[^er]|d[^o]|e[^u]|f[^r]|h[^u]|m[^in]|p[^eco]|r[^u]|y[^eu])))"
    rf"|(?={AFTER.pattern})())?"
)
_ASCII_SCAN = re.compile(f"(?:{ASCII_RUN.pattern}){BEHIND}")
_ANY_SCAN = re.compile(f"(?:{ANY_RUN.pattern}){BEHIND}")
_MEMO_SIZE = 65536


class Memo(dict[str, Any]):
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


def _plain(run: str) -> tuple[Raw, ...] | None:
    """The numbers of a run with nothing around it, at offset 0; None if they differ in form, as in "12:30-4"."""
    pieces = pieces_of(run)
    if any(piece.form != pieces[0].form for piece in pieces):
        return None
    return tuple(
        raw_number(piece.start, piece.end, parts_of(piece.literal), piece.form) for piece in pieces
    )


def _year(run: str) -> tuple[Raw, ...] | None:
    """The same for a run where a year may stand; None if it needs a closer look."""
    if not run.isascii():
        return None
    year = len(run) == 4 and run.isdecimal() and "1000" <= run < "2200"
    return (raw_number(0, 4, parts_of(run), "date_part"),) if year else _plain(run)


def _day_or_year(run: str) -> tuple[Raw, ...] | None:
    """The same for a run behind a month; None if it needs a closer look."""
    day = len(run) <= 2 and run.isascii() and run.isdecimal() and run[0] != "0" and int(run) <= 31
    return (
        (raw_number(0, len(run), parts_of(run), "date_part"),)
        if day
        else _year(run)
        if len(run) == 4
        else None
    )


def _dressed(text: str) -> tuple[Raw, ...] | None:
    """The same for a run with a dollar sign before it or one of the common endings behind it."""
    run, ending = text.removeprefix("$").removesuffix("%"), ""
    if " " in run and run[-1] == "n":
        run, ending = run.rsplit(" ", 1)
    pieces = pieces_of(run)
    simple = (
        len(pieces) == 1
        and pieces[0].form in ("integer", "decimal", "thousands")
        and pieces[0].end == len(run)
    )
    if not simple or (text[0] == "$" and text[-1] == "%"):
        return None
    form = "percent" if text[-1] == "%" else "currency" if text[0] == "$" else pieces[0].form
    return (
        raw_number(0, len(text), parts_of(pieces[0].literal, 0, _FACTORS.get(ending, 1.0)), form),
    )


_FACTORS = {"million": 1e6, "billion": 1e9, "trillion": 1e12}
WORD_KINDS, _DRESSED = Memo(_word_kind), Memo(_dressed)
BY_KIND = (Memo(_plain), Memo(_year), Memo(_day_or_year))


def _easy(
    text: str, start: int, end: int, ending: int | None
) -> tuple[int, tuple[Raw, ...] | None]:
    """`(offset, numbers)` of a run in the middle of a line that stands free or in a common dress; None if it needs
    `read_run`."""
    before, kind = text[start - 1], 0
    if before == " " or before == "\n":
        if text[start - 2].isspace() or (
            before == "\n" and text[end : end + 1] in (".", ")")
        ):  # a list marker
            return start, None
        kind = WORD_KINDS[text[text.rfind(" ", start - 16, start - 1) + 1 : start - 1][-16:]]
        if kind == 3 or (kind == 2 and ending):
            return start, None
    elif (
        before == "$"
        and text[start - 2] in " ("
        and text[start - 4 : start - 2] not in ("us", "ve")
    ):  # "minus $5"
        return start - 1, _DRESSED[text[start - 1 : end]]
    elif before != "(" or (end - start == 3 and text[end : end + 1] == ")"):  # "(555) 123-4567"
        return start, None
    return start, _DRESSED[text[start:end]] if ending else BY_KIND[kind][text[start:end]]


def scan_of(text: str) -> re.Pattern[str]:
    """The pattern that finds the runs of `text`."""
    return _ASCII_SCAN if text.isascii() else _ANY_SCAN


def read_match(
    text: str, match: re.Match[str], position: int, date_end: int, found: list[Raw]
) -> tuple[int, int]:
    """Append the numbers of one run to `found`; `(position, date_end)` of the run before it are replaced by its own.

    Nothing before `position` may be used; `date_end` is where the last part of a date ended. The next search begins at
    the position returned.
    """
    start, end = match.span()
    group = match.lastindex
    if group != 2 and start > position and start > 16 and start - 2 > date_end:
        offset, known = _easy(text, start, end, group)
        if known is not None:
            for first, last, value, sign, exponent, mantissa, form in known:
                found.append((offset + first, offset + last, value, sign, exponent, mantissa, form))
            return end, end if found[-1][6] == _DATE else date_end
    end = end if group != 1 else match.start(1)
    after_date = date_end >= start - 2 and (end - start == 4 or text[start - 1] == "T")
    raws, position = read_run(text, start, end, position, after_date)
    found += raws
    return position, raws[-1][1] if raws[-1][6] == _DATE else date_end


def find_runs(text: str) -> list[Raw]:
    """All numbers that begin with a digit, in order and disjoint; one run after another."""
    found: list[Raw] = []
    scan, position, date_end, restart = scan_of(text).finditer, 0, -9, True
    while restart:
        restart = False
        for match in scan(text, position):
            position, date_end = read_match(text, match, position, date_end, found)
            if position != match.end():
                restart = True
                break
    return found
