"""Text as people and scanners get it wrong, the edits between two texts, a spelling corrector.

A kind of noise turns one word or number into a wrong one. Nothing here is what training corrupts
its views with: what a model restores, it has to have learned from other noise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from random import Random
from typing import NamedTuple

_UNIT = re.compile(r"\w+(?:[.,:]\w+)*|[^\w\s]")
_WORD = re.compile(r"[^\W\d_]{4,}")
_NUMBER = re.compile(r"\d[\d.,:]*\d|\d")
LOOK_ALIKES = {"0": "O", "1": "l", "5": "S", "8": "B", "O": "0", "l": "1", "S": "5", "B": "8"}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


class Noise(NamedTuple):
    """A kind of noise: what it does to one piece, and whether that is a number."""

    corrupt: Callable[[str, Random], str]
    in_numbers: bool


def _swapped(piece: str, random: Random) -> str:
    """Two neighbours in another order; the piece as it is where no two of them differ."""
    places = [at for at in range(len(piece) - 1) if _may_swap(piece[at], piece[at + 1])]
    if not places:
        return piece
    at = random.choice(places)
    return piece[:at] + piece[at + 1] + piece[at] + piece[at + 2 :]


def _may_swap(first: str, second: str) -> bool:
    return first != second and first.isalnum() and second.isalnum()


def _dropped(piece: str, random: Random) -> str:
    at = random.randrange(len(piece))
    return piece[:at] + piece[at + 1 :]


def _doubled(piece: str, random: Random) -> str:
    at = random.randrange(len(piece))
    return piece[:at] + piece[at] + piece[at:]


def _look_alike(piece: str, random: Random) -> str:
    places = [at for at, character in enumerate(piece) if character in LOOK_ALIKES]
    if not places:
        return piece
    at = random.choice(places)
    return piece[:at] + LOOK_ALIKES[piece[at]] + piece[at + 1 :]


def _other_digit(piece: str, random: Random) -> str:
    at = random.choice([at for at, character in enumerate(piece) if character.isdigit()])
    digit = random.choice([digit for digit in "0123456789" if digit != piece[at]])
    return piece[:at] + digit + piece[at + 1 :]


KINDS = {
    "letters_swapped": Noise(_swapped, in_numbers=False),
    "letter_dropped": Noise(_dropped, in_numbers=False),
    "letter_doubled": Noise(_doubled, in_numbers=False),
    "letter_look_alike": Noise(_look_alike, in_numbers=False),
    "digit_look_alike": Noise(_look_alike, in_numbers=True),
    "digits_transposed": Noise(_swapped, in_numbers=True),
    "digit_changed": Noise(_other_digit, in_numbers=True),
}


def corrupted(
    text: str, kind: Noise, random: Random, spans: Sequence[tuple[int, int]] | None, share: float
) -> str | None:
    """The text with a share of its words or numbers made wrong, one at least; None if none can be.

    With `spans`, numbers alone that lie inside one of them.
    """
    pattern = _NUMBER if kind.in_numbers else _WORD
    changes = []
    for match in pattern.finditer(text):
        if spans is not None and not any(a <= match.start() and match.end() <= b for a, b in spans):
            continue
        wrong = kind.corrupt(match[0], random)
        if wrong != match[0]:
            changes.append((match.span(), wrong))
    if not changes:
        return None
    chosen = random.sample(changes, max(1, round(share * len(changes))))
    # from the end, so that places before stay what they are
    for (start, end), wrong in sorted(chosen, reverse=True):
        text = text[:start] + wrong + text[end:]
    return text


Edit = tuple[int, int, tuple[str, ...]]  # units [start, end) are replaced by others


def units(text: str) -> list[str]:
    """Words, numbers and signs: "It cost $3.40." → It, cost, $, 3.40, ."""
    return _UNIT.findall(text)


def edits_between(old: Sequence[str], new: Sequence[str]) -> set[Edit]:
    """What turns one list of units into another, unit by unit where as many stand on both sides."""
    found: set[Edit] = set()
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, start, end, its_start, its_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        if end - start == its_end - its_start:
            pairs = zip(range(start, end), new[its_start:its_end], strict=True)
            found |= {(at, at + 1, (unit,)) for at, unit in pairs}
        else:
            found.add((start, end, tuple(new[its_start:its_end])))
    return found


class SpellingCorrector:
    """Unknown words become the known ones within one edit that fit their neighbours best.

    The edits are Norvig's (2007, "How to write a spelling corrector"), the fit counts of training
    pairs on both sides, then of training words.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.words: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        for text in texts:
            found = units(text)
            self.words.update(found)
            self.pairs.update(pairwise(found))

    def correct(self, text: str) -> str:
        """The text with its unknown words replaced."""
        found = [(match.span(), match[0]) for match in _UNIT.finditer(text)]
        said = ["", *(unit for _, unit in found), ""]
        parts, done = [], 0
        for place, ((start, end), unit) in enumerate(found, start=1):
            # signs are no words
            if unit in self.words or not unit[0].isalnum():
                continue
            known = [one for one in _one_edit_from(unit) if one in self.words]
            if known:
                before, behind = said[place - 1], said[place + 1]
                said[place] = max(known, key=lambda one: self._fit(before, one, behind))
                parts += [text[done:start], said[place]]
                done = end
        return "".join([*parts, text[done:]])

    def _fit(self, before: str, word: str, behind: str) -> tuple[int, int, str]:
        # with one more of each, so that an unknown pair does not make the other one worthless
        pairs = (1 + self.pairs[before, word]) * (1 + self.pairs[word, behind])
        return pairs, self.words[word], word


def _one_edit_from(word: str) -> set[str]:
    """All strings that one deletion, swap, replacement or insertion makes of a word."""
    splits = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    found = {left + right[1:] for left, right in splits if right}
    found |= {left + right[1] + right[0] + right[2:] for left, right in splits if len(right) > 1}
    for letter in LETTERS:
        found |= {left + letter + right for left, right in splits}
        found |= {left + letter + right[1:] for left, right in splits if right}
    return found
