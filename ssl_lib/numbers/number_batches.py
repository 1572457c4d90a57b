"""Numbers that begin with a digit, a whole text at once: runs that stand free in arrays, the others one by one.

The arrays decide only what they are sure of; every other run goes through `number_runs.read_match`, so that
`find_digits` finds what `number_runs.find_runs` finds. Positions count characters; a run is digits and separators.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssl_lib.numbers.number_candidates import NOT_ASCII, Bytes, Flags, bytes_where
from ssl_lib.numbers.number_runs import BY_KIND, read_match, scan_of
from ssl_lib.numbers.number_shapes import CIRCLED, FORM_INDEX, VULGAR, Raw
from ssl_lib.numbers.number_surroundings import After, Before, Places, after_runs, before_runs

_ODD_DIGIT = re.compile(rf"[\d{VULGAR}{CIRCLED}]")
_INTEGER, _DECIMAL, _THOUSANDS, _PERCENT, _CURRENCY, _ORDINAL, _DATE = (
    FORM_INDEX[form]
    for form in ("integer", "decimal", "thousands", "percent", "currency", "ordinal", "date_part")
)
_CLOSELY, _HERE, _BY_MEMO = (
    0,
    1,
    2,
)  # how a run is read; the last one with the kind of the word before it added
_MOST_DIGITS = 15  # such integers are exact in float64, and so is their rounding when a power of ten divides them
_POWERS = 10.0 ** np.arange(23)
_JOINS = bytes_where(".,:/'_-")


class Digits(NamedTuple):
    """Numbers as columns of equal length, in order and disjoint; `form` is an index into FORMS."""

    start: Places
    end: Places
    value: npt.NDArray[np.float64]
    form: Places


class _Runs(NamedTuple):
    """Runs of digits joined by separators: where they are and which of them the arrays can read, and how."""

    start: Places
    end: Places
    first: Places  # index of the first group of digits
    count: Places  # groups of digits


def _digit_groups(codes: Bytes) -> tuple[Places, Places]:
    """Starts and ends of all groups of ASCII digits."""
    digit = (codes - np.uint8(48)) < 10
    borders = np.flatnonzero(digit[1:] != digit[:-1]) + 1
    if digit[0]:
        borders = np.concatenate([[0], borders])
    return borders[0::2], borders[1::2]


def _joined(codes: Bytes, starts: Places, ends: Places) -> tuple[_Runs, Flags]:
    """The runs, and which groups are joined to the one before."""
    joined = np.zeros(len(starts), bool)
    joined[1:] = (starts[1:] - ends[:-1] == 1) & _JOINS[codes[ends[:-1]]]
    first = np.flatnonzero(~joined)
    count = np.diff(first, append=len(starts))
    return _Runs(starts[first], ends[first + count - 1], first, count), joined


def _group_values(codes: Bytes, starts: Places, lengths: Places) -> npt.NDArray[np.float64]:
    """The integers that the first 15 digits of the groups make."""
    values = (codes[starts] - np.uint8(48)).astype(np.float64)
    place, longer = 1, np.flatnonzero(lengths > 1)
    while len(longer) and place < _MOST_DIGITS:
        values[longer] = values[longer] * 10.0 + (codes[starts[longer] + place] - np.uint8(48))
        place += 1
        longer = longer[lengths[longer] > place]
    return values


class _Shapes(NamedTuple):
    """One entry a run: whether its shape is common, its digits as an integer, digits behind the point, its form."""

    common: Flags
    digits: npt.NDArray[np.float64]
    behind_point: Places
    form: Places


def _shapes(codes: Bytes, starts: Places, ends: Places, runs: _Runs, joined: Flags) -> _Shapes:
    """Plain integers, thousands with commas, and one point: the shapes that need no grammar."""
    lengths = ends - starts
    before = codes[starts - 1]
    comma = joined & (before == ord(",")) & (lengths == 3)
    last = runs.first + runs.count - 1
    point = (runs.count > 1) & (before[last] == ord("."))
    commas = np.add.reduceat(comma, runs.first, dtype=np.int64)
    size = np.add.reduceat(lengths, runs.first)
    lead, lead_size = codes[runs.start], lengths[runs.first]
    common = (commas + point == runs.count - 1) & (size <= _MOST_DIGITS)
    common &= (lead != ord("0")) | ((lead_size == 1) & (commas == 0))
    common &= (commas == 0) | (lead_size <= 3)
    values = _group_values(codes, starts, lengths)
    digits = values[runs.first]
    for number in range(1, 5):
        more = np.flatnonzero(common & (runs.count > number))
        groups = runs.first[more] + number
        digits[more] = digits[more] * _POWERS[lengths[groups]] + values[groups]
    form = np.where(commas > 0, _THOUSANDS, np.where(point, _DECIMAL, _INTEGER))
    return _Shapes(common, digits, np.where(point, lengths[last], 0), form)


def _read_common(text: str, codes: Bytes) -> tuple[_Runs, Digits, Bytes]:
    """All runs, what each is if it stands free, and how each is to be read: _CLOSELY, _HERE or _BY_MEMO + kind."""
    starts, ends = _digit_groups(codes)
    runs, joined = _joined(codes, starts, ends)
    if not len(starts):
        return runs, Digits(starts, ends, np.zeros(0), starts), np.zeros(0, np.uint8)
    shapes = _shapes(codes, starts, ends, runs, joined)
    before = before_runs(text, codes, runs.start, runs.end)
    after = after_runs(text, codes, runs.end, before.kind != 3)
    form, doubtful = _forms(runs, shapes, before, after)
    free = (before.kind != 3) & ~doubtful
    whole = free & ~shapes.common & before.open & ~before.marked & ~after.near & (after.length == 0)
    whole &= ~(after.month | after.decade | (after.power > 0))
    form[~shapes.common] = _DATE  # it may be one, so what follows closely is not free
    how = np.where(
        free & shapes.common, _HERE, np.where(whole, _BY_MEMO + before.kind, _CLOSELY)
    ).astype(np.uint8)
    how[1:][(runs.start[1:] - runs.end[:-1] <= 2) & (form[:-1] == _DATE)] = _CLOSELY
    value = _scaled(shapes.digits, after.power - shapes.behind_point)
    value[before.minus] *= -1.0
    value += 0.0  # no negative zero
    begin = runs.start - before.dollar - before.minus
    return runs, Digits(begin, runs.end + after.length, value, form), how


def _scaled(digits: npt.NDArray[np.float64], power: Places) -> npt.NDArray[np.float64]:
    """digits * 10**power, rounded once."""
    factor = _POWERS[np.minimum(np.abs(power), len(_POWERS) - 1)]
    return np.where(power < 0, digits / factor, digits * factor)


def _forms(runs: _Runs, shapes: _Shapes, before: Before, after: After) -> tuple[Places, Flags]:
    """The form of each run if it is free, and the runs whose form the arrays do not know."""
    size, dressed = runs.end - runs.start, after.percent | after.currency | (after.power > 0)
    integer = shapes.form == _INTEGER
    year = integer & (size == 4) & (shapes.digits >= 1000) & (shapes.digits < 2200) & ~dressed
    day = integer & (size <= 2) & (shapes.digits > 0) & (shapes.digits <= 31)
    doubtful = after.closer | (before.dollar & after.percent)
    doubtful |= (before.kind == 2) & (dressed | after.ordinal | ~(day | (size == 4)))
    doubtful |= before.marked & (size <= 3)
    doubtful |= after.near & (before.kind > 0)
    doubtful |= after.month & ~(day & before.open)
    doubtful |= after.decade & ~(integer & (size <= 4) & before.open)
    doubtful |= after.ordinal & ((shapes.form == _DECIMAL) | ~before.open)
    form = shapes.form.copy()
    form[
        ((before.kind == 1) & year)
        | ((before.kind == 2) & (year | day))
        | after.month
        | after.decade
    ] = _DATE
    form[after.ordinal] = _ORDINAL
    form[after.percent] = _PERCENT
    form[before.dollar | after.currency] = _CURRENCY
    return form, doubtful


def _odd_digits(text: str, codes: Bytes) -> Places:
    """Where digits of other scripts stand, vulgar fractions and circled numbers among them."""
    places = np.flatnonzero(codes == NOT_ASCII)
    others = "".join([text[place] for place in places.tolist()])
    return places[np.array([match.start() for match in _ODD_DIGIT.finditer(others)], np.int64)]


def _with_odd_digits(
    places: Places, runs: _Runs, common: Digits, how: Bytes
) -> tuple[Places, Places, Digits, Bytes]:
    """The runs' starts and ends with the digits at `places` among them, each a run of its own."""
    if not len(places):
        return runs.start, runs.end, common, how
    order = np.argsort(np.concatenate([runs.start, places]), kind="stable")
    extra = (places, places + 1, np.zeros(len(places)), places)
    columns = (
        np.concatenate([column, more])[order] for column, more in zip(common, extra, strict=True)
    )
    start, end = (
        np.concatenate([runs.start, places])[order],
        np.concatenate([runs.end, places + 1])[order],
    )
    return (
        start,
        end,
        Digits(*columns),
        np.concatenate([how, np.full(len(places), _CLOSELY)])[order],
    )


