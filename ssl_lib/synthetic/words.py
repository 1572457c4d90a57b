"""The names that fill the templates."""

from __future__ import annotations


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MONTHS = _cut(
    "January February March April May June July August September October November December"
)
MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = _cut("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")

PEOPLE = _cut(
    "Anna Ben Clara David Emma Felix Grace Henry Jack Kate Leo Maria Noah Olga Paul Rosa Sam Tara"
)
SURNAMES = _cut(
    "Abbott Baker Carver Dalton Ellis Foster Hobbs Irwin Jensen Keller Lawson Norton Palmer Quinn Reed"
)
FIRM_HEADS = _cut(
    "Marlow Halden Orion Vesta Brixton Calder Denby Everett Fulton Garnet Hollis Juniper Linden"
)
FIRM_TAILS = _cut("Foods Steel Motors Energy Textiles Shipping Optics Paper")
PLACE_HEADS = _cut("North South East West Upper Lower Old New Great Little")
PLACE_TAILS = _cut(
    "Ashford Benham Corley Dunmore Elswick Farley Granton Harlow Kirkby Milford Oakley Preston"
)
TEAM_TAILS = _cut("Rovers United Wolves Hawks Tigers Comets Lions Sharks")
SYLLABLES = (
    _cut(
        "bel dar fen gor hal kes lum mar nor pel quin ras sel tor ulm vem wes yor zan brin cor dun esk"
    ),
    _cut("a e i o u en al or is un"),
    _cut("by den dra fax gow kin lin mor nox per ric sson ton vale wick mont stad burg"),
)

ITEMS = _cut("apples books coins stamps marbles tickets chairs pens bricks cards shells eggs")
RESERVED_ITEMS = _cut("lanterns buttons kettles saddles")
