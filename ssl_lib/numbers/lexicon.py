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
COUNTS = ONES | TEENS | TENS
SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "quadrillion": 1e15}
SCALES |= {"lakh": 1e5, "crore": 1e7}
# Behind a number these multiply as well: "2 dozen", "3.4 bn".
SCALES_BEHIND = SCALES | {"hundred": 1e2, "dozen": 12.0, "bn": 1e9, "mn": 1e6, "tn": 1e12}
SCALES_BEHIND |= {"mio": 1e6, "millionen": 1e6, "mrd": 1e9, "milliarden": 1e9, "milliard": 1e9}
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
# A symbol is a prefix and a base ("k" and "Ω"), or stands alone.
_PREFIXED = (
    (("", "p", "n", "u", "µ", "μ", "m", "k", "M", "G"), "V W A Ω Hz J N eV".split()),
    (("", "p", "n", "u", "µ", "μ", "m"), "F s mol".split()),
    (("p", "n", "u", "µ", "μ", "m", "k"), "H M g Pa S".split()),
    (("", "n", "u", "µ", "μ", "m", "c", "d", "k"), "m L l".split()),
    (("", "m", "k", "M", "G", "T"), "Wh Ah VA".split()),
    (("k", "K", "M", "G", "T", "P"), "B b bps".split()),
)
_ALONE = (
    "g mcg t oz lb lbs min mins h hr hrs hours d days wk wks mo y yo yr yrs w Pa hPa MPa GPa bar "
    "mbar psi atm mmHg Torr in ft yd mi ha kph mph rpm bpm fps px pt pts p x X K C F °C °F °K °N "
    "°S °E °W ° cal kcal dB dBm dBA am pm AM PM ppm ppb ppt bp dpi ppi c e ish ohm th IU U mEq lx "
    "lm VAC VDC Vdc Vac TW TWh Mpc kpc cP gal qt Å Mbps"
).split()
UNIT_SYMBOLS = frozenset(_ALONE) | frozenset(
    prefix + base for prefixes, bases in _PREFIXED for prefix in prefixes for base in bases
)
# Letters that may be glued to the front of an amount: "x10", "BP121/66", "q8h", "USD100".
LABELS = frozenset(CURRENCY_CODES.split("|")) | frozenset(
    "x q BP HR RR SBP DBP MAP BMI Wt Ht GCS Hgb Hb Hct WBC Plt BUN INR pH".split()
)
# After these a lone digit is the exponent of a unit: "kg m-2 s-1", "cm3".
SQUARED = "m cm mm km nm µm μm dm ft in yd mi deg".split()
RAISED = (
    SQUARED + "s h d yr g kg mg L mL l ml mol sr Pa W J K min M Hz °C Mpc kpc ha day V A".split()
)

DOSES = "mg g mcg µg μg ml mL l L IU kg W V oz lb".split()

# --- words before a number that make a name of it ---
STANDARDS = frozenset("asu asc fasb ifrs ias iso iec din ansi astm ieee rfc".split())
NAMED = STANDARDS | frozenset(
    "room flight route ticket invoice order id zip code phone tel isbn error account serial model "
    "extension fax port rfc pin interstate highway apartment suite pmid case bus boeing "
    "airbus form pid job user ean upc sku topic no.".split()
)
ROADS = frozenset({"interstate", "highway", "route"})
ROMAN_PARTS = frozenset(
    "chapter part act scene volume vol book section article appendix title phase type stage class "
    "grade figure table war bowl level century corps psalm canto amendment episode category mark "
    "annex schedule quadrant".split()
)
LABELED = frozenset("day week month group step cohort arm box item lot line tier wave".split())
PARAGRAPHS = frozenset("section rule article paragraph clause regulation subsection item".split())
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
