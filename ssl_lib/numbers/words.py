"""The grammar of numbers in words: "two hundred and five", "half a million", "the twenty-first".

`find_words` looks for words that may begin a number; `_spelled` reads on from one. Every pattern is
possessive or bounded, so the time is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.digits import scale_behind, unit_behind
from ssl_lib.numbers.forms import Raw
from ssl_lib.numbers.lexicon import DENOMINATORS, ONES, ORDINALS, SCALES, TEENS, TENS
from ssl_lib.numbers.scale import usable


class _Word(NamedTuple):
    """What a word adds to a cardinal: its place ("ones", "teen", "tens", "hundred", "scale")."""

    place: str
    number: float
    ordinal: bool = False


_WORDS = {word: _Word("ones", number) for word, number in ONES.items()}
_WORDS |= {word: _Word("teen", number) for word, number in TEENS.items()}
_WORDS |= {word: _Word("tens", number) for word, number in TENS.items()}
_WORDS |= {word: _Word("scale", number) for word, number in SCALES.items()}
_WORDS |= {
    word: _Word("ones" if number < 10 else "teen", number, True)
    for word, number in ORDINALS.items()
}
_WORDS |= {word: _Word("scale", number, True) for word, number in lexicon.LARGE_ORDINALS.items()}
_WORDS |= {"hundred": _Word("hundred", 100), "hundredth": _Word("hundred", 100, True)}
_CARDINALS = {*ONES, *TEENS, *TENS, "zero"}
FIRST_WORDS = {*_CARDINALS, *SCALES, *ORDINALS, *DENOMINATORS, "hundred", "dozen"}

# A separator, letters that can begin a number word, then the test proper: the classes of characters
# in front decide most positions, which is what makes the pass fast.
_BEGIN = (
    "(?=[OoTtFfSsEeNnZzHhMmBbDdQqCcLl][aehilnoruw][acefgiklnoruvxz])(?:[Oo]ne"
    "|[Tt](?:wo|wel|went|hree|hir|hou|en|rillion)|[Ff](?:our|ive|if|or[ti]|irst)"
    "|[Ss](?:ix|even|econd)|[Ee](?:ight|lev)|[Nn]in|[Zz]ero|[Hh](?:undred|alf)|[MmBb]illion"
    "|[Dd]ozen|[Qq]uarter|[Cc]rore|[Ll]akh)"
)
_SCAN = re.compile(r"[\x00-\x40\x5b-\x60\x7b-\xbf\u2000-\u206f]" + _BEGIN)
_AT_START = re.compile(_BEGIN)
# "two", ..., "nineteen" before a stop or a word that cannot go on with a number need no grammar.
_GOES_ON = (
    r"[ \n\u00a0](?:and|point|[hH]und|[tT]hou|[mMbB]ill|[tT]ri|quad|doz|lakh|cror|[bmt]n\b|hal[fv]"
    r"|thir|quar|four|fif|six|seve|eig|nin|ten|ele|twel|hundr|per|pct|dollar|euro|cent|yen|rup|yuan"
    r"|rubl|franc|peso|pounds|buck|pence|[A-Z])|[^ \n.,;:)]"
)
_SIMPLE = re.compile(
    r"(?:[Tt](?:wo|hree|en|welve|hirteen)|[Ff](?:our|ive|ourteen|ifteen)|[Ss](?:ix|even|ixteen"
    rf"|eventeen)|[Ee](?:ight|leven|ighteen)|[Nn]ine(?:teen)?)(?![A-Za-z])(?!{_GOES_ON})"
)
_WORD = re.compile(r"[A-Za-z]++")
_IN_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'"
_NOT_BEHIND_AND = {*SCALES, *lexicon.LARGE_ORDINALS, "hundred", "second"}
_NEXT_WORD = re.compile(r"([ \n\u00a0-])([A-Za-z]++)")
_AND_WORD = re.compile(r"([ \n])and[ \n]([A-Za-z]++)")
_AND_PART = re.compile(
    r"[ \n]and[ \n](?:(?:a|one)[ -](half|quarter|third)|(half)|(two|three)[ -](quarters|thirds))\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:^|[^a-z])((half )?(?:a|an|per) )\Z")
_SIGN = re.compile(r"(?:minus|negative)[ -]$", re.IGNORECASE)
_DOZEN = re.compile(r"[ \n\u00a0-]?dozens?\b", re.IGNORECASE)

# --- "one" as a pronoun, "second" as a time, "half" as an adverb ---
_PRONOUN_BEHIND = frozenset(
    "no any every some each this that which the another only good big new old such own last next "
    "wrong right other small loved red blue green black white best better first second "
    "single".split()
)
_PRONOUN_BEFORE = frozenset(
    "can could should would must might may will shall is was has had does did who whom whose that "
    "which s another ought cannot and or but as to by at when where if because wants needs feels "
    "sees finds gets".split()
)
_RELATIVE = frozenset("who whom whose that which".split())
_NUMBER_BEHIND = ("to", "is", "equals", "was", "by", "chapter", "than")
_SECOND_BEHIND = frozenset("the his her its their our my your".split())
_TIME_BEFORE = frozenset(
    "later ago before after and or to per of in at on is was then as that when the he she it they "
    "we i you so but until long".split()
)
_HALF_BEFORE = frozenset("of the its their his her our my all".split())
_NO_HALF_BEHIND = frozenset(
    "first second other better latter top bottom lower upper the this that".split()
)


def find_words(text: str, candidates: Iterable[int] | None = None) -> list[Raw]:
    """All numbers of `text` that are written in words, in order and disjoint.

    `candidates` are places where one may begin, none of them missing; by default they are searched.
    """
    if candidates is None:
        starts = [match.start() + 1 for match in _SCAN.finditer(text)]
        starts = [0, *starts] if _AT_START.match(text) else starts
    else:
        starts = [
            start
            for start in candidates
            if (_SCAN.match(text, start - 1) if start else _AT_START.match(text))
        ]
    found: list[Raw] = []
    floor = 0
    for start in starts:
        number = _spelled(text, start) if start >= floor else None
        if number is not None:
            found.append(number)
            floor = number[1] + 1  # a word needs a separator before it
    return found


def word_before(text: str, start: int) -> str:
    """The lower-cased word in front of `start`, or "".

    One blank or hyphen stands between them, two at the end of a line.
    """
    lead = text[max(0, start - 16) : start]
    for _ in range(2):
        if lead[-1:] not in (" ", "\n", "-"):
            return ""
        line_end, lead = lead[-1] == "\n", lead[:-1]
        word = lead[len(lead.rstrip(_IN_WORD)) :]
        if word or not line_end:
            return word.lower()
    return ""


def word_after(text: str, end: int) -> str:
    """The word behind `end`, one blank or hyphen between them, or ""."""
    found = _NEXT_WORD.match(text, end)
    return found.group(2) if found else ""


def _spelled(text: str, start: int) -> Raw | None:
    """The number at the word that begins at `start`, with its sign, percent or currency word."""
    simple = _SIMPLE.match(text, start)
    if simple and text[start - 2 : start - 1] not in ("s", "e", "S", "E"):  # "minus", "negative"
        return start, simple.end(), float(_WORDS[simple.group().lower()].number), "spelled"
    found = _WORD.match(text, start)
    assert found is not None
    word, end = found.group().lower(), found.end()
    if word not in FIRST_WORDS:
        return None
    number = None
    if word in _CARDINALS:
        number = _cardinal(text, start, word, end)
    elif word in ORDINALS and not (word in DENOMINATORS and _single(text, start, word, end)):
        if _is_ordinal(text, start, end, word):
            number = start, end, float(ORDINALS[word]), "ordinal"
    else:
        number = _single(text, start, word, end)
    if number is None:
        return None
    start, end, value, form = number
    sign = _SIGN.search(text, max(0, start - 9), start)
    if sign and not _is_operand(text, sign.start()):
        start, value = sign.start(), -value
    if form in ("spelled", "fraction"):
        end, form = unit_behind(text, end, form)
    return start, end, usable(value), form


def _is_operand(text: str, end: int) -> bool:
    """Whether a number or a single letter stands in front of a "minus", which then subtracts."""
    word = word_before(text, end)
    return (
        word in _CARDINALS - {"zero"}
        or len(word) == 1
        or text[max(0, end - 2) : end - 1].isdecimal()
    )


class _Cardinal:
    """Reads a cardinal word by word: "two", "hundred", "and", "five" is 205."""

    def __init__(self, text: str, end: int, value: float | None = None, place: str = "") -> None:
        self.text, self.end = text, end
        self.total, self.current, self.place, self.words = 0.0, value, place, 0
        self.scale, self.ordinal = math.inf, False

    @property
    def value(self) -> float:
        """What has been read is worth."""
        return self.total + (self.current or 0.0)

    def accept(self, spelling: str, hyphen: bool = False) -> bool:
        """Take one more word if the grammar allows it after the words before."""
        word = _WORDS.get(spelling)
        if word is None:
            return False
        current, before = self.current or 0.0, self.place
        open_place = before in ("", "hundred", "scale")
        if word.place == "ones":
            if not open_place and before != "tens":
                return False
            self.current = current + word.number
        elif word.place in ("teen", "tens"):
            # "nineteen eighty-four": the second half of a year
            year = before in ("teen", "tens") and self.words == 1 and 13 <= current <= 20
            year = year and not hyphen and not word.ordinal
            if not open_place and not year:
                return False
            self.current = current * 100 + word.number if year else current + word.number
        elif word.place == "hundred":
            if not 0 < current < 100 or before == "hundred":
                return False
            self.current = current * 100
        else:
            if not current or word.number >= self.scale:
                return False
            self.total, self.current = self.total + current * word.number, None
            self.scale = word.number
        self.place, self.ordinal = word.place, word.ordinal
        self.words += 1
        return True

    def read(self) -> None:
        """Take as many following words as belong to the number."""
        while not self.ordinal:
            joined = None
            if self.place in ("hundred", "scale"):
                joined = _AND_WORD.match(self.text, self.end)
            found = joined or _NEXT_WORD.match(self.text, self.end)
            if found is None:
                return
            word = found.group(2).lower()
            if joined and word in _NOT_BEHIND_AND:
                return
            if not self.accept(word, hyphen=found.group(1) == "-"):
                return
            self.end = found.end()

    def fraction(self) -> tuple[int, float] | None:
        """`(end, value)` of "two thirds", "three-quarters", "one half", or None."""
        if self.words != 1 or self.ordinal or self.place not in ("ones", "teen"):
            return None
        found = _NEXT_WORD.match(self.text, self.end)
        name = found.group(2) if found else ""
        denominator = DENOMINATORS.get(name.lower())
        if found is None or denominator is None or (self.value == 1) == name.endswith("s"):
            return None
        return found.end(), self.value / denominator

    def and_part(self) -> tuple[int, float]:
        """`(end, value)` with "and a half" and the scale word behind it: "three and a half million"."""
        part = _AND_PART.match(self.text, self.end)
        if part is None:
            return self.end, self.value
        single, half, count, plural = part.groups()
        top = ONES[count.lower()] if count else 1
        share = top / DENOMINATORS[(single or half or plural).lower()]
        if self.place == "scale":  # "a million and a half"
            return part.end(), self.value + share * self.scale
        end, factor = scale_behind(self.text, part.end())
        return end, (self.value + share) * factor

    def decimals(self) -> tuple[int, float]:
        """`(end, value)` with the digits after "point": "two point five" is 2.5."""
        digits, point = "", _NEXT_WORD.match(self.text, self.end)
        if point is None or point.group(2).lower() != "point":
            return self.end, self.value
        end = point.end()
        while len(digits) < 300 and (found := _NEXT_WORD.match(self.text, end)):
            word = found.group(2).lower()
            digit = 0 if word in ("zero", "oh") else ONES.get(word)
            if digit is None and not digits:
                digit = TEENS.get(word)  # "two point fifteen"
            if digit is None:
                break
            digits, end = digits + str(digit), found.end()
        if not digits:
            return self.end, self.value
        end, factor = scale_behind(self.text, end)
        return end, (self.value + float("0." + digits)) * factor


_Found = tuple[int, int, float, str] | None


def _cardinal(text: str, start: int, word: str, end: int) -> _Found:
    """A number that begins with a cardinal."""
    cardinal = _Cardinal(text, end)
    if word == "zero":
        cardinal.current, cardinal.place, cardinal.words = 0.0, "zero", 1
    else:
        cardinal.accept(word)
    cardinal.read()
    if cardinal.ordinal:
        return start, cardinal.end, cardinal.value, "ordinal"
    fraction = cardinal.fraction()
    if fraction:
        return start, *fraction, "fraction"
    finish, value = cardinal.and_part()
    if finish == cardinal.end:
        finish, value = cardinal.decimals()
    if finish == cardinal.end and (dozen := _DOZEN.match(text, finish)):
        finish, value = dozen.end(), value * 12.0
    if word == "one" and finish == end and _is_pronoun(text, start, end):
        return None
    return start, finish, value, "spelled"


def _is_pronoun(text: str, start: int, end: int) -> bool:
    """Whether a lone "one" is a pronoun ("the other one", "one should")."""
    before, after, mark = word_before(text, start), word_after(text, end), text[end : end + 1]
    if before in _PRONOUN_BEHIND or after in _PRONOUN_BEFORE or mark in ("'", "’"):
        counted = before == "only" and after and after not in _RELATIVE  # "only one left"
        return not (counted or after.lower() in ("hundred", "million"))
    return not after and mark not in ("-", "%", ",") and before not in _NUMBER_BEHIND


def _is_ordinal(text: str, start: int, end: int, word: str) -> bool:
    """Whether "first", "second", ... on their own are ordinals ("at first", "a second later" are not)."""
    before, after = word_before(text, start), word_after(text, end).lower()
    if word == "first":
        return before != "at"
    if word != "second":
        return True
    if before == "a":
        return bool(after) and after not in _TIME_BEFORE
    return text[start].isupper() or before in _SECOND_BEHIND or bool(after and before == "and")


def _single(text: str, start: int, word: str, end: int) -> _Found:
    """A number that begins with no cardinal: half, a quarter of, a dozen, half a million, a hundred."""
    lead = text[max(0, start - 8) : start].lower()
    if word in ("dozen", "hundred") or word in SCALES:
        article = _ARTICLE.search(lead)
        if article is None or article.group(1) == "per ":
            return None
        cardinal = _Cardinal(text, end, 12.0 if word == "dozen" else 1.0, "ones")
        if word != "dozen":
            cardinal.accept(word)
            cardinal.read()
        finish, value = cardinal.and_part()
        half = 0.5 if article.group(2) else 1.0
        return start - len(article.group(1)), finish, value * half, "spelled"
    after = word_after(text, end).lower()
    if word == "half":
        parted = after in _HALF_BEFORE and word_before(text, start) not in _NO_HALF_BEHIND
        return (start, end, 0.5, "fraction") if parted else None
    lone = lead == "a " or lead.endswith((" a ", "\na "))
    if lone and after == "of" and word in DENOMINATORS and word[-1] != "s":
        return start - 2, end, 1.0 / DENOMINATORS[word], "fraction"
    return None
