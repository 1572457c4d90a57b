"""Numbers in other written forms: spelled out, with separators, scientific, as ordinals."""

from __future__ import annotations

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


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
