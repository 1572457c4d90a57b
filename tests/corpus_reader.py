"""A reader of the built-in corpus: the facts that a text states.

It knows English cues, not templates or labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from math import isclose

from ssl_lib.synthetic.document import LabeledDocument

Fact = tuple[str, tuple[int | str, ...]]

_TEN_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SMALL_WORDS = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen"""
_TENS = {word: 20 + 10 * place for place, word in enumerate(_TEN_WORDS)}
_SMALL = {word: place for place, word in enumerate(re.findall(r"\w+", _SMALL_WORDS), start=1)}
_WORD = "|".join(sorted([*_SMALL, *_TENS, "hundred", "thousand"], key=len, reverse=True))
WORDS = rf"(\b(?i:{_WORD})(?:[ -](?:{_WORD}))*\b)"
_UNIT_SIZES = {
    ("length", 1): "mm millimetres",
    ("length", 10): "cm centimetres",
    ("length", 1000): "m metres",
    ("length", 1_000_000): "km kilometres",
    ("imperial", 1): "inches",
    ("imperial", 12): "feet",
    ("imperial", 36): "yards",
    ("mass", 1): "g grams",
    ("mass", 1000): "kg kilograms",
    ("mass", 1_000_000): "t tonnes",
    ("volume", 1): "ml millilitres",
    ("volume", 1000): "l litres",
    ("time", 1): "seconds",
    ("time", 60): "minutes",
    ("time", 3600): "hours",
    ("time", 86400): "days",
    ("time", 604800): "weeks",
}
_SIZE = {unit: key for key, units in _UNIT_SIZES.items() for unit in units.split()}
_SYMBOL = {unit: units.split()[0] for units in _UNIT_SIZES.values() for unit in units.split()}
_NAME = "|".join(sorted(_SIZE, key=len, reverse=True))


def read_words(text: str) -> int:
    """The value of a spelled-out number below a million."""
    total = group = 0
    for word in text.lower().replace("-", " ").split():
        if word == "thousand":
            total, group = total + 1000 * group, 0
        elif word == "hundred":
            group *= 100
        else:
            group += _SMALL.get(word) or _TENS[word]
    return total + group


def _sum_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    numbers = [int(number) for number in re.findall(r"(?<![\d.,])\d+(?![\d.,]*\d)", sentence)]
    cues = r"\+|plus|sum of \d|total of \d|Add \d|sum to|increased|ogether|dding|added|increase of"
    if re.search(cues + r"|bought|makes \d+ \w+\.", sentence):
        if len(numbers) == 3 and "%" not in sentence and "thousand" not in sentence:
            first, second, result = numbers
            yield ("addition", (first, second)), first + second == result
        elif sentence.startswith("Since") and "+" in sentence:
            yield (
                ("addition", tuple(numbers[:2])),
                numbers[0] + numbers[1] == numbers[2] == numbers[3],
            )


def _difference_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    cues = r"\d - \d|minus|ifference|Taking \d+ from|tracting|Take \d+ from|reduced|sold \d+, so"
    cues += r"|were used|leaves|more than \d+ by|distance is|\d less \d|Take \d+ away"
    cues += r"|so the profit|less a discount|lead was|won by \d"
    if re.search(cues, sentence):
        numbers = [int(number) for number in re.findall(r"\d+", sentence)]
        if len(numbers) < 3:
            return
        high, low, result = max(numbers[:2]), min(numbers[:2]), numbers[2]
        yield ("subtraction", (high, low)), high - low == result and numbers[-1] == result


def _parts_of_a_whole(sentence: str) -> Iterator[tuple[Fact, bool]]:
    """Three numbers in any words: the largest is the sum of the others, whichever is asked."""
    numbers = sorted(map(int, re.findall(r"\d+", sentence)))
    if len(numbers) == 3:
        yield ("addition", tuple(numbers[:2])), numbers[0] + numbers[1] == numbers[2]


_MORE = r"larger|largest|greater|greatest|higher|highest|bigger|biggest|maximum|at most|more than"
_LESS = r"smaller|smallest|lesser|lower|lowest|least|minimum|less than"


def _list_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    numbers = [int(number) for number in re.findall(r"\d+", sentence)]
    if len(numbers) < 2 or not re.search(rf"{_MORE}|{_LESS}", sentence):
        return
    most = re.search(_LESS, sentence.split("so the")[-1]) is None
    if len(numbers) == 2:
        holds = numbers[0] > numbers[1] if most else numbers[0] < numbers[1]
        yield ("comparison", tuple(numbers)), sentence.endswith("Yes." if holds else "No.")
        return
    ((answer, times),) = Counter(numbers).most_common(1)
    yield ("maximum", tuple(set(numbers))), times == 2 and answer == (max if most else min)(numbers)


