"""The words and signs of the subject: number words, scales, months, currencies, units, names.

Plain tables, in lower case unless said; what they mean for a number is for the grammar to say.
"""

from __future__ import annotations

# --- number words ---
ONES = {word: n for n, word in enumerate("one two three four five six seven eight nine".split(), 1)}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TEENS = {word: number for number, word in enumerate(_TEENS, 10)}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
TENS = {word: 10 * number for number, word in enumerate(_TENS, 2)}
SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "quadrillion": 1e15}
SCALES |= {"lakh": 1e5, "crore": 1e7}
# Behind a number these multiply as well: "2 dozen", "3.4 bn".
SCALES_BEHIND = SCALES | {"hundred": 1e2, "dozen": 12.0, "bn": 1e9, "mn": 1e6, "tn": 1e12}
# Powers of ten of letters that are glued to digits: "50k", "$2.5m".
SCALE_LETTERS = {
    "k": 3,
    "K": 3,
    "M": 6,
    "B": 9,
    "bn": 9,
    "mn": 6,
    "tn": 12,
    "m": 6,
    "b": 9,
    "T": 12,
}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
)
ORDINALS = {word: number for number, word in enumerate(_ORDINALS.split(), 1)}
ORDINALS |= {word.replace("y", "ieth"): number for word, number in TENS.items()}
LARGE_ORDINALS = {"hundredth": 100.0, "thousandth": 1e3, "millionth": 1e6, "billionth": 1e9}
_PARTS = {word: int(number) for word, number in (ORDINALS | LARGE_ORDINALS).items() if number > 2}
DENOMINATORS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
DENOMINATORS |= _PARTS | {word + "s": number for word, number in _PARTS.items()}

# --- months and dates ---
MONTHS = (
    "January February March April May June July August September October November December".split()
)
MONTH = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    "|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
DATE_WORDS = frozenset(
    "in since until till during by early late mid circa around year summer spring autumn fall "
    "winter from before after".split()
)

# --- currencies ---
CURRENCY_SIGNS = "$€£¥₹₽₩₿₺₴₫₪₦฿"
CURRENCY_CODES = (
    "USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|BRL|MXN|KRW|RUB|TRY|ZAR|HKD|SGD|PLN|BTC"
)
CURRENCY_WORDS = (
    "(?:US |Canadian |Australian )?dollars?|euros?|cents?|yen|rupees?|yuan|rubles?|francs?|pesos?"
    "|pounds sterling|bucks|pence"
)

# --- units of measure, as they are written ---
UNIT_SYMBOLS = frozenset(
    "s ms ns us µs μs min mins h hr hrs hours d days kg g mg lb lbs oz t km m cm mm nm mi ft in yd "
    "kph mph rpm bpm fps px pt pts p x X W kW MW GW kWh MWh Wh V kV mV A mA Hz kHz MHz GHz J kJ "
    "kcal cal Pa kPa hPa MPa K C F °C °F L l ml mL cl dl dB GB MB KB kB TB PB Gb Mb kb Gbps Mbps "
    "am pm AM PM ha mol mM µm μm µg nM eV keV MeV ppm ppb bp bps dpi c e ish yo y w ohm Ω th "
    "°".split()
)

# --- words before a number that make a name of it ---
NAMED = frozenset(
    "room flight route ticket invoice order id zip code phone tel isbn error account serial model "
    "extension fax port rfc pin interstate highway apartment suite pmid case bus boeing "
    "airbus".split()
)
ROADS = frozenset({"interstate", "highway", "route"})
ROMAN_PARTS = frozenset(
    "chapter part act scene volume vol book section article appendix title phase type stage class "
    "grade figure table war bowl level century corps psalm canto amendment episode category mark "
    "annex schedule quadrant".split()
)
RULERS = frozenset(
    "Elizabeth Charles Francis James Napoleon Frederick Nicholas Peter William Henry George Philip "
    "Alexander Wilhelm Darius Edward Richard Otto Louis Justinian Leopold Ferdinand Catherine Mary "
    "Albert Umberto Xerxes Ramesses Constantine".split()
)

# --- characters ---
DASHES = "-–−—‐‑"
SPACES = "\u00a0\u202f\u2009"
VULGAR_FRACTIONS = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
CIRCLED_NUMBERS = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
