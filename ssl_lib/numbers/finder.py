"""Every number in a text: its exact span, its value in float64 and the form it is written in (rules: docs/numbers.md).

Short texts are read from one run of digits to the next (`number_runs`), long ones in arrays (`number_batches`).
`number_words` looks for numbers in letters. All patterns are possessive or bounded: the time is linear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ssl_lib.numbers.number_batches import Digits, find_digits
from ssl_lib.numbers.number_candidates import characters
from ssl_lib.numbers.number_runs import find_runs
from ssl_lib.numbers.number_shapes import FORMS, Raw, disjoint
from ssl_lib.numbers.number_words import find_words
from ssl_lib.numbers.scale import decompose

__all__ = ["FORMS", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]


class Number(NamedTuple):
    """One number: `text` is `source[start:end]` in characters, `form` one of `FORMS`.

    `value` is `sign * mantissa * 10**exponent`; it is NaN, `sign` and `exponent` are 0 and `mantissa` is NaN where the
    number is no usable target (identifiers, 1e400).
    """

    text: str
    start: int
    end: int
    value: float
    form: str

    @property
    def sign(self) -> int:
        """-1, 0 or 1."""
        return decompose(self.value)[0]

    @property
    def exponent(self) -> int:
        """The order of magnitude: 3 for 1,234."""
        return decompose(self.value)[1]

    @property
    def mantissa(self) -> float:
        """In [1, 10): 1.234 for 1,234; 0.0 for zero."""
        return decompose(self.value)[2]


class NumberArrays(NamedTuple):
    """The numbers of one text as columns, all of length N: the fields of `Number`; `form` is an index into `FORMS`."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    form: np.ndarray


_BATCH = 8000  # characters; from about here on, arrays are faster than one run after another


def _find_short(text: str) -> list[Raw]:
    """The numbers of a text, read one after another."""
    digits, words = find_runs(text), find_words(text)
    return disjoint(digits + words) if digits and words else digits or words


def _find_long(text: str) -> NumberArrays:
    """The same in columns; what is common is read in arrays."""
    codes = characters(text)
    digits, rare = find_digits(text, codes)
    rare += find_words(text, codes)
    return _kept(_merged(digits, rare))


def _merged(digits: Digits, rare: list[Raw]) -> NumberArrays:
    """Both in one set of columns, sorted by start, the longer first."""
    joined = NumberArrays(
        *(
            np.concatenate([first, second], dtype=second.dtype, casting="unsafe")
            for first, second in zip(digits, _columns(rare), strict=True)
        )
    )
    # the columns are a few sorted stretches: one merge
    order = np.argsort(joined.start, kind="stable")
    start = joined.start[order]
    if (start[1:] == start[:-1]).any():
        order = np.lexsort((-joined.end, joined.start))
    return NumberArrays(*(column[order] for column in joined))


def _kept(numbers: NumberArrays) -> NumberArrays:
    """Of two that overlap, the earlier (then the longer) stays."""
    furthest = np.maximum.accumulate(numbers.end)
    dropped: set[int] = set()
    before = 0  # the last that stays in front of those that were dropped last
    for index in (np.flatnonzero(numbers.start[1:] < furthest[:-1]) + 1).tolist():
        before = before if index - 1 in dropped else index - 1
        if numbers.start[index] < numbers.end[before]:
            dropped.add(index)
    return (
        NumberArrays(*(np.delete(column, list(dropped)) for column in numbers))
        if dropped
        else numbers
    )


def _columns(found: list[Raw]) -> NumberArrays:
    kept = [(start, end, value, form) for start, end, value, _, _, _, form in found]
    columns = zip(*kept, strict=True) if kept else ((),) * len(_KINDS)
    return NumberArrays(
        *(np.array(column, kind) for column, kind in zip(columns, _KINDS, strict=True))
    )


_KINDS = (np.int64, np.int64, np.float64, np.uint8)


def find_numbers(text: str) -> list[Number]:
    """Every number of `text`, in order, disjoint, with `text[start:end] == number.text`. Never raises; O(len(text))."""
    if len(text) >= _BATCH:
        columns = (column.tolist() for column in _find_long(text))
        found = list(zip(*columns, strict=True))
    else:
        found = [(raw[0], raw[1], raw[2], raw[6]) for raw in _find_short(text)]
    return [
        Number(text[start:end], start, end, value, FORMS[form]) for start, end, value, form in found
    ]


def find_number_arrays(text: str) -> NumberArrays:
    """The numbers of `find_numbers` as columns (int64, int64, float64, uint8), without objects."""
    return _columns(_find_short(text)) if len(text) < _BATCH else _find_long(text)
