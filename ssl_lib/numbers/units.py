"""The unit beside a number: as it is written, its canonical name, amounts in base units.

    unit_of("5 mg/dL of", 1, "integer", "5")  # → "mg/dL"
    canonical_unit("mg/dL")  # → "milligram / deciliter"

The names are those of pint, which is imported when one is asked for.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ssl_lib.errors import MissingExtraError
from ssl_lib.numbers import lexicon

_WORDS = (
    "second minute hour day week month year meter metre gram liter litre watt volt amp ampere ohm "
    "hertz joule newton pascal mole byte bit calorie ton tonne gallon pint quart cup teaspoon "
    "tablespoon ounce pound inch foot yard mile acre hectare degree knot".split()
)
_PREFIXES = ["", *"kilo mega giga tera deci centi milli micro nano pico".split()]
_SINGULAR = {prefix + word for prefix in _PREFIXES for word in _WORDS}
# Symbols that are rather words or marks behind a blank: "5 in all", "3 x", "12 h" is one.
_NO_UNITS = frozenset("p x X e c ish th w am pm AM PM o t C F".split())
_ONLY_GLUED = frozenset("in d s a".split())
UNITS = (lexicon.UNIT_SYMBOLS - _NO_UNITS) | _SINGULAR | {word + "s" for word in _SINGULAR}
UNITS |= {"feet", "inches", "hertz", "celsius", "kelvin"}

_FIRST = re.compile(r"[ \u00a0\u202f-]?([°A-Za-zÅµμΩ]++)")
_RAISED = re.compile(r"[⁻⁺]?[²³¹]|\^?[-−]?[1-4](?![\d.,])")
# "/dL", "·s", " per day", and " s-1" if it has an exponent
_NEXT = re.compile(r"(?:[/·*⋅]| per |[ \u00a0](?=[A-Za-zµμ]{1,3}(?:[-−⁻]|\^-)))([°A-Za-zÅµμΩ]++)")
_WITHOUT = ("date_part", "time_part", "identifier", "list_marker", "roman", "ordinal")
_PERCENT = re.compile(r"[%‰％٪]|per ?cent|per mille|pct|Prozent|pour cent")
_MONEY = re.compile(
    rf"[{lexicon.CURRENCY_SIGNS}¢]|{lexicon.CURRENCY_CODES}|{lexicon.CURRENCY_WORDS}|Rs"
)
# what pint calls otherwise
_NAMES = {"mcg": "microgram", "wks": "week", "wk": "week", "mo": "month", "°": "degree"}
_NAMES |= {"°C": "degC", "°F": "degF", "°K": "kelvin", "mins": "minute", "hrs": "hour"}
_NAMES |= {"yrs": "year", "oz": "ounce", "lbs": "pound", "yo": "year", "U": "", "IU": ""}
_FACTOR = re.compile(r"([°A-Za-zÅµμΩ]+)\^?(-?\d)?")
_PRODUCT = re.compile(rf"{_FACTOR.pattern}(?:[/*\s]{_FACTOR.pattern})*")


def unit_of(text: str, end: int, form: str, written: str) -> str:
    """The unit of the number `written` that ends at `end`, as the text has it, or ""."""
    if form == "percent" or form == "currency":
        inside = (_PERCENT if form == "percent" else _MONEY).search(written)
        return inside[0] if inside else ""
    first = None if form in _WITHOUT else _FIRST.match(text, end)
    if first is None:
        return ""
    start, finish = first.span(1)
    if first[1] not in UNITS or (start > end and first[1] in _ONLY_GLUED):
        return ""
    for _ in range(4):
        raised = _RAISED.match(text, finish)
        finish = raised.end() if raised else finish
        following = _NEXT.match(text, finish)
        if following is None or following[1] not in UNITS:
            break
        finish = following.end()
    return text[start:finish]


@lru_cache(maxsize=1)
def _registry() -> Any:
    try:
        import pint
    except ModuleNotFoundError:
        raise MissingExtraError("pint", "units") from None
    return pint.UnitRegistry()


@lru_cache(maxsize=4096)
def canonical_unit(written: str) -> str:
    """The name of a unit, "milligram" for "mg"; "" where pint knows none.

    Raises MissingExtraError if pint is not installed.
    """
    plain = written.translate(str.maketrans("⁻−²³¹·⋅", "--231**")).replace(" per ", "/")
    # "%" and "$" are none, and no text for pint's parser
    if not _PRODUCT.fullmatch(plain):
        return ""
    registry = _registry()
    # "kg m-2 s-1" → "kg**1 * m**-2 * s**-1"
    named = _FACTOR.sub(
        lambda found: f"{_NAMES.get(found[1], found[1])}**{found[2] or 1}", plain.replace(" ", "*")
    )
    try:
        return str(registry.parse_units(named))
    except (AttributeError, ValueError):  # pint's errors: a name that it does not know, no name
        return ""


def in_base_units(value: float, written: str) -> tuple[float, str] | None:
    """5 of "mg" is (5e-06, "kilogram"), as 0.005 of "g" is; None where pint knows no such unit."""
    unit = canonical_unit(written)
    if not unit:
        return None
    quantity = _registry().Quantity(value, unit).to_base_units()
    return float(quantity.magnitude), str(quantity.units)
