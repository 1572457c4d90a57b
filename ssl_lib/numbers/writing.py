"""Numbers in other written forms: spelled out, with separators, scientific, as ordinals.

equivalent_forms("1,000", 1000.0, "thousands")  # → 1000, 1 thousand, one thousand, 1e3
"""

from __future__ import annotations

import re
from decimal import Decimal

from ssl_lib.numbers.finder import find_numbers
from ssl_lib.numbers.lexicon import ONES, TEENS, TENS

PLAIN_FORMS = ("integer", "decimal", "thousands", "scientific", "spelled")
AMOUNT_FORMS = ("percent", "currency")
LARGEST = 1e15  # integers up to there are exact in float64, whatever form they take
SPELLED_BELOW = 1_000_000
SCALES = {"billion": 10**9, "million": 10**6, "thousand": 10**3}
_AMOUNT = re.compile(r"([$€£¥]?)(.+?)(%| percent| dollars| euros)?")
_BELOW_TWENTY = ["zero", *ONES, *TEENS]
_TENS = ["zero", "ten", *TENS]


def spell(number: int) -> str:
    """English words of 0 to 999,999: 2,345 is two thousand three hundred forty-five."""
    assert 0 <= number < SPELLED_BELOW
    if number < 20:
        return _BELOW_TWENTY[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{_TENS[tens]}-{_BELOW_TWENTY[ones]}" if ones else _TENS[tens]
    size, scale = (1000, "thousand") if number >= 1000 else (100, "hundred")
    count, rest = divmod(number, size)
    words = f"{spell(count)} {scale}"
    return f"{words} {spell(rest)}" if rest else words


def ordinal(number: int) -> tuple[int, str]:
    """The number and its suffix: (3, "rd")."""
    suffixes = {1: "st", 2: "nd", 3: "rd"}
    teen = 10 <= number % 100 <= 20
    return number, "th" if teen else suffixes.get(number % 10, "th")


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
    first, rest = mantissa[0], mantissa[1:]
    point = f"{first}.{rest}" if rest else first
    return f"{point}e{len(digits) - 1}"


def equivalent_forms(text: str, value: float, form: str) -> list[str]:
    """Other ways to write a number of this text, value and form (of `FORMS`).

    Signs and units stay: "$3.4 million" is "$3,400,000", "12%" is "12 percent" and "twelve
    percent". There are none for dates, identifiers, fractions, negative numbers, and where `text`
    holds more than the number.
    """
    amount = form in AMOUNT_FORMS
    if not 0 <= value < LARGEST or not (amount or form in PLAIN_FORMS):
        return []
    found = _AMOUNT.fullmatch(text)
    sign, unit = (found[1], found[3]) if found else ("", None)
    if (sign and unit) or bool(sign or unit) != amount:
        return []
    if [(number.text, number.value) for number in find_numbers(text)] != [(text, value)]:
        return []
    digits, scaled, words, powers = _ways_to_write(value)
    if sign:
        forms = [sign + number for number in digits + scaled]
    elif unit in ("%", " percent"):
        forms = [number + "%" for number in digits]
        forms += [number + " percent" for number in digits + words]
    elif unit:
        forms = [number + unit for number in digits + scaled + words]
    else:
        forms = digits + scaled + words + powers
    return [other for other in dict.fromkeys(forms) if other != text]


def _ways_to_write(value: float) -> tuple[list[str], list[str], list[str], list[str]]:
    """In digits, with a scale word, in words, as a power of ten, as far as people write so."""
    if not value.is_integer():
        exact = Decimal(repr(value))
        digits = [f"{exact:f}", f"{exact:f}0"]
        if value >= 1000:
            digits.append(f"{exact:,f}")
        mantissa = exact.normalize().scaleb(-exact.adjusted())
        return digits, [], [], [f"{mantissa}e{exact.adjusted()}"]
    number = int(value)
    digits, scaled, words, powers = [str(number)], [], [], []
    if number >= 1000:
        digits.append(grouped(number))
        powers.append(scientific(number))
    for name, size in SCALES.items():
        if number >= size and number * 10 % size == 0:
            scaled.append(f"{shortest(number / size)} {name}")
    if number < SPELLED_BELOW and number != 1:  # "one" by itself is rather a pronoun
        words.append(spell(number))
    return digits, scaled[:1], words, powers
