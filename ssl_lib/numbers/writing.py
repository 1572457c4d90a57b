"""Numbers in other written forms: spelled out, with separators, scientific, as ordinals."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from ssl_lib.numbers.finder import find_numbers

PLAIN_FORMS = ("integer", "decimal", "thousands", "scientific", "spelled")
AMOUNT_FORMS = ("percent", "currency")
LARGEST = 1e15  # integers up to there are exact in float64, whatever form they take
SPELLED_BELOW = 1_000_000
SCALES = ((10**9, "billion"), (10**6, "million"), (10**3, "thousand"))
_AMOUNT = re.compile(r"([$€£¥]?)(.+?)(%| percent| dollars| euros)?")

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = [
    "zero",
    "ten",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]


def spell(number: int) -> str:
    """English words of 0 to 999,999, without `and`: 2,345 is two thousand three hundred forty-five."""
    assert 0 <= number < 1_000_000
    if number >= 1000:
        rest = number % 1000
        return f"{spell(number // 1000)} thousand" + (f" {spell(rest)}" if rest else "")
    if number >= 100:
        rest = number % 100
        return f"{_UNITS[number // 100]} hundred" + (f" {spell(rest)}" if rest else "")
    if number < 20:
        return _UNITS[number]
    return _TENS[number // 10] + (f"-{_UNITS[number % 10]}" if number % 10 else "")


def ordinal(number: int) -> tuple[int, str]:
    """The number and its suffix: (3, "rd")."""
    suffix = (
        "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return number, suffix


def grouped(number: int) -> str:
    """With thousands separators: 1,234."""
    return f"{number:,}"


def shortest(number: float, places: int = 3) -> str:
    """Fixed-point digits without trailing zeros: 3.4, 12, 0.25."""
    text = f"{number:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scientific(number: int) -> str:
    """An integer exactly, in scientific notation: 1200 is 1.2e3."""
    digits = str(number)
    mantissa = digits.rstrip("0") or "0"
    point = f"{mantissa[0]}.{mantissa[1:]}" if len(mantissa) > 1 else mantissa
    return f"{point}e{len(digits) - 1}"


class _Forms(NamedTuple):
    digits: list[str]
    scaled: list[str]
    words: list[str]


def equivalent_forms(text: str, value: float, form: str) -> list[str]:
    """Other ways to write a number of this value and form (of `numerals`); none for dates, identifiers, fractions,
    negative numbers, and where `text` holds more than the number.

    Signs and units stay: "$3.4 million" is "$3,400,000", "12%" is "12 percent" and "twelve percent".
    """
    if (
        not 0 <= value < LARGEST
        or form not in (*PLAIN_FORMS, *AMOUNT_FORMS)
        or not _is_one_number(text, value)
    ):
        return []
    found = _AMOUNT.fullmatch(text)
    sign, _, unit = found.groups() if found else ("", "", None)
    if bool(sign or unit) != (form in AMOUNT_FORMS) or (sign and unit):
        return []
    digits, scaled, words = _forms_of(value)
    if sign:
        forms = [sign + number for number in [*digits, *scaled]]
    elif unit in ("%", " percent"):
        forms = [number + "%" for number in digits] + [
            f"{number} percent" for number in [*digits, *words]
        ]
    elif unit:
        forms = [number + unit for number in [*digits, *scaled, *words]]
    else:
        forms = [*digits, *scaled, *words, _scientific(value)]
    return [other for other in dict.fromkeys(forms) if other and other != text]


def _is_one_number(text: str, value: float) -> bool:
    found = find_numbers(text)
    return len(found) == 1 and (found[0].start, found[0].end, found[0].value) == (
        0,
        len(text),
        value,
    )


def _forms_of(value: float) -> _Forms:
    exact = Decimal(repr(value))
    if not value.is_integer():
        plain = f"{exact:f}"
        return _Forms([plain, plain + "0", *([f"{exact:,f}"] if value >= 1000 else [])], [], [])
    number = int(value)
    digits = [str(number), *([grouped(number)] if number >= 1000 else [])]
    scaled = [
        f"{shortest(number / size)} {name}"
        for size, name in SCALES
        if number >= size and number * 10 % size == 0
    ]
    spelled = number < SPELLED_BELOW and number != 1  # "one" by itself is rather a pronoun
    return _Forms(digits, scaled[:1], [spell(number)] if spelled else [])


def _scientific(value: float) -> str:
    """Integers from a thousand on and all decimals; an empty text for small integers, which nobody writes so."""
    if value.is_integer():
        return scientific(int(value)) if value >= 1000 else ""
    exact = Decimal(repr(value)).normalize()
    return f"{exact.scaleb(-exact.adjusted())}e{exact.adjusted()}"
