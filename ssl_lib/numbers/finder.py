"""Every number in a text: its exact span, its value in float64 and the form it is written in.

The rules stand in docs/numbers.md. Two engines find the same: the grammar (`digits`, `words`) reads
one number after another, `arrays` reads a long text at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from ssl_lib.numbers.digits import find_digits
from ssl_lib.numbers.forms import FORMS, Raw, find_patterns
from ssl_lib.numbers.locales import with_decimal_points
from ssl_lib.numbers.scale import decompose
from ssl_lib.numbers.units import unit_of
from ssl_lib.numbers.words import find_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FORMS", "LONG", "Number", "NumberArrays", "find_number_arrays", "find_numbers"]

# "(4)" of 1.23(4) and "± 0.2"
_UNCERTAINTY = re.compile(
    r"\.(?P<decimals>\d+)\((?P<digits>\d+)\)|(?:±|\+/?[-−])\s?(?P<amount>[\d.]+)"
)
_START = itemgetter(0)
LONG = 6000  # characters; from about here on the arrays are faster


class Number(NamedTuple):
    """One number: `text` is `source[start:end]` in characters, `form` one of `FORMS`.

    `unit` is the unit of measure as it stands beside the number, "" if there is none;
    `decimal_comma` says that its text was read with one, "3,5" as 3.5.

    `value` is `sign * mantissa * 10**exponent`. Where the number is no usable target (identifiers,
    1e400), value and mantissa are NaN, sign and exponent 0.
    """

    text: str
    start: int
    end: int
    value: float
    form: str
    unit: str = ""
    decimal_comma: bool = False

    @property
    def uncertainty(self) -> float | None:
        """0.2 of "5 ± 0.2", 0.0004 of "1.23(4)e-2"; None if none is written."""
        text = with_decimal_points(self.text, "de") if self.decimal_comma else self.text
        found = _UNCERTAINTY.search(text)
        if found is None:
            return None
        behind, digits = text[found.end() :], found["digits"]
        if digits:  # of the last digits that are written
            places = len(found["decimals"])
            digits = digits.zfill(places + 1)
            literal = f"{digits[:-places]}.{digits[-places:]}"
        else:
            literal = found["amount"]
        amounts = find_short(literal + behind)
        return amounts[0][2]

    @property
    def canonical_unit(self) -> str:
        """The name of the unit, "milligram" for "mg"; needs pint, the extra `units`.

        "" where pint knows none: of money and shares, too.
        """
        from ssl_lib.numbers.units import canonical_unit

        # pint would read "Rs" as ronnaseconds
        return "" if self.form in ("percent", "currency") else canonical_unit(self.unit)

    def in_base_units(self) -> tuple[float, str] | None:
        """(5e-06, "kilogram") for 5 mg; None without a unit that pint knows."""
        from ssl_lib.numbers.units import in_base_units

        return in_base_units(self.value, self.unit) if self.canonical_unit else None

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


def find_numbers(text: str, locale: str = "auto") -> list[Number]:
    """Every number of `text`, in order and disjoint, with `text[start:end] == number.text`.

    `locale` says whether numbers have decimal commas ("de": 3,5 is 3.5) or points ("en"); "auto"
    asks the text. The time is linear in the length of the text. Raises ValueError for a locale
    that is not known, and nothing else.
    """
    found: Iterable[Raw]
    points = with_decimal_points(text, locale)
    if len(text) < LONG:
        found = find_short(points)
    else:
        arrays = find_number_arrays(points, "en")
        forms = [FORMS[index] for index in arrays.form.tolist()]
        spans = arrays.start.tolist(), arrays.end.tolist()
        found = zip(*spans, arrays.value.tolist(), forms, strict=True)
    numbers = []
    turned = points is not text
    for start, end, value, form in found:
        written = text[start:end]
        unit = unit_of(text, end, form, written)
        decimal_comma = turned and points[start:end] != written
        numbers.append(Number(written, start, end, value, form, unit, decimal_comma))
    return numbers


def find_number_arrays(text: str, locale: str = "auto") -> NumberArrays:
    """The numbers of `find_numbers` as columns, without objects and units."""
    from ssl_lib.numbers.arrays import columns_of, find_long

    text = with_decimal_points(text, locale)
    return find_long(text) if len(text) >= LONG else columns_of(find_short(text))


def find_short(text: str) -> list[Raw]:
    """The numbers of a text, read one after another: of two that overlap, the earlier stays."""
    found = find_digits(text)
    others = find_words(text) + find_patterns(text)
    if not others:
        return found
    found += others
    found.sort(key=_START)
    kept: list[Raw] = []
    begin, end = -1, 0
    for raw in found:
        if raw[0] >= end:
            kept.append(raw)
            begin, end = raw[:2]
        elif raw[0] == begin and raw[1] > end:  # the longer of two that start together
            kept[-1] = raw
            end = raw[1]
    return kept
