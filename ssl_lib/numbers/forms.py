"""The forms of numbers, and what the characters of a number tell by themselves.

A form that one pattern tells is an entry of `PATTERNS`; docs/numbers.md adds one. The others are
told by the shape of a run of digits (`shape_of`), by what stands around it (`digits`), or by words
(`words`).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.scale import usable

# Where a number starts and ends, in characters, what it is worth (NaN: no amount), and its form.
Raw = tuple[int, int, float, str]


class Form(NamedTuple):
    """A form that one pattern tells; it is looked for in the whole text, by both engines.

    The number is what `pattern` matches, or its group `number`. `value` says what it is worth: NaN
    if it is no amount, None if it is no number where it stands (`match.string` is the text). Of two
    numbers that overlap, the one that starts earlier is kept, then the longer.
    """

    name: str
    pattern: re.Pattern[str]
    value: Callable[[re.Match[str]], float | None]


# --- Roman numerals: after a part word, a name or a ruler, before "century", and "(iv)" ---
_ROMAN = re.compile(
    r"[IVXLCDM](?=[IVXLCDM ,.;:)\n]|$)(?:(?<=[ \n(\u00a0].)|(?<=\A.))[IVXLCDM]*+"
    r"(?![A-Za-z0-9_’'&.](?!\s|$)|-[A-Z])"
)
_BRACKETED = re.compile(r"\((?<![A-Za-z0-9].)(?P<number>x?(?:ix|iv|v?i{0,3}))\)")
_CANONICAL = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_WORD_BEFORE = re.compile(r"([A-Za-z]++)[ \n\u00a0]\(?$")
_WORD_BEHIND = re.compile(r"[ \n\u00a0-]([A-Za-z]++)")
_NO_NAMES = frozenset(
    "The A An This That In On And But Or If When While For With My His Her Our Its As At To Of By "
    "From I".split()
)
_AFTER_ORDINALS = ("century", "Century", "centuries", "Corps", "Olympiad")
_AFTER_RULERS = ("", "of", "was", "and", "died", "ruled", "reigned", "became")
_LETTERS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


@lru_cache(maxsize=4096)
def _roman_value(letters: str) -> int:
    """Value of a canonical Roman numeral; 0 for letters that are none."""
    if len(letters) > 15 or not _CANONICAL.fullmatch(letters):
        return 0
    total = largest = 0
    for letter in reversed(letters):
        value = _LETTERS[letter]
        largest = max(largest, value)
        total += value if value == largest else -value  # the I of IX counts against it
    return total


def _roman(match: re.Match[str]) -> float | None:
    """The value of letters that are clearly a numeral; None for "an IV drip" and "I am"."""
    text, letters, start = match.string, match.group(), match.start()
    value = _roman_value(letters)
    if not value:
        return None
    head = _WORD_BEFORE.search(text, max(0, start - 20), start)
    tail = _WORD_BEHIND.match(text, match.end())
    name = head.group(1) if head else ""
    after = tail.group(1) if tail else ""
    single = len(letters) == 1
    if name.lower() in lexicon.ROMAN_PARTS and (name[0].isupper() or not single):
        return value  # "Chapter V", "chapter IV"
    if single:
        ruler = name in lexicon.RULERS and after in _AFTER_RULERS and letters in "IVX"
        possessive = text.startswith("'", match.end())
        return value if ruler and not possessive else None
    if after in _AFTER_ORDINALS:
        return value
    named = name[:1].isupper() and not name.isupper() and name not in _NO_NAMES
    initials = not set(letters) <= set("IVX") and len(letters) < 4
    return value if named and not initials and after not in ("drip", "fluids") else None


def _bracketed(match: re.Match[str]) -> float | None:
    letters = match["number"].upper()
    return None if letters == "X" else _roman_value(letters) or None


PATTERNS = (
    Form("roman", _ROMAN, _roman),
    Form("list_marker", _BRACKETED, _bracketed),
)

# A token store keeps the place of a form in this list, so new ones come last.
_NAMES = (
    "integer decimal thousands scientific percent currency ordinal fraction date_part time_part "
    "identifier roman spelled list_marker".split()
)
FORMS = tuple(dict.fromkeys([*_NAMES, *(form.name for form in PATTERNS)]))
FORM_INDEX = {form: index for index, form in enumerate(FORMS)}


def find_patterns(text: str) -> list[Raw]:
    """All numbers of `text` that an entry of `PATTERNS` tells, in no order."""
    found: list[Raw] = []
    for form in PATTERNS:
        group = "number" if "number" in form.pattern.groupindex else 0
        for match in form.pattern.finditer(text):
            value = form.value(match)
            if value is not None:
                found.append((*match.span(group), float(value), form.name))
    return found


# --- the shape of a run of digits and separators ---
LONGEST = 400  # characters; float64 ends at 309 digits, so longer runs have no finite value
_WHOLE = re.compile(
    r"(?P<iso>(?:1\d|2[01])\d\d([-/.])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12]\d|3[01]))"
    r"|(?P<date>(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\4(?:1[5-9]|20)\d\d"
    r"|(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|[12]\d|3[01])/\d\d)"
    r"|(?P<years>(?:1[5-9]|20)\d\d[-–—/](?:(?:1[5-9]|20)\d\d|\d\d)|\d\d?/0\d|0\d/\d\d?\d?\d?)"
    r"|(?P<phone>\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d\d-\d{4}|\d-\d{3}-\d{3}-\d{4}|555-\d{4}"
    r"|\d{3}-0\d{3}|0\d+(?:-\d+){2,}|(?=(?:-?\d){7})\d+(?:-\d+){3,}|(?:\d\d:){5}\d\d)"
    r"|(?P<address>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:[:/]\d+)?)"
    r"|(?P<idiom>24/7|9/11|7/7)"
    r"|(?P<stamp>(?:19|20)\d\d:[0-2]\d:[0-5]\d:[0-5]\d)"
)
_SHAPE = re.compile(
    r"(?P<thousands>[1-9]\d{0,2}([,'’_ \u00a0\u202f\u2009٬])\d{3}(?:\2\d{3})*(?:\.\d+)?"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?)"
    r"|(?P<european>[1-9]\d{0,2}(?:\.\d{3})+,\d{1,2}|[1-9]\d{0,2}(?:\.\d{3}){2,})"
    r"|(?P<decimal>(?:0|[1-9]\d*)[.٫]\d+)"
    r"|(?P<integer>0|[1-9]\d*)"
    r"|(?P<time_part>(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?)"
    r"|(?P<fraction>[1-9]\d{0,2}[/⁄][1-9]\d{0,3})"
    r"|(?P<mixed>[1-9]\d?-[1-9]\d?/(?:2|3|4|8|16|32|64))"
    r"|(?P<identifier>\d+(?:\.\d+){2,}|0\d+(?:\.\d+)?|\d+(?:_\d+)+)"
)
_DIGITS = re.compile(r"\d+")
# Where a run without a known shape is cut: the weakest binding separators first.
_SEPARATORS = (f"[{lexicon.DASHES}]", "/", ":", f"[,'’_٬{lexicon.SPACES} ]", "[.٫⁄]")
_CUTS = [re.compile(separators) for separators in _SEPARATORS]
_PARTS = ("integer", "identifier", "time_part", "date_part")


class Piece(NamedTuple):
    """One number inside a run: offsets in the run, plain literal ("": no value), form, value."""

    start: int
    end: int
    literal: str
    form: str
    value: float


class Shape(NamedTuple):
    """What a run stands for by itself: one number for "1,234.5", two for "12:30" and "10-20".

    As parts of a date or a time (`parts`: they may be such) it is `small` if none is beyond 31, a
    `year` if all lie between 1000 and 2199.
    """

    pieces: tuple[Piece, ...]
    parts: bool = False
    small: bool = False
    year: bool = False


@lru_cache(maxsize=65536)
def value_of(literal: str, power: int = 0, factor: float = 1.0, addend: float = 0.0) -> float:
    """(literal * 10**power + addend) * factor; NaN for "" and for what float64 cannot hold.

    Powers of ten go through the decimal text, so 1.1 million is exact.
    """
    if not literal:
        return math.nan
    if "/" in literal:
        top, bottom = literal.split("/")
        return usable((int(top) / int(bottom) + addend) * factor)
    if addend == 0.0 and factor >= 1.0:
        zeros = len(f"{factor:.0f}") - 1
        if factor == 10.0**zeros:
            power, factor = power + zeros, 1.0
    if literal.strip("0.") == "":
        value = 0.0
    elif not -9999 < power < 9999:
        return math.nan
    else:
        value = float(f"{literal}e{power}") or math.nan
    return usable((value + addend) * factor)


def shape_of(run: str) -> Shape:
    """The shape of a run; beyond LONGEST, each group of digits is a number of its own."""
    if len(run) <= LONGEST:
        return _short_shape(run)
    pieces = []
    for group in _DIGITS.finditer(run):
        piece = Piece(0, 0, "", "integer", math.nan)
        if len(group.group()) <= LONGEST:
            piece = _short_shape(group.group()).pieces[0]
        pieces.append(piece._replace(start=group.start(), end=group.end()))
    return Shape(tuple(pieces))


@lru_cache(maxsize=65536)
def _short_shape(run: str) -> Shape:
    if not run[0].isdecimal():  # "½", "①"
        value = unicodedata.numeric(run[0])
        form = "fraction" if run[0] in lexicon.VULGAR_FRACTIONS else "list_marker"
        return Shape((Piece(0, 1, str(value), form, value),))
    if not run.isascii():  # digits of other scripts
        run = "".join(str(unicodedata.decimal(character, character)) for character in run)
    if run[:3] == "10−" and len(run) == 4 and run[3] in "3456789":  # 10⁻⁵ without superscript
        literal = f"0.{'1':0>{run[3]}}"
        return Shape((Piece(0, 4, literal, "scientific", value_of(literal)),))
    whole = _WHOLE.fullmatch(run)
    if whole is None:
        pieces = _cut(run, 0, 0)
    elif whole.lastgroup in ("phone", "address", "idiom"):  # "24/7"
        return Shape((Piece(0, len(run), "", "identifier", math.nan),))
    else:
        groups = _DIGITS.finditer(run)
        pieces = [_piece(group.group(), group.start(), "date_part") for group in groups]
    return _with_parts(run, pieces)


def _with_parts(run: str, pieces: list[Piece]) -> Shape:
    """The shape of these pieces: whether they may be parts of a date or a time."""
    parts = all(
        piece.form == "time_part" or (piece.form in _PARTS and piece.end - piece.start <= 4)
        for piece in pieces
    )
    form = pieces[0].form
    if parts and form == "time_part":
        # "12:30-4": short numbers behind a time are parts of it
        pieces = [_piece(run[piece.start : piece.end], piece.start, form) for piece in pieces]
    # "05" has no literal, but may be a part; "007" may not
    parts = parts and all(piece.literal or piece.end == piece.start + 2 for piece in pieces)
    small = parts and not any(piece.value > 31 for piece in pieces)
    year = parts and all(1000 <= piece.value < 2200 for piece in pieces)
    return Shape(tuple(pieces), parts, small, year)


def _is_quotient(top: int, bottom: int) -> bool:
    """Whether a stroke divides ("3/4", "1/50", "3/2") or stands between two numbers ("16/9")."""
    if top > bottom:  # "5/4", "13/8"
        return bottom in (2, 3, 4, 8) and top < 10 * bottom and math.gcd(top, bottom) == 1
    return top < bottom and (top == 1 or bottom <= 12 or bottom in (16, 20, 25, 32, 64, 100, 1000))


def _piece(literal: str, start: int, form: str) -> Piece:
    """A number that is written as its literal."""
    end, literal = start + len(literal), literal.replace(",", ".")  # "10:30:00,123"
    return Piece(start, end, literal, form, value_of(literal))


def _cut(run: str, level: int, start: int) -> list[Piece]:
    """The pieces of a run, or of a part of one that is at `start`; `_CUTS[level:]` may cut it."""
    end = start + len(run)
    found = _SHAPE.fullmatch(run)
    if found is None:
        while level < len(_CUTS) and not _CUTS[level].search(run):
            level += 1
        if level == len(_CUTS):
            return [Piece(start, end, "", "identifier", math.nan)]
        pieces: list[Piece] = []
        for part in _CUTS[level].split(run):
            pieces += _cut(part, level + 1, start)
            start += len(part) + 1  # a separator is one character
        return pieces

    form = literal = str(found.lastgroup)
    # "120 130" are two numbers, "120 000" is one
    pair = form == "thousands" and run[3:4] == " " and run[-3:] != "000" and "." not in run
    if pair or form == "time_part":
        pieces = []
        for part in re.split("[ :]", run):
            pieces.append(_piece(part, start, "integer" if pair else form))
            start += len(part) + 1
        return pieces
    if form == "fraction":
        top, bottom = re.split("[/⁄]", run)
        if not _is_quotient(int(top), int(bottom)):
            return [_piece(top, start, "integer"), _piece(bottom, end - len(bottom), "integer")]
        literal = f"{top}/{bottom}"
    elif form == "mixed":  # "2-1/2" is 5/2
        whole, top, bottom = map(int, re.split("[-/]", run))
        literal, form = f"{whole * bottom + top}/{bottom}", "fraction"
    elif form == "thousands":
        literal = re.sub(r"[^\d.]", "", run)
    elif form == "european":
        literal, form = run.replace(".", "").replace(",", "."), "thousands"
    else:
        literal = "" if form == "identifier" else run.replace("٫", ".")
    return [Piece(start, end, literal, form, value_of(literal))]