def _memorised(
    text: str, start: Places, end: Places, form: Places, how: Bytes
) -> dict[int, tuple[Raw, ...]]:
    """The numbers of the runs of uncommon shape by index, from memos; sets their last `form`, or `how` to _CLOSELY."""
    found = {}
    for index in np.flatnonzero(how >= _BY_MEMO).tolist():
        known = BY_KIND[how[index] - _BY_MEMO][text[start[index] : end[index]]]
        if known is None:
            how[index] = _CLOSELY
        else:
            found[index], form[index] = known, known[-1][6]
    return found


def find_digits(text: str, codes: Bytes) -> tuple[Digits, list[Raw]]:
    """All numbers of `text` that begin with a digit: those read in arrays, in order, and those read one by one.

    `codes` is `characters(text)`. All of them together are disjoint.
    """
    starts, ends, common, how = _with_odd_digits(
        _odd_digits(text, codes), *_read_common(text, codes)
    )
    memorised = _memorised(text, starts, ends, common.form, how)
    found = _read_closely(text, starts, ends, common, how)
    for index, known in memorised.items():
        if how[index] >= _BY_MEMO:
            offset = int(starts[index])
            found += [(offset + first, offset + last, *rest) for first, last, *rest in known]
    here = how == _HERE
    return Digits(*(column[here] for column in common)), found


def _read_closely(text: str, starts: Places, ends: Places, common: Digits, how: Bytes) -> list[Raw]:
    """The numbers of the runs that are _CLOSELY to be read; so becomes every other run that they reach into."""
    found: list[Raw] = []
    scan, size = scan_of(text), len(starts)
    begin, finish, last, form = (
        memoryview(column) for column in (starts, ends, common.end, common.form)
    )
    position, date_end, done = 0, -9, 0
    for index in np.flatnonzero(how == _CLOSELY).tolist():
        if index < done:
            continue
        ragged = False
        if index > done:  # the run before was read otherwise
            position = last[index - 1]
            date_end = position if form[index - 1] == _DATE else date_end
        while True:
            match = scan.search(text, position) if ragged else scan.match(text, begin[index])
            if match is None:
                done = size
                break
            position, date_end = read_match(text, match, position, date_end, found)
            done = bisect_left(begin, position, index + 1)
            ragged = finish[done - 1] > position
            free = (
                done < size
                and bool(how[done])
                and begin[done] > position
                and begin[done] - 2 > date_end
            )
            how[index:done] = _CLOSELY
            if not ragged and (done == size or free):
                break
            if not ragged:
                how[done], index = _CLOSELY, done
    return found