def _percentage_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    match = re.search(r"(\d+)(?:%| percent) of (?:the )?\$?(\d+)(?!\.?\d)", sentence)
    numbers = [Decimal(number) for number in re.findall(r"\d+(?:\.\d+)?", sentence)]
    if match and len(numbers) == 3:
        rate, base = int(match[1]), int(match[2])
        (result,) = (Counter(numbers) - Counter([Decimal(rate), Decimal(base)])).elements()
        yield ("percentage", (rate, base)), rate * base == 100 * result
    elif len(numbers) == 3 and re.search(r"Out of|At \d", sentence):
        rate, base = map(int, numbers[:2] if sentence.startswith("At") else numbers[1::-1])
        yield ("percentage", (rate, base)), rate * base == 100 * numbers[2]
    elif len(numbers) == 3 and (
        named := re.search(r"(\d+)(?:%| percent| (?:in|of) every)", sentence)
    ):
        numbers.remove(Decimal(named[1]))
        yield (
            ("percentage", (int(named[1]), int(max(numbers)))),
            int(named[1]) * max(numbers) == 100 * min(numbers),
        )


def _conversion_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    text = sentence
    numbers = [
        (float(number), unit) for number, unit in re.findall(rf"([\d.]*\d) ?({_NAME})?\b", text)
    ]
    units = re.findall(rf"\b({_NAME})\b", text)
    if len(numbers) != 2 or len(set(units)) != 2 or _SIZE[units[0]][0] != _SIZE[units[1]][0]:
        return
    (first, unit), (second, other) = numbers
    unit = unit or next(name for name in units if name != other)
    other = other or next(name for name in units if name != unit)
    large, small = (unit, other) if _SIZE[unit][1] > _SIZE[other][1] else (other, unit)
    amount = first if large == unit else second
    operand = int(amount) if amount == int(amount) else f"{amount}"
    holds = isclose(first * _SIZE[unit][1], second * _SIZE[other][1], rel_tol=1e-12)
    yield ("conversion", (_SYMBOL[large], _SYMBOL[small], operand)), holds


def _numeration_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    words = [match for match in re.findall(WORDS, sentence) if read_words(match)]
    digits = re.findall(r"(?<![\d.,])\d+(?![.,]?\d)", re.sub(r"\$", "", sentence))
    if len(words) == len(digits) == 1 and "." not in sentence[:-1] and "comma" not in sentence:
        yield ("numeration", (int(digits[0]),)), read_words(words[0]) == int(digits[0])


def _numeration_in_money(sentence: str) -> Iterator[tuple[Fact, bool]]:
    if re.search("cheque|in words", sentence):
        yield from _numeration_facts(sentence)


def _sequence_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    if re.search(r"times|multipl|factor", sentence, re.IGNORECASE):
        return
    named = re.search(
        r"(?:(?:up|down) by|[Ss]teps? of|step is|differ by|all|[Ee]ach time) (\d+)", sentence
    )
    terms = sentence[: named.start(1)] + sentence[named.end(1) :] if named else sentence
    numbers = [int(number) for number in re.findall(r"\d+", terms)]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    holds = len(steps) == 1 and (not named or abs(min(steps)) == int(named[1]))
    yield ("sequence", (numbers[0], min(steps))), holds


def _multiple_facts(sentence: str) -> Iterator[tuple[Fact, bool]]:
    if not re.search(r"times|multipl|factor", sentence, re.IGNORECASE):
        return
    ratio = r"\d+(?= times)|(?<=Times )\d+|(?<=by )\d+|(?<=factor of )\d+"
    if "factor from" in sentence:
        ratio = r"\d+(?=\.$)"
    ratios = {int(number) for number in re.findall(ratio, sentence)}
    numbers = [int(number) for number in re.findall(r"\d+", re.sub(ratio, "", sentence))]
    holds = len(ratios) == 1 and all(
        later == min(ratios) * earlier for earlier, later in pairwise(numbers)
    )
    yield ("geometric", (numbers[0], min(ratios))), holds


READERS = {
    "arithmetic": (_sum_facts, _difference_facts, _parts_of_a_whole),
    "comparison": (_list_facts,),
    "percentages": (_percentage_facts,),
    "units": (_conversion_facts,),
    "numeration": (_numeration_facts,),
    "sequences": (_sequence_facts, _multiple_facts),
    "multiples": (_multiple_facts,),
    "money": (_sum_facts, _difference_facts, _numeration_in_money),
    "scores": (_sum_facts, _difference_facts),
    "measurements": (_conversion_facts,),
}
REASONING = (
    "arithmetic",
    "comparison",
    "percentages",
    "units",
    "numeration",
    "sequences",
    "multiples",
)


def sentences(text: str) -> list[str]:
    return re.findall(r"\S.*?[.](?=\s[A-Z\d]|$)", text.replace("? ", "?~")) and [
        piece.replace("?~", "? ")
        for piece in re.findall(r"\S.*?[.](?=\s[A-Z\d]|$)", text.replace("? ", "?~"))
    ]


def facts(documents: list[LabeledDocument]) -> Iterator[tuple[str, str, Fact, bool]]:
    for document in documents:
        for sentence in sentences(document.text):
            for reader in READERS.get(document.domain, ()):
                for fact, holds in reader(sentence):
                    yield document.domain, sentence, fact, holds
