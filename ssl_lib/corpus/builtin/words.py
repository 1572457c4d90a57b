"""Written forms of numbers, and the names that fill the wordings."""

from __future__ import annotations


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_UNITS = _cut(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _cut("zero ten twenty thirty forty fifty sixty seventy eighty ninety")

MONTHS = _cut("January February March April May June July August September October November December")
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = _cut("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

PEOPLE = _cut("Anna Ben Clara David Emma Felix Grace Henry Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tara")
SURNAMES = _cut("Abbott Baker Carver Dalton Ellis Foster Hobbs Irwin Jensen Keller Lawson Norton Palmer Quinn Reed")
FIRM_HEADS = _cut("Marlow Halden Orion Vesta Brixton Calder Denby Everett Fulton Garnet Hollis Juniper Linden")
FIRM_TAILS = _cut("Foods Steel Motors Energy Textiles Shipping Optics Paper")
PLACE_HEADS = _cut("North South East West Upper Lower Old New Great Little")
PLACE_TAILS = _cut("Ashford Benham Corley Dunmore Elswick Farley Granton Harlow Kirkby Milford Oakley Preston")
TEAM_TAILS = _cut("Rovers United Wolves Hawks Tigers Comets Lions Sharks")
SYLLABLES = (
    _cut("bel dar fen gor hal kes lum mar nor pel quin ras sel tor ulm vem wes yor zan brin cor dun esk"),
    _cut("a e i o u en al or is un"),
    _cut("by den dra fax gow kin lin mor nox per ric sson ton vale wick mont stad burg"),
)

ITEMS = _cut("apples books coins stamps marbles tickets chairs pens bricks cards shells eggs")
RESERVED_ITEMS = _cut("lanterns buttons kettles saddles")


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
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
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
