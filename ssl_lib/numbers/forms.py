"""The forms that a number can be written in, and those of them that one pattern tells.

Most forms are decided by the grammar, from a run of digits (`digits`) or from words (`words`). A form that can be told by
a pattern alone is an entry of `PATTERNS`: docs/numbers.md adds one.
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

# Where a number starts and ends, in characters, what it is worth (NaN: it is no amount) and its form.
Raw = tuple[int, int, float, str]


class Form(NamedTuple):
    """A form that a pattern tells: it is looked for in the whole text, whatever reads the rest of it.

    The number is what `pattern` matches, or its group `number` if it has one. `value` is asked for its worth, NaN if that
    is no amount, None if it is no number after all (where it stands can be told from the match: `match.string`). Of two
    numbers that overlap, the one that starts earlier is kept, then the longer.
    """

    name: str
    pattern: re.Pattern[str]
    value: Callable[[re.Match[str]], float | None]


# --- Roman numerals: after a part word, a name or a ruler, before "century", and "(iv)" ---
_ROMAN = re.compile(
    r"[IVXLCDM](?:(?<=[ \n(\u00a0].)|(?<=\A.))(?=[IVXLCDM ,.;:)\n]|$)[IVXLCDM]*+"
    r"(?![A-Za-z0-9_’'&.](?!\s|$)|-[A-Z])"
)
_BRACKETED = re.compile(r"\((?<![A-Za-z0-9].)(?P<number>x?(?:ix|iv|v?i{0,3}))\)")
_CANONICAL = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_WORD_BEFORE = re.compile(r"([A-Za-z]++)[ \n\u00a0]\(?$")
_WORD_AFTER = re.compile(r"[ \n\u00a0-]([A-Za-z]++)")
_NO_NAMES = frozenset(
    "The A An This That In On And But Or If When While For With My His Her Our Its As At To Of By "
    "From I".split()
)
_BEHIND_ORDINALS = ("century", "Century", "centuries", "Corps", "Olympiad")
_BEHIND_RULERS = ("", "of", "was", "and", "died", "ruled", "reigned", "became")
_LETTERS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


@lru_cache(maxsize=4096)
def _roman_value(letters: str) -> int:
    """Value of a canonical Roman numeral; 0 for letters that are none."""
    if not letters or len(letters) > 15 or _CANONICAL.fullmatch(letters) is None:
        return 0
    values = [_LETTERS[letter] for letter in letters]
    # a letter before a larger one counts against it: IX is -1 + 10
    signs = [
        -1 if value < after else 1 for value, after in zip(values, [*values[1:], 0], strict=True)
    ]
    return sum(sign * value for sign, value in zip(signs, values, strict=True))


def _roman(match: re.Match[str]) -> float | None:
    """The value of letters that are clearly a numeral by what stands around them; None for "an IV drip", "I am"."""
    text, letters, start = match.string, match.group(), match.start()
    value = _roman_value(letters)
    if not value:
        return None
    head = _WORD_BEFORE.search(text, max(0, start - 20), start)
    tail = _WORD_AFTER.match(text, match.end())
    name = head.group(1) if head else ""
    after = tail.group(1) if tail else ""
    single = len(letters) == 1
    if name.lower() in lexicon.ROMAN_PARTS and (name[0].isupper() or not single):
        return value  # "Chapter V", "chapter IV"
    if single:
        ruler = name in lexicon.RULERS and after in _BEHIND_RULERS and letters in "IVX"
        return value if ruler and text[match.end() : match.end() + 1] != "'" else None
    if after in _BEHIND_ORDINALS:
        return value
    named = name[:1].isupper() and name not in _NO_NAMES and not name.isupper()
    usual = set(letters) <= set("IVX") or len(letters) >= 4  # others may be initials
    return value if named and usual and after not in ("drip", "fluids") else None


def _bracketed(match: re.Match[str]) -> float | None:
    letters = match["number"].upper()
    return None if letters == "X" else _roman_value(letters) or None


PATTERNS = (
    Form("roman", _ROMAN, _roman),
    Form("list_marker", _BRACKETED, _bracketed),
)

# A number's place here is what a token store keeps: new forms come last.
FORMS = tuple(
    dict.fromkeys(
        "integer decimal thousands scientific percent currency ordinal fraction date_part time_part "
        "identifier roman spelled list_marker".split()
        + [form.name for form in PATTERNS]
    )
)
FORM_INDEX = {form: index for index, form in enumerate(FORMS)}


def find_patterns(text: str) -> list[Raw]:
    """All numbers of `text` that an entry of `PATTERNS` tells, in no order; they may overlap others."""
    found: list[Raw] = []
    for form in PATTERNS:
        group = "number" if "number" in form.pattern.groupindex else 0
        for match in form.pattern.finditer(text):
            value = form.value(match)
            if value is not None:
                found.append((match.start(group), match.end(group), float(value), form.name))
    return found


def disjoint(found: list[Raw]) -> list[Raw]:
    """Sorted by start; of two that overlap, the earlier (then the longer) stays."""
    found.sort(key=lambda raw: (raw[0], -raw[1]))
    kept: list[Raw] = []
    end = 0
    for raw in found:
        if raw[0] >= end:
            kept.append(raw)
            end = raw[1]
    return kept


LONGEST = 400  # characters; float64 ends at 309 digits, so longer runs have no finite value
# Forms of a run that may be a part of a date or a time.
PLAIN = ("integer", "identifier", "time_part", "date_part")

# --- the shape of a run: a pure function of its characters ---
_WHOLE = re.compile(
    r"(?P<iso>(?:1\d|2[01])\d\d([-/.])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12]\d|3[01]))"
    r"|(?P<date>(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\4(?:1[5-9]|20)\d\d"
    r"|(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|[12]\d|3[01])/\d\d)"
    r"|(?P<years>(?:1[5-9]|20)\d\d[-–—/](?:(?:1[5-9]|20)\d\d|\d\d)|\d\d?/0\d|0\d/\d\d?\d?\d?)"
    r"|(?P<phone>\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d\d-\d{4}|\d-\d{3}-\d{3}-\d{4}|555-\d{4}"
    r"|\d{3}-0\d{3}|0\d+(?:-\d+){2,}|\d+(?:-\d+){3,})"
    r"|(?P<address>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:[:/]\d+)?)"
    r"|(?P<idiom>24/7|9/11|7/7)"
)
_SHAPE = re.compile(
    r"(?P<thousands>[1-9]\d{0,2}([,'’_ \u00a0\u202f\u2009٬])\d{3}(?:\2\d{3})*(?:\.\d+)?"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?)"
    r"|(?P<european>[1-9]\d{0,2}(?:\.\d{3})+,\d{1,2}|[1-9]\d{0,2}(?:\.\d{3}){2,})"
    r"|(?P<decimal>(?:0|[1-9]\d*)[.٫]\d+)"
    r"|(?P<integer>0|[1-9]\d*)"
    r"|(?P<time_part>(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)"
    r"|(?P<fraction>[1-9]\d{0,2}[/⁄][1-9]\d{0,3})"
    r"|(?P<identifier>\d+(?:\.\d+){2,}|0\d+(?:\.\d+)?|\d+(?:_\d+)+)"
)
_NUMERALS = re.compile(r"\d+(?:\.\d+)?")
# Where a run without a known shape is cut: the weakest binding separators first.
_CUTS = [
    re.compile(cut)
    for cut in (f"[{lexicon.DASHES}]", "/", ":", f"[,'’_٬{lexicon.SPACES} ]", "[.٫⁄]")
]


class Piece(NamedTuple):
    """One number inside a run: offsets in the run, plain literal ("" if it has no value), form, value."""

    start: int
    end: int
    literal: str
    form: str
    value: float


def _piece(start: int, end: int, literal: str, form: str) -> Piece:
    return Piece(start, end, literal, form, value_of(literal))


def pieces_of(run: str) -> tuple[Piece, ...]:
    """The numbers that a run stands for: one for "1,234.5", two for "12:30" and "10-20".

    A plain run beyond LONGEST is one integer without a value, a long chain is cut into short links.
    """
    if len(run) <= LONGEST:
        return _short_pieces(run)
    found: list[Piece] = []
    for link in re.finditer(r"\d++", run):
        start, digits = link.start(), link.group()
        if len(digits) > LONGEST:
            found.append(_piece(start, link.end(), "", "integer"))
            continue
        for piece in _short_pieces(digits):
            found.append(piece._replace(start=piece.start + start, end=piece.end + start))
    return tuple(found)


@lru_cache(maxsize=65536)
def _short_pieces(run: str) -> tuple[Piece, ...]:
    if run[0] in lexicon.VULGAR_FRACTIONS:
        return (_piece(0, 1, str(unicodedata.numeric(run[0])), "fraction"),)
    if run[0] in lexicon.CIRCLED_NUMBERS:
        return (_piece(0, 1, str(int(unicodedata.numeric(run[0]))), "list_marker"),)
    if not run.isascii():  # digits of other scripts
        run = "".join(str(unicodedata.decimal(character, character)) for character in run)
    whole = _WHOLE.fullmatch(run)
    if whole and (whole["phone"] or whole["address"] or whole["idiom"]):
        return (_piece(0, len(run), "", "identifier"),)
    if whole:
        parts = re.finditer(r"\d+", run)
        return tuple(_piece(part.start(), part.end(), part.group(), "date_part") for part in parts)
    pieces = _shape(run, 0, 0)
    form = pieces[0].form
    # "12:30-4": short numbers behind a time are parts of it
    if form == "time_part" and all(p.form in PLAIN and p.end - p.start <= 4 for p in pieces):
        pieces = [p._replace(form=form, value=float(run[p.start : p.end])) for p in pieces]
    return tuple(pieces)


def _shape(run: str, level: int, offset: int) -> list[Piece]:
    """The pieces of a run, or of a part of one that stands at `offset`; it is cut by `_CUTS[level:]`."""
    end = offset + len(run)
    found = _SHAPE.fullmatch(run)
    if found is None:
        while level < len(_CUTS) and not _CUTS[level].search(run):
            level += 1
        if level == len(_CUTS):
            return [_piece(offset, end, "", "identifier")]
        pieces: list[Piece] = []
        start = 0
        for cut in _CUTS[level].finditer(run):
            pieces += _shape(run[start : cut.start()], level + 1, offset + start)
            start = cut.end()
        return pieces + _shape(run[start:], level + 1, offset + start)
    shape = str(found.lastgroup)
    # "120 130" are two numbers, "120 000" is one
    spaced = shape == "thousands" and run[3:4] == " " and run[-3:] != "000" and "." not in run
    if shape == "time_part" or spaced:
        form = "integer" if spaced else shape
        parts = _NUMERALS.finditer(run)
        return [_piece(offset + p.start(), offset + p.end(), p.group(), form) for p in parts]
    if shape == "thousands":
        return [_piece(offset, end, re.sub(r"[^\d.]", "", run), shape)]
    if shape == "european":
        return [_piece(offset, end, run.replace(".", "").replace(",", "."), "thousands")]
    if shape == "fraction":
        top, bottom = re.split(r"[/⁄]", run)
        # "911/112" and "5/1234" are pairs of numbers
        if len(top) == 3 or (len(bottom) > 2 and int(bottom) % 10):
            first = _piece(offset, offset + len(top), top, "integer")
            return [first, _piece(end - len(bottom), end, bottom, "integer")]
        return [_piece(offset, end, f"{top}/{bottom}", shape)]
    return [_piece(offset, end, "" if shape == "identifier" else run.replace("٫", "."), shape)]


@lru_cache(maxsize=65536)
def value_of(literal: str, power: int = 0, factor: float = 1.0, addend: float = 0.0) -> float:
    """(literal * 10**power + addend) * factor; NaN for an empty literal and for what float64 cannot hold.

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
    nonzero = bool(literal.strip("0."))
    if not -9999 < power < 9999:
        return math.nan if nonzero else 0.0
    value = float(f"{literal}e{power}")
    return math.nan if value == 0.0 and nonzero else usable((value + addend) * factor)
