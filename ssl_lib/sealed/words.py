"""Names, things, units, currencies and facts of the sealed world.

None stands in a list of the built-in world, except for `UNIT_PAIRS`: that a kilometre is 1,000
metres cannot be written anew. Months and days of the week are the calendar's.
"""

from __future__ import annotations

from typing import NamedTuple

PEOPLE = """Idris Petra Ambrose Lucinda Viggo Zelda Tomas Beatrix Cormac Yusuf Ingrid Marisol Oskar
    Wilhelmina""".split()
SURNAMES = """Okafor Lindqvist Vance Thistlewood Moreau Castellano Haugen Petrosyan Blackwood
    Sato""".split()
NAMES = {  # of one kind each: first and second parts
    "person": (PEOPLE, SURNAMES),
    "ship": (
        "Amber Crimson Silent Gilded Wandering Midnight Restless Ivory".split(),
        "Heron Compass Albatross Meridian Siren Petrel".split(),
    ),
    "town": (
        "Port Saint Fort Mount Glen Loch".split(),
        "Averil Brannoch Cathmore Delacroix Ystrad Quillon Rosmarin".split(),
    ),
    "guild": (
        "Thornbury Ravenna Castell Odessa Peregrine Tivoli Sable".split(),
        "Guild Lyceum Foundry Orchards Playhouse Observatory Brewery".split(),
    ),
    "team": (
        "Cobalt Granite Ember Copper Willow".split(),
        "Otters Ravens Lancers Badgers".split(),
    ),
    "rival": ("Saffron Basalt Lagoon Cedar".split(), "Foxes Pikes Bisons Magpies".split()),
}
THINGS = "barrels oars figs violins gaskets pawns scrolls kites lemons anchors masks".split()
UNITS = {
    "length": "leagues cubits parsecs chains".split(),
    "weight": "quintals carats hundredweight".split(),
    "volume": "bushels hogsheads hectolitres".split(),
    "heat": ["°F", "rankines"],
    "speed": ["mph", "kph"],
    "power": "megawatts lumens volts".split(),
}
MONEY_SIGNS = ("฿", "CHF ", "C$")
MONEY_WORDS = "baht rand pesos dinars florins".split()
ORDINAL_WORDS = """eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth
    nineteenth twentieth""".split()
TAGS = ("", "", "", "HX-", "NGC ", "M/", "Q")


class Container(NamedTuple):
    """Something that holds a number of other things: the sentence says how many."""

    name: str
    names: str
    content: str
    factor: int  # of the same sizes as between units of measure


CONTAINERS = (
    Container("crate", "crates", "flasks", 24),
    Container("chest", "chests", "jars", 12),
    Container("wagon", "wagons", "sacks", 60),
    Container("reel", "reels", "stitches", 1000),
    Container("folio", "folios", "sheets", 100),
    Container("trunk", "trunks", "scarves", 10),
    Container("pageant", "pageants", "bouts", 7),
    Container("tercet", "tercets", "verses", 3),
)


class Planet(NamedTuple):
    """Days of one orbit, mean radius in km."""

    name: str
    days: int
    radius: int


PLANETS = (
    Planet("Mercury", 88, 2440),
    Planet("Venus", 225, 6052),
    Planet("Mars", 687, 3390),
    Planet("Jupiter", 4333, 69911),
    Planet("Saturn", 10759, 58232),
    Planet("Uranus", 30687, 25362),
    Planet("Neptune", 60190, 24622),
)


class Metal(NamedTuple):
    """Atomic number, melting point in °C."""

    name: str
    protons: int
    melting: int


METALS = (
    Metal("Copper", 29, 1085),
    Metal("Tin", 50, 232),
    Metal("Iron", 26, 1538),
    Metal("Zinc", 30, 420),
    Metal("Silver", 47, 962),
    Metal("Gold", 79, 1064),
    Metal("Lead", 82, 327),
    Metal("Nickel", 28, 1455),
    Metal("Tungsten", 74, 3422),
    Metal("Platinum", 78, 1768),
    Metal("Aluminium", 13, 660),
)
