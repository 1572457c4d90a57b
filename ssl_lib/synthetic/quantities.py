"""Random draws, and which quantities belong to which split.

Every statement of a relation (a sum, a comparison, a conversion ...) belongs to exactly one split,
decided by a hash of its operands. The same fact in other words or in the other direction has the
same key: 563 - 218 = 345 is the fact 218 + 345 = 563; 3000 m = 3 km is 3 km = 3000 m; a progression
shares its key with all others through the same numbers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TypeVar

SPLITS = ("train", "validation", "test")
PERCENT_RATES = (5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 80, 90)

Item = TypeVar("Item")


class Draw:
    """Random choices for one document of one split, reproducible from (seed, split, index)."""

    __slots__ = ("random", "split")

    def __init__(self, seed: int | str, split: str, index: int = 0) -> None:
        assert split in SPLITS, split
        # not `hash`, which is another one in every process
        digest = blake2b(f"{seed}/{split}/{index}".encode(), digest_size=8).digest()
        self.random = random.Random(int.from_bytes(digest, "little")).random
        self.split = split

    def below(self, stop: int) -> int:
        """An integer from 0 to stop - 1."""
        return int(self.random() * stop)

    def between(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, choices: Sequence[Item]) -> Item:
        """One of the choices."""
        return choices[int(self.random() * len(choices))]

    def shuffled(self, choices: Sequence[Item]) -> list[Item]:
        """The choices in random order (Fisher and Yates)."""
        result = list(choices)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result


def operand_split(family: str, *operands: int | str) -> str:
    """The split that owns a fact: about 85% train, 5% validation, 10% test.

    Operands: addition and comparison two numbers; subtraction minuend and subtrahend; maximum and
    minimum the list; sequence start and step; geometric start and ratio; conversion larger unit,
    smaller unit, amount of the larger; percentage rate and base; numeration the number. The order
    of equal partners is free. Other families are hashed as they stand.
    """
    key = repr(_canonical(family, operands)).encode()
    percent = int.from_bytes(blake2b(key, digest_size=4).digest(), "little") % 100
    if percent < 85:
        return "train"
    return "validation" if percent < 90 else "test"


def _canonical(family: str, operands: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """One key for all ways to state a fact: ("subtraction", (9, 4)) → ("addition", 4, 5)."""
    if family in ("addition", "comparison", "maximum", "minimum"):
        name = "addition" if family == "addition" else "list"
        return (name, *sorted(map(int, operands)))
    if family == "subtraction":
        minuend, subtrahend = map(int, operands)
        return ("addition", *sorted((subtrahend, minuend - subtrahend)))
    if family == "sequence":
        start, step = map(int, operands)
        return ("sequence", start % abs(step), abs(step))
    if family == "geometric":
        start, ratio = map(int, operands)
        while start % ratio == 0:
            start //= ratio
        return ("geometric", start, ratio)
    return (family, *operands)


@lru_cache(maxsize=8)
def percentage_facts(split: str) -> tuple[tuple[int, int], ...]:
    """All (rate, base) of a split that are asked: the rates of multiples of 20 up to 1,000.

    Of those, the results are whole.
    """
    # 600 in all
    facts = ((rate, base) for rate in PERCENT_RATES for base in range(20, 1001, 20))
    return tuple(fact for fact in facts if operand_split("percentage", *fact) == split)


def draw_sum(draw: Draw, limit: int = 999) -> tuple[int, int]:
    """Two addends up to `limit` whose sum belongs to the split."""
    while True:
        first = _operand(draw)
        second = _operand(draw)
        if max(first, second) > limit:
            continue
        if operand_split("addition", first, second) == draw.split:
            return first, second


def draw_difference(draw: Draw, limit: int = 999) -> tuple[int, int]:
    """Minuend and smaller subtrahend up to `limit` whose difference belongs to the split."""
    while True:
        low, high = sorted((_operand(draw), _operand(draw)))
        if low == high or high > limit:
            continue
        if operand_split("subtraction", high, low) == draw.split:
            return high, low


def _operand(draw: Draw) -> int:
    """One to three digits, three of them half of the time."""
    share = draw.random()
    if share < 0.15:
        return draw.between(1, 9)
    if share < 0.5:
        return draw.between(10, 99)
    return draw.between(100, 999)


def draw_list(draw: Draw, count: int, digits: int = 4) -> list[int]:
    """`count` different numbers of up to `digits` digits whose list belongs to the split.

    Half of the lists are close: see `near`.
    """
    while True:
        first = _whole(draw, digits)
        high = 10**digits - 1
        close = draw.random() < 0.5
        numbers = [first]
        while len(numbers) < count:
            other = near(draw, draw.pick(numbers), high) if close else _whole(draw, digits)
            if other not in numbers:
                numbers.append(other)
        if operand_split("comparison", *numbers) == draw.split:
            return draw.shuffled(numbers)


def near(draw: Draw, value: int, high: int) -> int:
    """A number from 1 to `high` close to `value`, or `value` itself.

    It is one to three ones, tens or hundreds away, or has two neighboring digits exchanged.
    """
    share = draw.random()
    # 563 → 653 or 536
    if share < 0.3 and value >= 10:
        digits = list(str(value))
        place = draw.below(len(digits) - 1)
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
        if digits[0] != "0":
            return int("".join(digits))
        return value
    scale = 1 if share < 0.6 else 10 if share < 0.85 else 100
    steps = draw.pick((-3, -2, -1, 1, 2, 3))
    moved = value + steps * scale
    if 1 <= moved <= high:
        return moved
    return value


def draw_progression(draw: Draw, start_limit: int = 200, step_limit: int = 25) -> tuple[int, int]:
    """Start and step of an arithmetic progression of the split."""
    while True:
        start = draw.between(1, start_limit)
        step = draw.between(2, step_limit)
        if operand_split("sequence", start, step) == draw.split:
            return start, step


def draw_geometric(draw: Draw, start_limit: int = 60) -> tuple[int, int]:
    """Start and ratio of a geometric progression of the split."""
    while True:
        start = draw.between(1, start_limit)
        ratio = draw.pick((2, 2, 3, 10))
        if operand_split("geometric", start, ratio) == draw.split:
            return start, ratio


def draw_numeral(draw: Draw, digits: int = 4) -> int:
    """A number of up to `digits` digits whose spelled-out form belongs to the split."""
    while True:
        number = _whole(draw, digits)
        if operand_split("numeration", number) == draw.split:
            return number


def _whole(draw: Draw, digits: int) -> int:
    """Mostly `digits` or one less, now and then any number of digits."""
    least = 1 if draw.random() < 0.4 else digits - 1
    size = draw.between(least, digits)
    return draw.between(10 ** (size - 1), 10**size - 1)
