"""Every number in a text: its exact span, its value in float64 and the form it is written in.

The rules stand in docs/numbers.md. Two engines find the same: the grammar (`digits`, `words`) reads
one number after another, `arrays` reads a long text at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ssl_lib.numbers.digits import find_digits
from ssl_lib.numbers.forms import FORMS, Raw, find_patterns
from ssl_lib.numbers.scale import decompose
from ssl_lib.numbers.words import find_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FORMS", "LONG", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]

LONG = 6000  # characters; from about here on the arrays are faster


class Number(NamedTuple):
    """One number: `text` is `source[start:end]` in characters, `form` one of `FORMS`.

    `value` is `sign * mantissa * 10**exponent`. Where the number is no usable target (identifiers,
    1e400), value and mantissa are NaN, sign and exponent 0.
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
    """The numbers of one text as columns of equal length; `form` is an index into `FORMS`."""

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    form: npt.NDArray[np.uint8]

    def at(self, places: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> NumberArrays:
        """The numbers at these places."""
        start, end = self.start[places], self.end[places]
        return NumberArrays(start, end, self.value[places], self.form[places])


def find_numbers(text: str) -> list[Number]:
    """Every number of `text`, in order and disjoint, with `text[start:end] == number.text`.

    Never raises; the time is linear in the length of the text.
    """
    found: Iterable[Raw]
    if len(text) < LONG:
        found = find_short(text)
    else:
        arrays = find_number_arrays(text)
        forms = [FORMS[index] for index in arrays.form.tolist()]
        spans = arrays.start.tolist(), arrays.end.tolist()
        found = zip(*spans, arrays.value.tolist(), forms, strict=True)
    return [Number(text[start:end], start, end, value, form) for start, end, value, form in found]


def find_number_arrays(text: str) -> NumberArrays:
    """The numbers of `find_numbers` as columns, without objects."""
    from ssl_lib.numbers.arrays import columns_of, find_long

    return find_long(text) if len(text) >= LONG else columns_of(find_short(text))


def find_short(text: str) -> list[Raw]:
    """The numbers of a text, read one after another: of two that overlap, the earlier stays."""
    found = find_digits(text)
    others = find_words(text) + find_patterns(text)
    if not others:
        return found
    found += others
    found.sort(key=lambda raw: (raw[0], -raw[1]))  # the longer of two that start together
    kept: list[Raw] = []
    end = 0
    for raw in found:
        if raw[0] >= end:
            kept.append(raw)
            end = raw[1]
    return kept
