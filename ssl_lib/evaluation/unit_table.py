"""Amounts of a text by rules alone: the number finder, and the table of units that pint has.

What a model of numbers has to be compared with: "3 km" and "3,000 metres" are one amount here,
without any training.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product

from ssl_lib.numbers import amount_similarity, find_numbers
from ssl_lib.numbers.units import in_base_units

DIGITS = 9  # as many as conversion leaves exact


def with_base_units(text: str, locale: str = "en") -> str:
    """A text with each amount in base units: "3,000 metres" and "3 km" → " 3000 meter "."""
    parts = []
    done = 0
    for number in find_numbers(text, locale):
        value, unit = _base(number.value, number.unit)
        # the unit stands right behind the number, or inside of it as "%" does
        end = number.end
        behind = text[end:].lstrip(" \u00a0\u202f-")
        if unit and behind.startswith(number.unit):
            end = len(text) - len(behind) + len(number.unit)
        parts += [text[done : number.start], f" {value:.{DIGITS}g} {unit} "]
        done = end
    return "".join([*parts, text[done:]])


def similarity_of_amounts(first: str, second: str, locale: str = "en") -> float:
    """Similarity of the amounts of two texts, of the least similar two where both have as many.

    Where one has more, that of the most similar two; 0 where one has none, or not of one kind.
    """
    found, other = (_amounts(text, locale) for text in (first, second))
    pairs = list(zip(found, other, strict=True)) if len(found) == len(other) else []
    if pairs:
        return min(_alike(*pair) for pair in pairs)
    return max((_alike(*pair) for pair in product(found, other)), default=0.0)


def _amounts(text: str, locale: str) -> list[tuple[float, str]]:
    numbers = [number for number in find_numbers(text, locale) if math.isfinite(number.value)]
    return [_base(number.value, number.unit) for number in numbers]


def _alike(first: tuple[float, str], second: tuple[float, str]) -> float:
    (value, unit), (other, other_unit) = first, second
    if unit != other_unit or value <= 0.0 or other <= 0.0:
        return float(first == second)
    return amount_similarity(value, other)


@lru_cache(maxsize=1 << 16)
def _base(value: float, unit: str) -> tuple[float, str]:
    """An amount in base units; as it stands where its unit is not in the table."""
    unit = "percent" if unit == "%" else unit
    found = in_base_units(value, unit) if unit and math.isfinite(value) else None
    return found or (value, "")
