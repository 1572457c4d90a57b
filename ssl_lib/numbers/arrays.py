"""The fast engine: a whole text at once in NumPy arrays, for texts of some thousand characters.

What it may decide: a run of digits that stands free. This is an integer, a decimal or thousands
with commas, of at most 15 digits (so that its value is exact); before it a blank, a bracket, "$" or
a minus, and no word but one that means nothing for it or makes a date of it; behind it a character
or word that cannot go on with a number, "%", " million" or the "s" of a decade. Every other run is
read by the grammar (`digits.read_run`), and so are words: the arrays only say where a number may
begin. So both engines find the same, which a test holds. Positions count characters.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.before import kind_of, word_before_blank
from ssl_lib.numbers.digits import BEHIND, read_run, scan_of
from ssl_lib.numbers.finder import NumberArrays
from ssl_lib.numbers.forms import FORM_INDEX, Raw, find_patterns
from ssl_lib.numbers.words import FIRST_WORDS, find_words

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_PADDING = 16
_NOT_ASCII, _ODD_DIGIT = 128, 129  # codes of all characters beyond ASCII, and of the digits there
_SPACE, _LINE, _OPENING, _CLOSING, _SQUARE, _DOLLAR, _HYPHEN, _STROKE = b" \n()[$-/"
_PERCENT_SIGN, _POINT, _COMMA, _ZERO, _S = b"%.,0s"
_ODD_DIGITS = re.compile(rf"[\d{lexicon.VULGAR_FRACTIONS}{lexicon.CIRCLED_NUMBERS}]")
_MOST_DIGITS = 15  # such integers are exact in float64, and rounded once by a power of ten
_POWERS = 10.0 ** np.arange(23)
_SCALE_BEHIND = re.compile(
    r" (million|billion|trillion)(?=[.,;)]| [agiknosuvwz(]| l[^a]| t(?!ri|hou|n\b)"
    r"|[ \n](?!Ca|Au)[A-Z][a-z]| (?:b[^inu]|c[^er]|d[^o]|e[^u]|f[^r]|h[^u]|m[^in]|p[^eco]|r[^u]"
    r"|y[^eu]))"
)
_SCALE_POWER = {"million": 6, "billion": 9, "trillion": 12}
_INTEGER, _DECIMAL, _THOUSANDS = (FORM_INDEX[form] for form in ("integer", "decimal", "thousands"))
_PERCENT, _CURRENCY, _DATE = (FORM_INDEX[form] for form in ("percent", "currency", "date_part"))


def columns_of(found: list[Raw]) -> NumberArrays:
    """Numbers that were read one by one, as columns."""
    start, end, value, form = zip(*found, strict=True) if found else ((), (), (), ())
    index = [FORM_INDEX[name] for name in form]
    spans = np.array(start, np.int64), np.array(end, np.int64)
    return NumberArrays(*spans, np.array(value, np.float64), np.array(index, np.uint8))


def find_long(text: str) -> NumberArrays:
    """All numbers of `text`, in order and disjoint."""
    codes = characters(text)
    free, closely = find_free(text, codes)
    words = find_words(text, word_starts(codes))
    others = columns_of(closely + words + find_patterns(text))
    numbers = NumberArrays(
        np.append(free.start, others.start),
        np.append(free.end, others.end),
        np.append(free.value, others.value),
        np.append(free.form, others.form),
    )
    numbers = numbers.at(np.lexsort((-numbers.end, numbers.start)))
    # of two that overlap, the earlier (then the longer) stays
    furthest = np.maximum.accumulate(numbers.end)
    overlapping = np.flatnonzero(numbers.start[1:] < furthest[:-1]) + 1
    kept = np.ones(len(numbers.start), bool)
    last = 0  # the last that stays in front of those that were dropped last
    for place in overlapping.tolist():
        last = place - 1 if kept[place - 1] else last
        kept[place] = numbers.start[place] >= numbers.end[last]
    return numbers.at(kept)


def characters(text: str) -> Bytes:
    """One byte a character, then zeros, so that an index of -1 meets a zero as well."""
    if text.isascii():
        return np.frombuffer(text.encode() + bytes(_PADDING), np.uint8)
    padded = text + "\0" * _PADDING
    wide = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = np.minimum(wide, _NOT_ASCII).astype(np.uint8)
    others = np.flatnonzero(codes == _NOT_ASCII)
    written = wide[others].tobytes().decode("utf-32-le", "surrogatepass")
    odd = [match.start() for match in _ODD_DIGITS.finditer(written)]
    codes[others[np.array(odd, np.int64)]] = _ODD_DIGIT
    return codes


# --- tables over bytes, pairs of bytes and four letters of five bits ---
def _where(letters: str) -> Flags:
    """Which of the 256 bytes are one of the characters."""
    return np.isin(np.arange(256), [ord(letter) for letter in letters])


def _four_letters(words: Iterable[str], last: bool) -> Flags:
    """Which four letters, in either case, are the first or the last of one of the words."""
    table = np.zeros((32, 32, 32, 32), bool)
    for word in words:
        codes: list[int | slice] = [byte & 31 for byte in word.encode()]
        anything: list[int | slice] = [slice(None)] * 4
        places = (anything + codes)[-4:] if last else (codes + anything)[:4]
        table[tuple(places)] = True
    return table.ravel()


def _key(codes: Bytes, places: Places) -> Places:
    """Where the four letters from each place on stand in a table of `_four_letters`."""
    key = np.zeros(len(places), np.int64)
    for offset in range(4):
        key = key << 5 | codes[places + offset] & 31
    return key


_CAPITALS, _SMALL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_IS_CAPITAL = _where(_CAPITALS)
_BEYOND_ASCII = np.arange(256) >= _NOT_ASCII
_IN_WORD = _where("0123456789_" + _CAPITALS + _SMALL) | _BEYOND_ASCII
_JOINS, _MARKS, _OPENS = _where(".,:/'_-"), _where(".:#"), _where(" (\n")
_BLANKS = _where(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f") | _BEYOND_ASCII
# Behind a run: characters that surely end the number, and gaps, behind which words may go on.
_ENDS = ~(_BEYOND_ASCII | _where(_CAPITALS + _SMALL + "%*^(+ \n-"))
_GAPS = _where(" \n-")
# Two characters with which words begin that go on with a number: `BEHIND`, but coarser.
_GOES_ON = np.zeros((256, 256), bool)
_BEGINNINGS = (
    "pe pc po p. pm mi mn bi bn bu tr th tn to of o' an a. am eu ce cr do hu ye yu ru qu la fr +/"
)
for _first, _second in map(str.encode, _BEGINNINGS.split()):
    _GOES_ON[_first, _second] = True
_GOES_ON[_IS_CAPITAL] = ~_where(_SMALL) | _where("aeiorupc")
_GOES_ON[_where("0123456789%*x$ \n") | _BEYOND_ASCII] = True
_GOES_ON[:, _BEYOND_ASCII] = True
_SIGN_ENDS = np.zeros((256, 256), bool)  # of "minus" and "negative"
_SIGN_ENDS[[*b"uv"], [*b"se"]] = True
_SCALE_WORDS = {word[:4] for word in (*lexicon.SCALES, "hundred", "dozen")}
_OTHER_WORDS = {word[:4] for word in FIRST_WORDS} - _SCALE_WORDS
_SCALE_STARTS = _four_letters(_SCALE_WORDS, last=False)
_WORD_STARTS = _four_letters(_OTHER_WORDS, last=False)
_YEAR_WORDS = _four_letters(lexicon.DATE_WORDS, last=True)
_MONTHS = [name[:size] for name in (*lexicon.MONTHS, "Sept") for size in (3, 4, 9)]
_CODES = ["rs", "minus", "negative", *lexicon.CURRENCY_CODES.split("|")]
_WORDS_BEFORE = _four_letters([*lexicon.NAMED, *_MONTHS, *_CODES], last=True)


def word_starts(codes: Bytes) -> list[int]:
    """Where a number in words may begin: nothing that is one is missing, many are none."""
    letter = ((codes | np.uint8(32)) - np.uint8(97)) < 26
    starts = np.flatnonzero(letter[1:] & ~letter[:-1]) + 1
    if letter[0]:
        starts = np.append(0, starts)
    key = _key(codes, starts)
    # scale words begin no number behind digits, which they multiply: "5 million"
    counted = ((codes[starts - 2] - np.uint8(48)) < 10) & (codes[starts - 1] == _SPACE)
    found: list[int] = starts[_WORD_STARTS[key] | (_SCALE_STARTS[key] & ~counted)].tolist()
    return found


class Runs(NamedTuple):
    """The shapes of runs, one entry a run.

    `common`: an integer, a decimal or thousands with commas; then `digits` is the integer that all
    its digits make, `decimals` how many stand behind the point, `form` an index into FORMS.
    """

    start: Places
    end: Places
    common: Flags
    digits: Values
    decimals: Places
    form: Places


def read_runs(codes: Bytes) -> Runs:
    """All runs: groups of digits, and which of them are joined."""
    digit = ((codes - np.uint8(48)) < 10) | (codes == _ODD_DIGIT)
    borders = np.flatnonzero(digit[1:] != digit[:-1]) + 1
    if digit[0]:
        borders = np.append(0, borders)
    starts, ends = borders[0::2], borders[1::2]
    before = codes[starts - 1]
    joined = _JOINS[before]
    joined[1:] &= starts[1:] - ends[:-1] == 1
    joined[:1] = False
    first = np.flatnonzero(~joined)  # group of each run
    count = np.diff(first, append=len(starts))
    last = first + count - 1

    # "1,234.5" has the groups 1, 234 and 5, one comma and one point
    lengths = ends - starts
    comma = joined & (before == _COMMA) & (lengths == 3)
    commas = np.add.reduceat(comma, first, dtype=np.int64)
    point = (count > 1) & (before[last] == _POINT)
    size = np.add.reduceat(lengths, first)
    common = (commas + point == count - 1) & (size <= _MOST_DIGITS)
    zero = codes[starts[first]] == _ZERO  # alone or before a point
    common &= ~zero | ((lengths[first] == 1) & (commas == 0))
    common &= (commas == 0) | (lengths[first] <= 3)
    odd = np.flatnonzero(codes == _ODD_DIGIT)
    common[np.searchsorted(starts[first], odd, side="right") - 1] = False

    values = (codes[starts] - np.uint8(48)).astype(np.float64)  # of the groups
    place, longer = 1, np.flatnonzero(lengths > 1)
    while len(longer) and place < _MOST_DIGITS:
        digit_here = codes[starts[longer] + place] - np.uint8(48)
        values[longer] = values[longer] * 10.0 + digit_here
        place += 1
        longer = longer[lengths[longer] > place]
    digits = values[first]
    for number in range(1, 5):  # 15 digits are at most five groups of three
        more = np.flatnonzero(common & (count > number))
        groups = first[more] + number
        digits[more] = digits[more] * _POWERS[lengths[groups]] + values[groups]
    decimals = np.where(point, lengths[last], 0)
    form = np.select([commas > 0, point], [_THOUSANDS, _DECIMAL], _INTEGER)
    return Runs(starts[first], ends[last], common, digits, decimals, form)


class Before(NamedTuple):
    """What stands before each run. Where `closer` is set, the arrays do not know."""

    closer: Flags
    dollar: Flags
    minus: Flags
    opened: Flags  # by a blank or a bracket
    year: Flags  # a word that makes a year a date ("in")
    month: Flags


def look_before(text: str, codes: Bytes, runs: Runs) -> Before:
    """What stands before the runs; the grammar reads the words that may mean something."""
    start, size = runs.start, runs.end - runs.start
    one, two, three = codes[start - 1], codes[start - 2], codes[start - 3]
    line, bracket = one == _LINE, one == _OPENING
    blank = ((one == _SPACE) | line) & ~_BLANKS[two]
    dollar = (one == _DOLLAR) & ((two == _SPACE) | (two == _OPENING))
    dollar &= ~_SIGN_ENDS[codes[start - 4], three]  # "minus $5"
    minus = (one == _HYPHEN) & _OPENS[two]
    opened = blank | bracket
    closer = ~(opened | dollar | minus | (one == _SQUARE))
    closer |= start <= 16
    # "1." at the start of a line, "(555)"
    after = codes[runs.end]
    listed = line & ((after == _POINT) | (after == _CLOSING))
    closer |= listed & (size <= 3)
    enclosed = (after == _CLOSING) | ((after == _SPACE) & (codes[runs.end + 1] == _CLOSING))
    closer |= bracket & enclosed  # "(23.5) million"

    words = np.flatnonzero(blank & ~closer)
    last = start[words] - 2
    marked = _MARKS[codes[last]]
    last = last - marked
    key = _key(codes, last - 3)
    asked = _WORDS_BEFORE[key] | (_YEAR_WORDS[key] & (size[words] == 4))
    asked |= marked & _MARKS[codes[last]]
    asked |= codes[last] == _DOLLAR
    for place in range(4):
        asked |= codes[last - place] >= _NOT_ASCII
    words = words[asked]
    found = [kind_of(word_before_blank(text, place)) for place in start[words].tolist()]
    kinds = np.array(found, "U6")
    year, month = np.zeros((2, len(start)), bool)
    year[words] = kinds == "date"
    month[words] = kinds == "month"
    closer[words] |= (kinds == "name") | (kinds == "prefix")
    return Before(closer, dollar, minus, opened, year, month)


class Behind(NamedTuple):
    """What stands behind each run. Where `closer` is set, the arrays do not know."""

    closer: Flags
    percent: Flags
    decade: Flags
    power: Places  # of ten, of a scale word
    length: Places  # characters that belong to the number


def look_behind(text: str, codes: Bytes, end: Places, asked: Flags) -> Behind:
    """What stands behind the runs; words are read for those that are `asked` only."""
    one, two, three = codes[end], codes[end + 1], codes[end + 2]
    percent = one == _PERCENT_SIGN
    decade = (one == _S) & ~_IN_WORD[two]
    gap = _GAPS[one]
    closer = ~(_ENDS[one] | gap | percent | decade)
    closer |= two >= _NOT_ASCII
    closer |= (one == _STROKE) & _IS_CAPITAL[two]  # "17/May"
    closer |= (one == _SPACE) & ((two - np.uint8(48)) < 10)  # the run may go on
    power = np.zeros(len(end), np.int64)
    length = percent.astype(np.int64)
    words = np.flatnonzero(asked & gap & ~closer & _GOES_ON[two, three])
    for index, place in zip(words.tolist(), end[words].tolist(), strict=True):
        scale = _SCALE_BEHIND.match(text, place)
        if scale:
            power[index] = _SCALE_POWER[scale[1]]
            length[index] = scale.end() - place
        elif BEHIND.match(text, place):
            closer[index] = True
    return Behind(closer, percent, decade, power, length)


def find_free(text: str, codes: Bytes) -> tuple[NumberArrays, list[Raw]]:
    """All numbers that begin with a digit: those that the arrays decide, and those read closely."""
    runs = read_runs(codes)
    before = look_before(text, codes, runs)
    behind = look_behind(text, codes, runs.end, runs.common & ~before.closer)
    size, digits = runs.end - runs.start, runs.digits
    dressed = behind.percent | (behind.power > 0)
    integer = runs.common & (runs.form == _INTEGER)
    year = integer & (size == 4) & ~dressed
    year &= (digits >= 1000) & (digits < 2200)
    day = integer & (size <= 2) & (digits > 0) & (digits <= 31)
    dated = (before.year & year) | (before.month & (year | day)) | behind.decade
    closer = ~runs.common | before.closer | behind.closer
    closer |= before.dollar & behind.percent
    closer |= before.month & (dressed | ~(day | (size == 4)))
    closer |= behind.decade & ~(integer & (size <= 4) & before.opened)
    # any shape that is not known may be a date, and what follows one closely may belong to it
    cases = [dated | ~runs.common, before.dollar, behind.percent]
    form = np.select(cases, [_DATE, _CURRENCY, _PERCENT], runs.form).astype(np.uint8)
    near = runs.start[1:] - runs.end[:-1] <= 2
    closer[1:] |= near & (form[:-1] == _DATE)

    power = behind.power - runs.decimals
    factor = _POWERS[np.minimum(np.abs(power), 22)]
    value = np.where(power < 0, digits / factor, digits * factor)
    value[before.minus] *= -1.0
    value += 0.0  # no negative zero
    start = runs.start - before.dollar - before.minus
    columns = NumberArrays(start, runs.end + behind.length, value, form)
    free = ~closer
    found = _read_closely(text, runs, columns, free)
    return columns.at(free), found


def _read_closely(text: str, runs: Runs, columns: NumberArrays, free: Flags) -> list[Raw]:
    """The numbers of the runs that are not free; runs that they reach into become such too."""
    found: list[Raw] = []
    scan, count = scan_of(text), len(runs.start)
    begin, finish = runs.start.tolist(), runs.end.tolist()
    floor, date_end = 0, -9
    done = 0  # runs before this one are settled
    for index in np.flatnonzero(~free).tolist():
        if index < done:
            continue
        if index > done:  # the run before is free
            floor = int(columns.end[index - 1])
            date_end = floor if columns.form[index - 1] == _DATE else date_end
        match = scan.match(text, begin[index])
        while match:
            floor, date_end = read_run(text, match, floor, date_end, found)
            done = bisect_left(begin, floor, index + 1)
            free[index:done] = False
            if finish[done - 1] > floor:  # the rest of a run
                match = scan.search(text, floor)
            elif done == count or (free[done] and begin[done] > max(floor, date_end + 2)):
                break
            else:
                free[done] = False
                match = scan.match(text, begin[done])
    return found
