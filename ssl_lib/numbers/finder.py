"""Every number in a text: its exact span, its value in float64 and the form it is written in (rules: docs/numbers.md).

Short texts are read from one run of digits to the next (`number_runs`), long ones in arrays (`number_batches`).
`number_words` looks for numbers in letters. All patterns are possessive or bounded: the time is linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssl_lib.numbers.number_batches import Digits, find_digits
from ssl_lib.numbers.number_candidates import characters
from ssl_lib.numbers.number_runs import find_runs
from ssl_lib.numbers.number_shapes import FORMS, Raw, decompose_all, disjoint
from ssl_lib.numbers.number_words import find_words

__all__ = ["FORMS", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]


@dataclass(frozen=True, slots=True)
class Number:
    """One number: `text` is `source[start:end]` in characters, `value == sign * mantissa * 10**exponent`.

    `value` and `mantissa` are NaN, `sign` and `exponent` 0, where the number is no usable target (identifiers, 1e400).
    """

    text: str
    start: int
    end: int
    value: float
    sign: int
    exponent: int
    mantissa: float
    form: str


class NumberArrays(NamedTuple):
    """The numbers of one text as columns, all of length N: the fields of `Number`; `form` is an index into `FORMS`."""

    start: np.ndarray
    end: np.ndarray
    value: np.ndarray
    sign: np.ndarray
    exponent: np.ndarray
    mantissa: np.ndarray
    form: np.ndarray


class _Draft:
    """A `Number` in the making: the same slots, but writable. Filling it and changing its class takes a third of the
    time that
    the constructor of a frozen dataclass does."""

    __slots__ = ("end", "exponent", "form", "mantissa", "sign", "start", "text", "value")


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
    exponents, mantissas = decompose_all(digits.value)
    common = (
        digits.start,
        digits.end,
        digits.value,
        np.sign(digits.value),
        exponents,
        mantissas,
        digits.form,
    )
    columns = zip(common, _columns(rare), strict=True)
    joined = NumberArrays(
        *(
            np.concatenate([first, second], dtype=second.dtype, casting="unsafe")
            for first, second in columns
        )
    )
    order = np.argsort(
        joined.start, kind="stable"
    )  # the columns are a few sorted stretches: one merge
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
    columns = zip(*found, strict=True) if found else ((),) * len(_KINDS)
    return NumberArrays(
        *(np.array(column, kind) for column, kind in zip(columns, _KINDS, strict=True))
    )


_KINDS = (np.int64, np.int64, np.float64, np.int8, np.int16, np.float64, np.uint8)


def find_numbers(text: str) -> list[Number]:
    """Every number of `text`, in order, disjoint, with `text[start:end] == number.text`. Never raises; O(len(text))."""
    numbers: list[Number] = []
    found = (
        _find_short(text)
        if len(text) < _BATCH
        else zip(*(c.tolist() for c in _find_long(text)), strict=True)
    )
    for start, end, value, sign, exponent, mantissa, form in found:
        draft = _Draft()
        draft.text, draft.start, draft.end, draft.value = text[start:end], start, end, value
        draft.sign, draft.exponent, draft.mantissa, draft.form = (
            sign,
            exponent,
            mantissa,
            FORMS[form],
        )
        draft.__class__ = Number
        numbers.append(draft)
    return numbers


def find_number_arrays(text: str) -> NumberArrays:
    """The numbers of `find_numbers` as columns (int64, int64, float64, int8, int16, float64, uint8), without
    objects."""
    return _columns(_find_short(text)) if len(text) < _BATCH else _find_long(text)
