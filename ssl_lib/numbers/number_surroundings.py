"""What stands in front of and behind all runs of digits of a text at once, as far as tables over bytes can tell.

Wherever they cannot, the run is marked for a closer look (`number_context`). One entry a run.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssl_lib.numbers.number_candidates import NOT_ASCII, Bytes, Flags, bytes_where
from ssl_lib.numbers.number_context import DATE_WORDS, MONTH_AFTER, MORE_AFTER, NAMED
from ssl_lib.numbers.number_runs import BEHIND, WORD_KINDS, Memo
from ssl_lib.numbers.number_shapes import CURRENCY_CODES, MONTH_NAMES, unit_after

Places = npt.NDArray[np.int64]

_BEHIND = re.compile(BEHIND)
_SCALE_POWER = {"m": 6, "b": 9, "t": 12}
# What may stand behind a free run: 0 anything else (a closer look), 1 surely nothing of it, 2 a blank or hyphen.
_FREE_AFTER = np.zeros(256, np.uint8)
_FREE_AFTER[:128] = 1
_FREE_AFTER[[ord(c) for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz%*^"]] = 0
_FREE_AFTER[[ord(c) for c in " \n-"]] = 2
_BLANK_BEFORE = bytes_where(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f") | (np.arange(256) >= NOT_ASCII)


_OPENS = bytes_where(" (\n")
_WORD = bytes_where("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz") | (
    np.arange(256) >= NOT_ASCII
)
_MINUS_ENDS = np.zeros(65536, bool)
_MINUS_ENDS[[ord("u") << 8 | ord("s"), ord("v") << 8 | ord("e")]] = True
_ORDINALS = np.zeros(65536, bool)
_ORDINALS[
    [ord(one) << 8 | ord(two) for one, two in ("st", "nd", "rd", "th", "ST", "ND", "RD", "TH")]
] = True


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


_WHOLE_WORDS = [*NAMED, *MONTH_NAMES]
_WORD_ENDS = ["rs", "minus", "negative", *CURRENCY_CODES.lower().split("|")]
_SPACES = [ord(character) & 31 for character in " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"]


def _suffixes_before() -> Bytes:
    """A table over four times five bits: the last four characters of words that matter in front of a number (2), or
    in front of a year alone (1)."""
    table = np.zeros((32, 32, 32, 32), np.uint8)
    for words, lead, mark in (
        (DATE_WORDS, _SPACES, 1),
        (_WHOLE_WORDS, _SPACES, 2),
        (_WORD_ENDS, list(range(32)), 2),
    ):
        for word in words:
            codes = [[ord(letter) & 31] for letter in word[-4:]]
            if len(codes) < 4:
                codes.insert(0, lead)
            table[np.ix_(*[list(range(32))] * (4 - len(codes)), *codes)] |= mark
    return table.ravel()


_PAIRS, _SUFFIXES = _pairs_behind(), _suffixes_before()
_MARKS = bytes_where(".:#")


def _may_matter(codes: Bytes, start: Places, size: Places) -> Flags:
    """Whether the word in front of each run, one blank between them, may be one that matters; few others pass."""
    last = start - 2
    signs = (codes[last] == ord("$")) | (codes[last] >= NOT_ASCII)
    last = last - _MARKS[codes[last]]
    letters = np.zeros(len(start), np.int64)
    for place in range(4):
        letter = codes[last - place]
        signs |= letter >= NOT_ASCII
        letters |= (letter & 31).astype(np.int64) << 5 * place
    return signs | (_SUFFIXES[letters] >= np.where(size == 4, 1, 2))


class Before(NamedTuple):
    """What stands before each run: kinds as in `number_runs` (3: a closer look), and what belongs to it."""

    kind: npt.NDArray[np.uint8]
    dollar: Flags
    minus: Flags
    open: Flags  # after a blank or bracket, where dates may stand
    marked: Flags  # in brackets, as area codes are, or with a stop at the start of a line, as list numbers are


def before_runs(text: str, codes: Bytes, start: Places, end: Places) -> Before:
    """What stands in front of the runs; `codes` is `number_candidates.characters(text)`."""
    one, two, three = (codes[start - place] for place in (1, 2, 3))
    line = one == ord("\n")
    spaced = ((one == ord(" ")) | line) & ~_BLANK_BEFORE[two]
    bracket = one == ord("(")
    dollar = (one == ord("$")) & ((two == ord(" ")) | (two == ord("(")))
    dollar &= ~_MINUS_ENDS[(codes[start - 4].astype(np.int64) << 8) | three]
    signed_dollar = (one == ord("$")) & (two == ord("-")) & _OPENS[three]
    minus = ((one == ord("-")) & _OPENS[two]) | signed_dollar
    free = spaced | bracket | dollar | minus | (one == ord("["))
    kinds = np.where(free & (start > 16), 0, 3).astype(np.uint8)
    known = np.flatnonzero(spaced & (start > 16))
    known = known[_may_matter(codes, start[known], (end - start)[known])]
    find, words = text.rfind, WORD_KINDS
    kinds[known] = [
        words[text[find(" ", p - 16, p - 1) + 1 : p - 1][-16:]] for p in start[known].tolist()
    ]
    less = known[(kinds[known] == 3) & (three == ord("u"))[known]]
    kinds[less] = [3 * (_SUBTRACTS.match(text, p - 8) is None) for p in start[less].tolist()]
    rates = np.flatnonzero((one == ord("/")) & (start > 16))
    kinds[rates] = [
        _RATES[text[find(" ", p - 16, p - 1) + 1 : p][-16:]] for p in start[rates].tolist()
    ]
    marked = (codes[end] == ord(")")) & (bracket | line) | (codes[end] == ord(".")) & line
    return Before(kinds, dollar | signed_dollar, minus, spaced | bracket, marked)


def _rate(before: str) -> int:
    """0 if the number is free behind the word and stroke ("births/"), 3 if it may be part of an address or a path."""
    return 0 if len(before) < 16 and _RATE.fullmatch(before) else 3


_RATE = re.compile(r"[A-Za-z]+(?:\(s\))?/")
_SUBTRACTS = re.compile(r"[0-9)] [Mm]inus ")
_RATES = Memo(_rate)


class After(NamedTuple):
    """What stands behind each run. Where `closer` is set, the arrays do not know."""

    closer: Flags
    percent: Flags
    currency: Flags
    near: Flags  # a word that is no part of the number after all, or a percent or currency word
    power: Places  # of ten, of the scale word
    length: Places  # characters of words, "%" or "th" that belong to the number
    month: Flags
    decade: Flags
    ordinal: Flags


def after_runs(text: str, codes: Bytes, end: Places, wanted: Flags) -> After:
    """What stands behind the runs; words are read for those that are `wanted` only."""
    one, two, three = (codes[end + place] for place in range(3))
    after = _FREE_AFTER[one]
    percent = one == ord("%")
    decade = (one == ord("s")) & ~_WORD[two]
    ordinal = _ORDINALS[(one.astype(np.int64) << 8) | two] & ~_WORD[three]
    unsure = (two >= NOT_ASCII) | (
        (one == ord(" ")) & ((two - np.uint8(48)) < 10)
    )  # the run may go on
    closer = (after == 0) & ~(percent | decade | ordinal) | unsure
    power, length = np.zeros(len(end), np.int64), percent + 2 * ordinal
    month, near, currency = np.zeros((3, len(end)), bool)
    looked = np.flatnonzero(
        wanted & ~closer & (after == 2) & _PAIRS[two.astype(np.int64) << 8 | three]
    )
    match, date, more = _BEHIND.match, MONTH_AFTER.match, MORE_AFTER.match
    for index, place in zip(looked.tolist(), end[looked].tolist(), strict=True):
        found = match(text, place)
        if found is None or found.lastindex is None:
            continue
        if found.lastindex == 1:
            power[index], length[index] = _SCALE_POWER[text[place + 1]], found.end() - place
        elif date(text, place):
            month[index] = True
        elif more(text, place):
            closer[index] = True
        else:
            near[index] = True
            finish, form = unit_after(text, place, "")
            length[index] = finish - place
            percent[index], currency[index] = form == "percent", form == "currency"
    for index in np.flatnonzero(wanted & ordinal & ~closer).tolist():
        place = int(end[index]) + 2
        closer[index] = unit_after(text, place, "")[0] != place
    return After(closer, percent, currency, near, power, length, month, decade, ordinal)
