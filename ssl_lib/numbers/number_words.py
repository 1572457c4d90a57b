"""Numbers written in letters: spelled-out numbers, spelled-out ordinals and fractions, Roman numerals.

A raw number is a tuple `(start, end, value, sign, exponent, mantissa, form index)`; `numerals` joins those found
here with those
written in digits. Every pattern is possessive or bounded, so the time is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from ssl_lib.numbers.number_candidates import Bytes, candidates
from ssl_lib.numbers.number_shapes import (
    FORM_INDEX,
    NEXT_WORD,
    SCALE,
    Raw,
    decompose,
    disjoint,
    scale_after,
    unit_after,
    word_after,
    word_before,
    word_set,
)  # fmt: skip
from ssl_lib.numbers.roman_numerals import find_romans, read_brackets, read_romans

UNITS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
}
TEENS = {
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18, "nineteen": 19,
}  # fmt: skip
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90
}  # fmt: skip
SCALES = {
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "quadrillion": 1e15,
    "lakh": 1e5,
    "crore": 1e7,
}
ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16,
    "seventeenth": 17,
    "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30, "fortieth": 40, "fiftieth": 50,
    "sixtieth": 60,
    "seventieth": 70, "eightieth": 80, "ninetieth": 90,
}  # fmt: skip
LARGE_ORDINALS = {"hundredth": 100.0, "thousandth": 1e3, "millionth": 1e6, "billionth": 1e9}
DENOMINATORS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    word + plural: number
    for word, number in (ORDINALS | {w: int(n) for w, n in LARGE_ORDINALS.items()}).items()
    if number >= 3
    for plural in ("", "s")
}

# The scan: a separator, then three letters that can begin a number word, then the test proper. The two character
# classes
# in front decide most positions and are what makes the pass fast.
_BEGIN = (
    r"(?:[Oo]ne|[Tt](?:wo|wel|went|hree|hir|hou|en|rillion)|[Ff](?:our|ive|if|or[ti]|irst)|[Ss](?:ix|even|econd)"
    r"|[Ee](?:ight|lev)|[Nn]in"
    r"|[Zz]ero|[Hh](?:undred|alf)|[MmBb]illion|[Dd]ozen|[Qq]uarter|[Cc]rore|[Ll]akh)"
)
_LETTERS = r"(?=[OoTtFfSsEeNnZzHhMmBbDdQqCcLl][aehilnoruw][acefgiklnoruvxz])"
_ANY_BEGIN = re.compile(_LETTERS + _BEGIN)
_SCAN = re.compile(r"[\x00-\x40\x5b-\x60\x7b-\xbf\u2000-\u206f]" + _LETTERS + _BEGIN)
_WORD = re.compile(r"[A-Za-z]++")
_AND = re.compile(r"[ \n]and[ \n](?=[A-Za-z])")
_AND_PART = re.compile(
    r"[ \n]and[ \n](?:(?:a|one)[ -](half|quarter|third)|(half)|(two|three)[ -](quarters|thirds))\b",
    re.I,
)
_ARTICLE = re.compile(r"(?:^|[^a-z])((half )?(?:a|an|per) )\Z")
_SIGN_BEFORE = re.compile(r"(?:minus|negative)[ -]$", re.I)

_NOT_BEFORE_ONE = word_set(
    "no any every some each this that which the another only good big new old such own last next wrong right other "
    "big small loved red blue green black white best better first second single"
)
_NOT_AFTER_ONE = word_set(
    "can could should would must might may will shall is was has had does did who whom whose that which s another "
    "ought cannot and or but as to by at when where if because wants needs feels sees finds gets"
)
_RELATIVE = word_set("who whom whose that which")
_BEFORE_SECOND = word_set("the his her its their our my your every and or")
_AFTER_TIME = word_set(
    "later ago before after and or to per of in at on is was then as that when the he she it they we i you so but "
    "until long"
)
_HALF_NOT_BEFORE = word_set("first second other better latter top bottom lower upper the this that")


class _Reader:
    """Reads one spelled-out cardinal from a position: `value`, `end`, the kind of the last word, and how many words
    it had."""

    def __init__(self, text: str, start: int, value: float | None = None, kind: str = "") -> None:
        self.text, self.end = text, start
        self.total, self.current, self.kind, self.words = 0.0, value, kind, 0
        self.scale, self.ordinal = math.inf, False

    @property
    def value(self) -> float:
        return self.total + (self.current or 0.0)

    def accept(self, word: str, hyphen: bool) -> bool:
        """Take one more word if the grammar allows it after the words before."""
        current, kind = self.current, self.kind
        open_place = kind in ("", "hundred", "scale", "and")
        if word in UNITS or (word in ORDINALS and ORDINALS[word] < 10):
            if not (open_place or kind == "tens"):
                return False
            self.current = (current or 0.0) + UNITS.get(word, ORDINALS.get(word, 0))
            self.ordinal, self.kind = word in ORDINALS, "unit"
        elif word in TEENS or word in TENS or word in ORDINALS:
            number = TEENS.get(word) or TENS.get(word) or ORDINALS[word]
            year = (
                kind in ("teen", "tens")
                and self.words == 1
                and 13 <= (current or 0) <= 20
                and not hyphen
                and word not in ORDINALS
            )
            if not (open_place or year):
                return False
            self.current = (current or 0.0) * 100 + number if year else (current or 0.0) + number
            self.ordinal, self.kind = (
                word in ORDINALS,
                "tens" if number >= 20 and word in TENS else "teen",
            )
        elif word == "hundred" or word == "hundredth":
            if not current or current >= 100 or kind in ("hundred", "and"):
                return False
            self.current, self.kind, self.ordinal = current * 100, "hundred", word == "hundredth"
        elif word in SCALES or word in LARGE_ORDINALS:
            factor = SCALES.get(word) or LARGE_ORDINALS[word]
            if not current or factor >= self.scale or kind == "and":
                return False
            self.total, self.current, self.scale = self.total + current * factor, None, factor
            self.kind, self.ordinal = "scale", word in LARGE_ORDINALS
        else:
            return False
        self.words += 1
        return True

    def read(self) -> None:
        """Take as many following words as belong to the number."""
        while not self.ordinal:
            joined = _AND.match(self.text, self.end) if self.kind in ("hundred", "scale") else None
            found = NEXT_WORD.match(self.text, self.end) if joined is None else None
            word = _WORD.match(self.text, joined.end()) if joined else None
            spelling = (word.group() if word else found.group(2) if found else "").lower()
            if joined and (
                spelling in SCALES
                or spelling == "hundred"
                or spelling in LARGE_ORDINALS
                or spelling in UNITS_ONLY_ORDINALS
            ):
                return
            end = word.end() if word else found.end() if found else self.end
            if not spelling or not self.accept(spelling, bool(found) and found.group(1) == "-"):
                return
            self.end = end


UNITS_ONLY_ORDINALS = frozenset({"second"})


def _decimal_tail(text: str, end: int) -> tuple[int, float]:
    """The digits after "point": `(end, fraction)`; "two point five" ends after "five" with 0.5."""
    digits, word = "", NEXT_WORD.match(text, end)
    if word is None or word.group(2).lower() != "point":
        return end, 0.0
    position = word.end()
    while len(digits) < 300 and (word := NEXT_WORD.match(text, position)):
        spelling = word.group(2).lower()
        digit = (
            0
            if spelling in ("zero", "oh")
            else UNITS.get(spelling, TEENS.get(spelling) if not digits else None)
        )
        if digit is None:
            break
        digits, position = digits + str(digit), word.end()
    return (position, float("0." + digits)) if digits else (end, 0.0)


def _pronoun(text: str, start: int, end: int) -> bool:
    """Whether a lone "one" is a pronoun ("the other one", "one should")."""
    after = word_after(text, end)
    before = word_before(text, start)
    if before in _NOT_BEFORE_ONE or after in _NOT_AFTER_ONE or text[end : end + 1] in ("'", "’"):
        return not (
            after.lower() in ("hundred", "million")
            or (before == "only" and bool(after) and after not in _RELATIVE)
        )
    return (
        after == ""
        and text[end : end + 1] not in ("-", "%", ",")
        and before not in ("to", "is", "equals", "was", "by", "chapter", "than")
    )


def _lone_ordinal(text: str, start: int, end: int, word: str) -> bool:
    """Whether "first", "second", ... on their own are ordinals here ("at first" and "a second later" are not)."""
    before, after = word_before(text, start), word_after(text, end).lower()
    if word == "first":
        return before != "at"
    if word != "second":
        return True
    if before == "a":
        return bool(after) and after not in _AFTER_TIME
    return text[start].isupper() or (
        (before in _BEFORE_SECOND and before not in ("every", "and", "or"))
        or bool(after and before == "and")
    )


def _fraction(text: str, reader: _Reader) -> tuple[int, float] | None:
    """`(end, value)` of "two thirds", "three-quarters", "one half", or None."""
    if reader.words != 1 or reader.kind not in ("unit", "teen") or reader.ordinal:
        return None
    found = NEXT_WORD.match(text, reader.end)
    denominator = DENOMINATORS.get(found.group(2).lower()) if found else None
    if found is None or denominator is None or (reader.value == 1) == found.group(2).endswith("s"):
        return None
    return found.end(), reader.value / denominator


def _single(text: str, start: int, word: str, end: int) -> tuple[int, int, float, str] | None:
    """Numbers that begin with none of the cardinals: half, a quarter of, a dozen, half a million, a hundred."""
    lead = text[max(0, start - 8) : start].lower()
    article = _ARTICLE.search(lead)
    if word in ("dozen", "hundred") or word in SCALES:
        if article is None or article.group(1) == "per ":
            return None
        begin = start - len(article.group(1))
        reader = _Reader(text, begin, 12.0 if word == "dozen" else 1.0, "unit")
        reader.end = end
        if word != "dozen":
            reader.accept(word, False)
            reader.read()
        value, finish = _and_part(text, reader)
        return begin, finish, value * (0.5 if article.group(2) else 1.0), "spelled"
    after = word_after(text, end).lower()
    if word == "half":
        wanted = (
            after in ("of", "the", "its", "their", "his", "her", "our", "my", "all")
            and word_before(text, start) not in _HALF_NOT_BEFORE
        )
        return (start, end, 0.5, "fraction") if wanted else None
    lone = lead == "a " or lead.endswith((" a ", "\na "))
    if lone and word in DENOMINATORS and word[-1] != "s" and after == "of":
        return start - 2, end, 1.0 / DENOMINATORS[word], "fraction"
    return None


def _and_part(text: str, reader: _Reader) -> tuple[float, int]:
    """The value and end with "and a half" and the scale word behind it: "three and a half million"."""
    part = _AND_PART.match(text, reader.end)
    if part is None:
        return reader.value, reader.end
    count = 1.0 if part.group(1) or part.group(2) else float(UNITS[part.group(3).lower()])
    share = count / DENOMINATORS[(part.group(1) or part.group(2) or part.group(4)).lower()]
    end, factor = scale_after(text, part.end())
    if reader.kind == "scale":
        return reader.value + share * reader.scale, part.end()
    return (reader.value + share) * factor, end


def _cardinal(text: str, start: int, word: str, end: int) -> tuple[int, int, float, str] | None:
    """A number that begins with a cardinal: `(start, end, value, form)`, or None."""
    reader = _Reader(text, start)
    reader.end = end
    if word == "zero":
        reader.current, reader.kind, reader.words = 0.0, "zero", 1
    elif not reader.accept(word, False):
        return None
    reader.read()
    if reader.ordinal:
        return start, reader.end, reader.value, "ordinal"
    if (fraction := _fraction(text, reader)) is not None:
        return start, fraction[0], fraction[1], "fraction"
    value, finish = _and_part(text, reader)
    if finish == reader.end:
        finish, share = _decimal_tail(text, finish)
        if share or finish != reader.end:
            finish, factor = scale_after(text, finish)
            value = (value + share) * factor
        elif SCALE.match(text, finish):
            grown = SCALE.match(text, finish)
            assert grown is not None
            if grown.group(1).lower() == "dozen":
                value, finish = value * 12.0, grown.end()
    if word == "one" and reader.words == 1 and finish == end and _pronoun(text, start, end):
        return None
    return start, finish, value, "spelled"


# "two", ..., "nineteen" before a stop or a word that cannot go on with a number: no grammar needed.
_RISKY = (
    r"[ \n\u00a0](?:and|point|[hH]und|[tT]hou|[mMbB]ill|[tT]ri|quad|doz|lakh|cror|[bmt]n\b|hal[fv]|thir|quar|four"
    r"|fif|six|seve|eig|nin|ten|ele"
    r"|twel|hundr|per|pct|dollar|euro|cent|yen|rup|yuan|rubl|franc|peso|pounds|buck|pence|[A-Z])|[^ \n.,;:)]"
)
_SIMPLE = re.compile(
    r"(?:[Tt](?:wo|hree|en|welve|hirteen)|[Ff](?:our|ive|ourteen|ifteen)|[Ss](?:ix|even|ixteen|eventeen)"
    rf"|[Ee](?:ight|leven|ighteen)|[Nn]ine(?:teen)?)(?![A-Za-z])(?!{_RISKY})"
)
_SIMPLE_PARTS = {word: decompose(float(value)) for word, value in (UNITS | TEENS).items()}
_SPELLED = FORM_INDEX["spelled"]
_FIRST_WORDS = {
    *UNITS,
    *TEENS,
    *TENS,
    *SCALES,
    *ORDINALS,
    *DENOMINATORS,
    "zero",
    "hundred",
    "dozen",
}


def _is_operand(text: str, end: int) -> bool:
    """Whether a number or a single letter stands in front of a "minus", which then subtracts."""
    word = word_before(text, end)
    return (
        word in UNITS
        or word in TEENS
        or word in TENS
        or len(word) == 1
        or text[max(0, end - 2) : end - 1].isdecimal()
    )


def _spelled(text: str, start: int) -> Raw | None:
    """The number that is spelled out at the word that begins at `start`, with its sign, percent or currency word."""
    simple = _SIMPLE.match(text, start)
    if simple is not None and text[start - 2 : start - 1] not in ("s", "e", "S", "E"):
        return start, simple.end(), *_SIMPLE_PARTS[simple.group().lower()], _SPELLED
    found = _WORD.match(text, start)
    assert found is not None
    word, end = found.group().lower(), found.end()
    if word not in _FIRST_WORDS:
        return None
    if word in UNITS or word in TEENS or word in TENS or word == "zero":
        number = _cardinal(text, start, word, end)
    elif word in ORDINALS and (word not in DENOMINATORS or _single(text, start, word, end) is None):
        number = (
            (start, end, float(ORDINALS[word]), "ordinal")
            if _lone_ordinal(text, start, end, word)
            else None
        )
    else:
        number = _single(text, start, word, end)
    if number is None:
        return None
    start, end, value, form = number
    if (sign := _SIGN_BEFORE.search(text, max(0, start - 9), start)) and not _is_operand(
        text, sign.start()
    ):
        start, value = sign.start(), -value
    if form in ("spelled", "fraction"):
        end, form = unit_after(text, end, form)
    return (start, end, *decompose(value), FORM_INDEX[form])


def find_words(text: str, codes: Bytes | None = None) -> list[Raw]:
    """All numbers of `text` that are written in letters, in order and disjoint; O(len(text)).

    `codes`, `number_candidates.characters(text)`, makes it faster on long texts.
    """
    if codes is None:
        found, starts = find_romans(text), _word_starts(text)
    else:
        words, romans, brackets = candidates(codes)
        found = read_romans(text, romans) + read_brackets(text, brackets)
        starts = (start for start in words if _begins(text, start))
    position = 0
    for start in starts:
        if start < position:
            continue
        raw = _spelled(text, start)
        if raw is not None:
            found.append(raw)
            position = raw[1] + 1  # a word needs a separator before it
    return disjoint(found)


def _word_starts(text: str) -> Iterator[int]:
    if _ANY_BEGIN.match(text):
        yield 0
    for match in _SCAN.finditer(text):
        yield match.start() + 1


def _begins(text: str, start: int) -> bool:
    return (_SCAN.match(text, start - 1) if start else _ANY_BEGIN.match(text)) is not None
