"""Every number in a text: its exact span, its value in float64 and the form it is written in.

The rules stand in docs/numbers.md. Two engines find the same: `digits` and `words` read one number
after another, `arrays` a long text at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ssl_lib.numbers.digits import find_digits
from ssl_lib.numbers.forms import FORM_INDEX, FORMS, Raw, disjoint, find_patterns
from ssl_lib.numbers.scale import decompose
from ssl_lib.numbers.words import find_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FORMS", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]

LONG = 6000  # characters; from about here on the arrays are faster


class Number(NamedTuple):
    """One number: `text` is `source[start:end]` in characters, `form` one of `FORMS`.

    `value` is `sign * mantissa * 10**exponent`. Where the number is no usable target (an identifier,
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
    """The numbers of one text as columns, all of length N: the fields of `Number`.

    `form` is an index into `FORMS`; the types are int64, int64, float64 and uint8.
    """

    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    form: npt.NDArray[np.uint8]


def find_numbers(text: str) -> list[Number]:
    """Every number of `text`, in order and disjoint, with `text[start:end] == number.text`.

    Never raises; the time is linear in the length of the text.
    """
    if len(text) < LONG:
        found = find_short(text)
    else:
        start, end, value, form = (column.tolist() for column in find_number_arrays(text))
        found = list(zip(start, end, value, map(FORMS.__getitem__, form), strict=True))
    return [Number(text[start:end], start, end, value, form) for start, end, value, form in found]


def find_number_arrays(text: str) -> NumberArrays:
    """The numbers of `find_numbers` as columns, without objects."""
    import numpy as np

    if len(text) >= LONG:
        from ssl_lib.numbers.arrays import find_columns

        return NumberArrays(*find_columns(text))
    found = find_short(text)
    start, end, value, form = zip(*found, strict=True) if found else ((), (), (), ())
    return NumberArrays(
        np.array(start, np.int64),
        np.array(end, np.int64),
        np.array(value, np.float64),
        np.array([FORM_INDEX[name] for name in form], np.uint8),
    )


def find_short(text: str) -> list[Raw]:
    """The numbers of a text, read one after another."""
    digits, words, others = find_digits(text), find_words(text), find_patterns(text)
    return disjoint(digits + words + others) if words or others else digits
