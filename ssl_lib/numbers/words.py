"""The grammar of numbers in words: "two hundred and five", "half a million", "the twenty-first".

`find_words` looks for words that may begin a number and reads on from there. Every pattern is
possessive or bounded, so the time is linear in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from ssl_lib.numbers.behind import scale_behind, unit_behind
from ssl_lib.numbers.forms import Raw
from ssl_lib.numbers.lexicon import (
    DENOMINATORS,
    LARGE_ORDINALS,
    ONES,
    ORDINALS,
    SCALES,
    TEENS,
    TENS,
)
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
_WORDS |= {word: _Word("scale", number, True) for word, number in LARGE_ORDINALS.items()}
_WORDS |= {"hundred": _Word("hundred", 100), "hundredth": _Word("hundred", 100, True)}
for _word, _number in ORDINALS.items():
    _WORDS[_word] = _Word("ones" if _number < 10 else "teen", _number, True)
_CARDINALS = {*ONES, *TEENS, *TENS}
FIRST_WORDS = {*_CARDINALS, *SCALES, *ORDINALS, *DENOMINATORS, "zero", "hundred", "dozen"}

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
    r"[ \n\u00a0](?:[ \n]|oh|aught|ought|and|point|[hH]und|[tT]hou|[mMbB]ill|[tT]ri"
    r"|quad|doz|lakh|cror|[bmt]n\b|hal[fv]"
    r"|thir|quar|four|fif|six|seve|eig|nin|ten|ele|twel|hundr|per|pct|dollar|euro|cent|yen|rup|yuan"
    r"|rubl|franc|peso|pounds|buck|pence|[A-Z])|[^ \n.,;:)]"
)
_SIMPLE = re.compile(
    r"(?:[Tt](?:wo|hree|en|welve|hirteen)|[Ff](?:our|ive|ourteen|ifteen)|[Ss](?:ix|even|ixteen"
    rf"|eventeen)|[Ee](?:ight|leven|ighteen)|[Nn]ine(?:teen)?)(?![A-Za-z])(?!{_GOES_ON})"
)
_WORD = re.compile(r"[A-Za-z]++")
_NEXT_WORD = re.compile(r"([ \n\u00a0-]|  | ?\n {1,8})([A-Za-z]++)")
_AND_WORD = re.compile(r"([ \n])and[ \n]([A-Za-z]++)")
_OH = re.compile(r"[ -](?:oh|o|aught|ought)[ -]([a-z]++)")
_NOT_AFTER_AND = {*SCALES, *LARGE_ORDINALS, "hundred", "second"}
_AND_PART = re.compile(
    r"[ \n]and[ \n](?:(?:a|one)[ -](half|quarter|third)|(half)|(two|three)[ -](quarters|thirds))\b",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:^|[^a-z])((half )?an? )\Z")
_SIGN = re.compile(r"(?:minus|negative)[ -]$", re.IGNORECASE)
_DOZEN = re.compile(r"[ \n\u00a0-]?dozens?\b", re.IGNORECASE)
_IN_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'"

# --- words around "one" as a pronoun, "second" as a time, "half" as an adverb ---
_BEFORE_PRONOUN = frozenset(
    "no any every some each this that which the another only good big new old such own last next "
    "wrong right other small loved red blue green black white best better first second "
    "single".split()
)
_AFTER_PRONOUN = frozenset(
    "can could should would must might may will shall is was has had does did who whom whose that "
    "which s another ought cannot and or but as to by at when where if because wants needs feels "
    "sees finds gets".split()
)
_RELATIVE = frozenset("who whom whose that which".split())
_BEFORE_NUMBER = frozenset("to is equals was by chapter than".split())
_BEFORE_SECOND = frozenset("the his her its their our my your".split())
_AFTER_TIME = frozenset(
    "later ago before after and or to per of in at on is was then as that when the he she it they "
    "we i you so but until long".split()
)
_AFTER_HALF = frozenset("of the its their his her our my all a an past".split())
_AFTER_PART = frozenset(
    "of past to cup hour mile pound teaspoon tablespoon inch century ounce gallon pint".split()
)
_SOME = frozenset("several few many couple some these those of the per hundred thousand".split())
_AFTER_ARTICLE = {*SCALES, "hundred", "dozen"}
_LAST_SCALE = re.compile(
    rf"({'|'.join(SCALES)})(?:[ \n-](?:percent|per cent|[a-z ]*?(?:dollars?|euros?|yen|pounds)))?$",
    re.IGNORECASE,
)
_NOT_BEFORE_HALF = frozenset(
    "first second other better latter top bottom lower upper the this that".split()
)


def find_words(text: str, candidates: Iterable[int] | None = None) -> list[Raw]:
    """All numbers of `text` that are written in words, in order and disjoint.

    `candidates` are places where one may begin, none of them missing; by default they are searched.
    """
    if candidates is None:
        starts = [match.start() + 1 for match in _SCAN.finditer(text)]
        if _AT_START.match(text):
            starts.insert(0, 0)
    else:
        scan, at_start = _SCAN.match, _AT_START.match
        starts = [at for at in candidates if (scan(text, at - 1) if at else at_start(text))]
    found: list[Raw] = []
    floor = 0
    for start in starts:
        number = _read(text, start) if start >= floor else None
        if number is not None:
            if found and number[0] - found[-1][1] == len(" to "):
                found[-1] = _share(text, found[-1], number)
            found.append(number)
            floor = number[1] + 1  # a word needs a separator before it
    return found


def word_before(text: str, start: int) -> str:
    """The word in front of `start`, in lower case, or "".

    One blank or hyphen stands between them, two at the end of a line.
    """
    lead = text[max(0, start - 16) : start]
    for _ in range(2):
        mark, lead = lead[-1:], lead[:-1]
        if mark not in (" ", "\n", "-"):
            return ""
        word = lead[len(lead.rstrip(_IN_WORD)) :]
        if word or mark != "\n":
            return word.lower()
    return ""


def word_behind(text: str, end: int) -> str:
    """The word behind `end`, one blank or hyphen between them, or ""."""
    found = _NEXT_WORD.match(text, end)
    return found.group(2) if found else ""


def _read(text: str, start: int) -> Raw | None:
    """The number at the word that begins at `start`, with its sign, percent or currency word."""
    simple = _SIMPLE.match(text, start)
    if simple and text[start - 2 : start - 1] not in ("s", "e", "S", "E"):  # "minus", "negative"
        value = _WORDS[simple.group().lower()].number
        return start, simple.end(), float(value), "spelled"
    found = _WORD.match(text, start)
    assert found is not None
    word, end = found.group().lower(), found.end()
    if word not in FIRST_WORDS:
        return None
    if word in _CARDINALS or word == "zero":
        number = _cardinal(text, start, word, end)
    else:
        # "second" is no denominator; "a third of" is a fraction, "the third" an ordinal
        number = _part(text, start, word, end)
        if number is None and word in ORDINALS and _is_ordinal(text, start, word, end):
            number = start, end, float(ORDINALS[word]), "ordinal"
    if number is None:
        return None
    start, end, value, form = number
    sign = _SIGN.search(text, max(0, start - 9), start)
    if sign:
        # "seven minus two", "x minus two" subtract
        before = word_before(text, sign.start())
        digit = text[max(0, sign.start() - 2) : sign.start() - 1].isdecimal()
        if not (digit or before in _CARDINALS or len(before) == 1):
            start, value = sign.start(), -value
    if form in ("spelled", "fraction"):
        end, form = unit_behind(text, end, form)
    return start, end, usable(value), form


_Found = tuple[int, int, float, str] | None


def _cardinal(text: str, start: int, word: str, end: int) -> _Found:
    """A number that begins with a cardinal."""
    cardinal = _Cardinal(text, end)
    if word == "zero":
        cardinal.current, cardinal.place = 0.0, "zero"
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


def _part(text: str, start: int, word: str, end: int) -> _Found:
    """A number that begins with no cardinal: half of, a quarter of, a dozen, half a million."""
    lead = text[max(0, start - 8) : start].lower()
    if word in ("dozen", "hundred") or word in SCALES:
        article = _ARTICLE.search(lead)
        if article is None and not _stands_bare(text, start, end):
            return None
        cardinal = _Cardinal(text, end)
        cardinal.current, cardinal.place = (12.0 if word == "dozen" else 1.0), "ones"
        if word != "dozen":
            cardinal.accept(word)
            cardinal.read()
        finish, value = cardinal.and_part()
        if article is None:
            return start, finish, value, "spelled"
        half, begin = article.group(2), start - len(article.group(1))
        return begin, finish, value * (0.5 if half else 1.0), "spelled"
    after = word_behind(text, end).lower()
    if word == "half":
        parted = after in _AFTER_HALF and word_before(text, start) not in _NOT_BEFORE_HALF
        if after in ("a", "an"):  # "half a cup", but "half a million" is read at its scale
            parted &= word_behind(text, end + 1 + len(after)).lower() not in _AFTER_ARTICLE
        return (start, end, 0.5, "fraction") if parted else None
    led = lead == "a " or lead.endswith((" a ", "\na "))
    if led and after in _AFTER_PART and word in DENOMINATORS and word[-1] != "s":
        return start - 2, end, 1.0 / DENOMINATORS[word], "fraction"
    return None


def _stands_bare(text: str, start: int, end: int) -> bool:
    """Whether a scale word without an article is a number: "hundred and twenty", "hundred dollars".

    It is none in "several hundred dollars", nor behind digits, which it multiplies.
    """
    if word_before(text, start) in _SOME or text[max(0, start - 2) : start - 1].isdecimal():
        return False
    joined = _AND_WORD.match(text, end) or _NEXT_WORD.match(text, end)
    counted = joined is not None and joined.group(2).lower() in _CARDINALS
    return counted or unit_behind(text, end, "")[1] != ""


def _share(text: str, lower: Raw, upper: Raw) -> Raw:
    """The lower end of a range with the scale and unit of the upper: "five to six million"."""
    start, end, value, form = lower
    if text[end : upper[0]] != " to " or form != "spelled" or value >= 1000:
        return lower
    scale = _LAST_SCALE.search(text, upper[0], upper[1])
    factor = SCALES[scale[1].lower()] if scale else 1.0
    if value * factor >= upper[2]:
        return lower
    shared = upper[3] if upper[3] in ("percent", "currency") else form
    return start, end, value * factor, shared


def _is_pronoun(text: str, start: int, end: int) -> bool:
    """Whether a lone "one" is a pronoun ("the other one", "one should")."""
    before, after = word_before(text, start), word_behind(text, end)
    mark = text[end : end + 1]
    if before in _BEFORE_PRONOUN or after in _AFTER_PRONOUN or mark in ("'", "’"):
        counted = before == "only" and after and after not in _RELATIVE  # "only one left"
        return not (counted or after.lower() in ("hundred", "million"))
    return not after and mark not in ("-", "%", ",") and before not in _BEFORE_NUMBER


def _is_ordinal(text: str, start: int, word: str, end: int) -> bool:
    """Whether a lone word is an ordinal ("at first" and "a second later" have none)."""
    before, after = word_before(text, start), word_behind(text, end).lower()
    if word == "first":
        return before != "at"
    if word != "second":
        return True
    if before == "a":
        return after != "" and after not in _AFTER_TIME
    listed = before == "and" and after != ""
    return listed or before in _BEFORE_SECOND or text[start].isupper()


class _Cardinal:
    """Reads a cardinal word by word: "two", "hundred", "and", "five" make 205."""

    def __init__(self, text: str, end: int) -> None:
        self.text, self.end = text, end
        self.total = 0.0
        self.current: float | None = None  # of the thousands, millions, ... that are being read
        self.place = ""
        self.words = 0
        self.scale = math.inf
        self.ordinal = False

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
            first = before in ("teen", "tens") and self.words == 1 and 13 <= current <= 20
            year = first and not hyphen and not word.ordinal
            if not open_place and not year:
                return False
            self.current = word.number + (current * 100 if year else current)
        elif word.place == "hundred":
            if not 0 < current < 100 or before == "hundred":
                return False
            self.current = current * 100
        else:
            if not current or word.number >= self.scale:
                return False
            self.total += current * word.number
            self.current, self.scale = None, word.number
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
            if oh := self.year_of_oh():
                self.end = oh
                return
            word = found.group(2).lower()
            if joined and word in _NOT_AFTER_AND:
                return
            if not self.accept(word, hyphen=found.group(1) == "-"):
                return
            self.end = found.end()

    def year_of_oh(self) -> int:
        """The end of "nineteen oh five", whose value is taken; 0 if it is none."""
        found = _OH.match(self.text, self.end)
        ones = ONES.get(found[1]) if found else None
        if found is None or ones is None or self.words != 1 or not 13 <= self.value <= 20:
            return 0
        self.current, self.place = self.value * 100 + ones, "ones"
        self.words = 3
        return found.end()

    def fraction(self) -> tuple[int, float] | None:
        """`(end, value)` of "two thirds", "three-quarters", "one half", or None."""
        if self.words != 1 or self.ordinal or self.place not in ("ones", "teen"):
            return None
        name = word_behind(self.text, self.end)
        denominator = DENOMINATORS.get(name.lower())
        if denominator is None or (self.value == 1) == name.endswith("s"):
            return None
        return self.end + 1 + len(name), self.value / denominator

    def and_part(self) -> tuple[int, float]:
        """`(end, value)` with "and a half" and scale words: "three and a half million"."""
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
        if word_behind(self.text, self.end).lower() != "point":
            return self.end, self.value
        digits, end = "", self.end + len(" point")
        while len(digits) < 300:
            name = word_behind(self.text, end)
            word = name.lower()
            digit = 0 if word in ("zero", "oh") else ONES.get(word)
            if digit is None and not digits:
                digit = TEENS.get(word)  # "two point fifteen"
            if digit is None:
                break
            digits += str(digit)
            end += 1 + len(name)
        if not digits:
            return self.end, self.value
        end, factor = scale_behind(self.text, end)
        return end, (self.value + float("0." + digits)) * factor
