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

from ssl_lib.tokens.number_candidates import NOT_ASCII, Bytes, Flags, bytes_where
from ssl_lib.tokens.number_context import DATE_WORDS, MONTH_AFTER, NAMED
from ssl_lib.tokens.number_runs import BEHIND, WORD_KINDS, Memo, read_match, scan_of
from ssl_lib.tokens.number_shapes import CIRCLED, CURRENCY_CODES, FORM_INDEX, MONTH_NAMES, VULGAR, Raw, unit_after

Places = npt.NDArray[np.int64]

_ODD_DIGIT = re.compile(rf"[\d{VULGAR}{CIRCLED}]")
_BEHIND = re.compile(BEHIND)
_INTEGER, _DECIMAL, _THOUSANDS, _PERCENT, _CURRENCY, _ORDINAL, _DATE = (
    FORM_INDEX[form] for form in ("integer", "decimal", "thousands", "percent", "currency", "ordinal", "date_part")
)
_MOST_DIGITS = 15  # such integers are exact in float64, and so is their rounding when a power of ten divides them
_POWERS = 10.0 ** np.arange(23)
_SCALE_POWER = {"m": 6, "b": 9, "t": 12}


_JOINS = bytes_where(".,:/'_-")
# What may stand behind a free run: 0 anything else (a closer look), 1 surely nothing of it, 2 a blank or hyphen.
_FREE_AFTER = np.zeros(256, np.uint8)
_FREE_AFTER[:128] = 1
_FREE_AFTER[[ord(c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz%*^"]] = 0
_FREE_AFTER[[ord(c) for c in " \n-"]] = 2
_BLANK_BEFORE = bytes_where(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f") | (np.arange(256) >= NOT_ASCII)


_OPENS = bytes_where(" (\n")
_WORD = bytes_where("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") | (np.arange(256) >= NOT_ASCII)
_MINUS_ENDS = np.zeros(65536, bool)
_MINUS_ENDS[[ord("u") << 8 | ord("s"), ord("v") << 8 | ord("e")]] = True
_ORDINALS = np.zeros(65536, bool)
_ORDINALS[[ord(one) << 8 | ord(two) for one, two in ("st", "nd", "rd", "th", "ST", "ND", "RD", "TH")]] = True


def _pairs_behind() -> Flags:
    """A table over two bytes: pairs with which a word that belongs to the number may begin, behind a blank."""
    table = np.zeros((256, 256), bool)
    pairs = "pe pc po p. pm mi mn bi bn bu tr th tn of an a. am eu ce cr do hu ye yu ru qu la fr"
    for pair in pairs.split():
        table[ord(pair[0]), ord(pair[1])] = True
    table[ord("o")] |= bytes_where("f'\x80")
    table[48:58] = True
    capitals, small = slice(65, 91), bytes_where("aeupco.S")
    table[capitals, capitals] = True
    table[capitals] |= small
    for lead in "%*x":
        table[ord(lead)] = True
    table[NOT_ASCII:] = table[:, NOT_ASCII:] = True
    return table.ravel()


_WHOLE_WORDS = [*DATE_WORDS, *NAMED, *MONTH_NAMES]
_WORD_ENDS = ["rs", "minus", "negative", *CURRENCY_CODES.lower().split("|")]
_SPACES = [ord(character) & 31 for character in " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"]


def _suffixes_before() -> Flags:
    """A table over four times five bits: the last four characters of words that matter in front of a number."""
    table = np.zeros((32, 32, 32, 32), bool)
    for words, lead in ((_WHOLE_WORDS, _SPACES), (_WORD_ENDS, list(range(32)))):
        for word in words:
            codes = [[ord(letter) & 31] for letter in word[-4:]]
            if len(codes) < 4:
                codes.insert(0, lead)
            table[np.ix_(*[list(range(32))] * (4 - len(codes)), *codes)] = True
    return table.ravel()


_PAIRS, _SUFFIXES = _pairs_behind(), _suffixes_before()
_MARKS = bytes_where(".:#")


def _may_matter(codes: Bytes, start: Places) -> Flags:
    """Whether the word in front of each start, one blank between them, may be one that matters; few others pass."""
    last = start - 2
    signs = (codes[last] == ord("$")) | (codes[last] >= NOT_ASCII)
    last = last - _MARKS[codes[last]]
    letters = np.zeros(len(start), np.int64)
    for place in range(4):
        letter = codes[last - place]
        signs |= letter >= NOT_ASCII
        letters |= (letter & 31).astype(np.int64) << 5 * place
    return signs | _SUFFIXES[letters]


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


class _Before(NamedTuple):
    """What stands before each run: kinds as in `number_runs` (3: a closer look), and what belongs to it."""

    kind: npt.NDArray[np.uint8]
    dollar: Flags
    minus: Flags
    open: Flags  # after a blank or bracket, where dates may stand
    area: Flags  # in brackets, as area codes are


def _before(text: str, codes: Bytes, start: Places, end: Places) -> _Before:
    one, two, three = (codes[start - place] for place in (1, 2, 3))
    spaced = (one == ord(" ")) & ~_BLANK_BEFORE[two]
    bracket = one == ord("(")
    dollar = (one == ord("$")) & ((two == ord(" ")) | (two == ord("(")))
    dollar &= ~_MINUS_ENDS[(codes[start - 4].astype(np.int64) << 8) | three]
    signed_dollar = (one == ord("$")) & (two == ord("-")) & _OPENS[three]
    minus = ((one == ord("-")) & _OPENS[two]) | signed_dollar
    free = spaced | bracket | dollar | minus | (one == ord("["))
    kinds = np.where(free & (start > 16), 0, 3).astype(np.uint8)
    known = np.flatnonzero(spaced & (start > 16))
    known = known[_may_matter(codes, start[known])]
    find, words = text.rfind, WORD_KINDS
    kinds[known] = [words[text[find(" ", p - 16, p - 1) + 1 : p - 1][-16:]] for p in start[known].tolist()]
    rates = np.flatnonzero((one == ord("/")) & (start > 16))
    kinds[rates] = [_RATES[text[find(" ", p - 16, p - 1) + 1 : p][-16:]] for p in start[rates].tolist()]
    return _Before(kinds, dollar | signed_dollar, minus, spaced | bracket, bracket & (codes[end] == ord(")")))


def _rate(before: str) -> int:
    """0 if the number is free behind the word and stroke ("births/"), 3 if it may be part of an address or a path."""
    return 0 if len(before) < 16 and _RATE.fullmatch(before) else 3


_RATE = re.compile(r"[A-Za-z]+(?:\(s\))?/")
_RATES = Memo(_rate)


class _After(NamedTuple):
    """What stands behind each run. Where `closer` is set, the arrays do not know."""

    closer: Flags
    percent: Flags
    power: Places  # of ten, of the scale word
    length: Places  # characters of scale word or "th" that belong to the number
    month: Flags
    decade: Flags
    ordinal: Flags


def _after(text: str, codes: Bytes, end: Places, wanted: Flags) -> _After:
    one, two, three = (codes[end + place] for place in range(3))
    after = _FREE_AFTER[one]
    percent = one == ord("%")
    decade = (one == ord("s")) & ~_WORD[two]
    ordinal = _ORDINALS[(one.astype(np.int64) << 8) | two] & ~_WORD[three]
    unsure = (two >= NOT_ASCII) | ((one == ord(" ")) & ((two - np.uint8(48)) < 10))  # the run may go on
    closer = (after == 0) & ~(percent | decade | ordinal) | unsure
    power, length = np.zeros(len(end), np.int64), 2 * ordinal
    month = np.zeros(len(end), bool)
    looked = np.flatnonzero(wanted & ~closer & (after == 2) & _PAIRS[two.astype(np.int64) << 8 | three])
    match, date = _BEHIND.match, MONTH_AFTER.match
    for index, place in zip(looked.tolist(), end[looked].tolist(), strict=True):
        found = match(text, place)
        if found is None or found.lastindex is None:
            continue
        if found.lastindex == 1:
            power[index], length[index] = _SCALE_POWER[text[place + 1]], found.end() - place
        elif date(text, place):
            month[index] = True
        else:
            closer[index] = True
    for index in np.flatnonzero(wanted & ordinal & ~closer).tolist():
        place = int(end[index]) + 2
        closer[index] = unit_after(text, place, "")[0] != place
    return _After(closer, percent, power, length, month, decade, ordinal)


def _read_common(text: str, codes: Bytes) -> tuple[_Runs, Digits, Flags]:
    """All runs, what each is if it stands free, and which of them do."""
    starts, ends = _digit_groups(codes)
    runs, joined = _joined(codes, starts, ends)
    if not len(starts):
        return runs, Digits(starts, ends, np.zeros(0), starts), np.zeros(0, bool)
    shapes = _shapes(codes, starts, ends, runs, joined)
    before = _before(text, codes, runs.start, runs.end)
    easy = shapes.common & (before.kind != 3)
    after = _after(text, codes, runs.end, easy)
    form, doubtful = _forms(runs, shapes, before, after)
    easy &= ~doubtful
    easy[1:] &= (runs.start[1:] - runs.end[:-1] > 2) | (form[:-1] != _DATE)
    value = _scaled(shapes.digits, after.power - shapes.behind_point)
    value[before.minus] *= -1.0
    value += 0.0  # no negative zero
    begin = runs.start - before.dollar - before.minus
    return runs, Digits(begin, runs.end + after.percent + after.length, value, form), easy


def _scaled(digits: npt.NDArray[np.float64], power: Places) -> npt.NDArray[np.float64]:
    """digits * 10**power, rounded once."""
    factor = _POWERS[np.minimum(np.abs(power), len(_POWERS) - 1)]
    return np.where(power < 0, digits / factor, digits * factor)


def _forms(runs: _Runs, shapes: _Shapes, before: _Before, after: _After) -> tuple[Places, Flags]:
    """The form of each run if it is free, and the runs whose form the arrays do not know."""
    size, dressed = runs.end - runs.start, after.percent | (after.power > 0)
    integer = shapes.form == _INTEGER
    year = integer & (size == 4) & (shapes.digits >= 1000) & (shapes.digits < 2200) & ~dressed
    day = integer & (size <= 2) & (shapes.digits > 0) & (shapes.digits <= 31)
    doubtful = after.closer | (before.dollar & after.percent)
    doubtful |= (before.kind == 2) & (dressed | after.ordinal | ~(day | (size == 4)))
    doubtful |= before.area & (size == 3)
    doubtful |= after.month & ~(day & before.open)
    doubtful |= after.decade & ~(integer & (size <= 4) & before.open)
    doubtful |= after.ordinal & ((shapes.form == _DECIMAL) | ~before.open)
    form = shapes.form.copy()
    form[((before.kind == 1) & year) | ((before.kind == 2) & (year | day)) | after.month | after.decade] = _DATE
    form[after.ordinal] = _ORDINAL
    form[after.percent] = _PERCENT
    form[before.dollar] = _CURRENCY
    return form, doubtful


def _odd_digits(text: str, codes: Bytes) -> Places:
    """Where digits of other scripts stand, vulgar fractions and circled numbers among them."""
    places = np.flatnonzero(codes == NOT_ASCII)
    others = "".join([text[place] for place in places.tolist()])
    return places[np.array([match.start() for match in _ODD_DIGIT.finditer(others)], np.int64)]


def _with_odd_digits(places: Places, runs: _Runs, common: Digits, easy: Flags) -> tuple[Places, Places, Digits, Flags]:
    """The runs' starts and ends with the digits at `places` among them, each a run of its own."""
    if not len(places):
        return runs.start, runs.end, common, easy
    order = np.argsort(np.concatenate([runs.start, places]), kind="stable")
    extra = (places, places + 1, np.zeros(len(places)), places)
    columns = (np.concatenate([column, more])[order] for column, more in zip(common, extra, strict=True))
    start, end = np.concatenate([runs.start, places])[order], np.concatenate([runs.end, places + 1])[order]
    return start, end, Digits(*columns), np.concatenate([easy, np.zeros(len(places), bool)])[order]


def find_digits(text: str, codes: Bytes) -> tuple[Digits, list[Raw]]:
    """All numbers of `text` that begin with a digit: those read in arrays, and those read one by one.

    `codes` is `characters(text)`. Both are in order, and all of them together are disjoint.
    """
    starts, ends, common, easy = _with_odd_digits(_odd_digits(text, codes), *_read_common(text, codes))
    found: list[Raw] = []
    scan, size = scan_of(text), len(starts)
    begin, finish, dated = starts.tolist(), ends.tolist(), (common.form == _DATE).tolist()
    last, free = common.end.tolist(), easy.tolist()
    position, date_end, done = 0, -9, 0
    for index in np.flatnonzero(~easy).tolist():
        if index < done:
            continue
        ragged = False
        if index > done:  # the run before was read in an array
            position = last[index - 1]
            date_end = position if dated[index - 1] else date_end
        while True:
            match = scan.search(text, position) if ragged else scan.match(text, begin[index])
            if match is None:
                done = size
                break
            position, date_end = read_match(text, match, position, date_end, found)
            done = bisect_left(begin, position, index + 1)
            ragged = finish[done - 1] > position
            easy[index:done] = False
            if not ragged and (done == size or (free[done] and begin[done] > position and begin[done] - 2 > date_end)):
                break
            if not ragged:
                easy[done], index = False, done
    return Digits(*(column[easy] for column in common)), found
