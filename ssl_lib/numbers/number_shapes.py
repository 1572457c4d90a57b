"""What the finders of numbers share: forms, the decomposition of a value, and the shape of a run of digits.

The shape of a run is a pure function of its characters, so it is memoised. All patterns are possessive or bounded.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

FORMS = (
    "integer", "decimal", "thousands", "scientific", "percent", "currency", "ordinal", "fraction", "date_part",
    "time_part",
    "identifier", "roman", "spelled", "list_marker",
)  # fmt: skip
FORM_INDEX = {form: index for index, form in enumerate(FORMS)}
Raw = tuple[int, int, float, int, int, float, int]
Parts = tuple[float, int, int, float]


def word_set(words: str) -> frozenset[str]:
    """The words of a string as a set."""
    return frozenset(words.split())


NO_VALUE: Parts = (math.nan, 0, 0, math.nan)
ZERO: Parts = (0.0, 0, 0, 0.0)

MONTHS = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    "|Nov(?:ember)?|Dec(?:ember)?"
)
CURRENCY_CODES = (
    "USD|EUR|GBP|JPY|CHF|CNY|INR|CAD|AUD|NZD|SEK|NOK|DKK|BRL|MXN|KRW|RUB|TRY|ZAR|HKD|SGD|PLN|BTC"
)
MONTH_NAMES = word_set(
    "jan january feb february mar march apr april may jun june jul july aug august sep sept september oct october "
    "nov november dec december"
)
PERCENT = re.compile(r"[ \u00a0\u202f-]?[%‰％٪]|[ \n-]?(?:percent|per cent|per mille|pct)\b")
MONEY = re.compile(
    rf"[ \u00a0]?[€£¥₹₽₩¢]|[ \n-](?:{CURRENCY_CODES}|(?:US |Canadian |Australian )?dollars?|euros?|cents?|yen"
    rf"|rupees?|yuan|rubles?"
    r"|francs?|pesos?|pounds sterling|bucks|pence)\b"
)


_POWERS = [10.0**power for power in range(23)]  # all exact
_LIMITS = [float(f"1e{power}") for power in range(-22, 23)]


def decompose(value: float) -> Parts:
    """`(value, sign, exponent, mantissa)` with value = sign * mantissa * 10**exponent and 1 <= mantissa < 10 (0 for
    zero).

    NaN, infinities and magnitudes outside [1e-307, 1e308) give `NO_VALUE`: there, float64 cannot hold the product
    exactly enough.
    """
    if value == 0.0:
        return ZERO
    magnitude, sign = abs(value), 1 if value > 0 else -1
    if not 1e-307 <= magnitude < 1e308:
        return NO_VALUE
    if 1e-22 <= magnitude < 1e22:
        exponent = bisect_right(_LIMITS, magnitude) - 23
        mantissa = max(
            1.0, magnitude * _POWERS[-exponent] if exponent < 0 else magnitude / _POWERS[exponent]
        )
    else:
        digits, power = f"{magnitude:.16e}".split("e")
        mantissa, exponent = float(digits), int(power)
    if mantissa >= 10.0:  # 1e23 is 9.9999999999999992e22, whose mantissa rounds up
        return value, sign, exponent + 1, 1.0
    return value, sign, exponent, mantissa


SCALE = re.compile(
    r"[ \n\u00a0-]?(thousand|million|billion|trillion|quadrillion|hundred|dozen|lakh|crore|bn|mn|tn)s?\b",
    re.I,
)
_FACTORS = {
    "thousand": 1e3,
    "million": 1e6,
    "billion": 1e9,
    "trillion": 1e12,
    "quadrillion": 1e15,
    "lakh": 1e5,
    "crore": 1e7,
} | {"hundred": 100.0, "dozen": 12.0, "bn": 1e9, "mn": 1e6, "tn": 1e12}


def scale_after(text: str, end: int) -> tuple[int, float]:
    """`(end, factor)` of the scale words behind `end`: " hundred thousand" gives 1e5."""
    factor = 1.0
    for _ in range(2):
        found = SCALE.match(text, end)
        if found is None:
            break
        end, factor = found.end(), factor * _FACTORS[found.group(1).lower()]
    return end, factor


def unit_after(text: str, end: int, form: str) -> tuple[int, str]:
    """`(end, form)` with the percent or currency word or sign behind `end`, if there is one."""
    if found := PERCENT.match(text, end):
        return found.end(), "percent"
    if found := MONEY.match(text, end):
        return found.end(), "currency"
    return end, form


class Piece(NamedTuple):
    """One number inside a run of digits: offsets in the run, plain literal ("" if it has no value), form."""

    start: int
    end: int
    literal: str
    form: str


LONGEST = (
    400  # characters; float64 ends at 309 digits, so longer runs have no finite value worth reading
)
DASHES = "-–−—‐‑"
_SPACES = "\u00a0\u202f\u2009"
CURRENCY = "$€£¥₹₽₩₿₺₴₫₪₦฿"
VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")

ASCII_RUN = re.compile(
    r"[0-9](?:[0-9]{0,2}+(?: [0-9]{3}){1,8}(?:\.[0-9]++)?(?! ?[0-9]|[-,:/.][0-9])|[0-9]*+(?:[.,:/'_-][0-9]++)*)"
)
ANY_RUN = re.compile(
    rf"[\d{VULGAR}{CIRCLED}](?:(?<=\d)(?:\d{{0,2}}+(?: \d{{3}}){{1,8}}(?:\.\d++)?(?! ?\d|[-,:/.–]\d)"
    rf"|\d*+(?:[{DASHES}.,:/'’_٫٬⁄{_SPACES}]\d++)*))?"
)

# --- the shape of a run ---
_WHOLE = re.compile(
    r"(?P<iso>(?:1\d|2[01])\d\d([-/.])(?:0?[1-9]|1[0-2])\2(?:0?[1-9]|[12]\d|3[01]))"
    r"|(?P<date>(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\4(?:1[5-9]|20)\d\d|(?:0?[1-9]|[12]\d"
    r"|3[01])/(?:0?[1-9]|[12]\d|3[01])/\d\d)"
    r"|(?P<years>(?:1[5-9]|20)\d\d[-–—/](?:(?:1[5-9]|20)\d\d|\d\d)|\d\d?/0\d|0\d/\d\d?\d?\d?)"
    r"|(?P<phone>\d{3}[-.]\d{3}[-.]\d{4}|\d{3}-\d\d-\d{4}|\d-\d{3}-\d{3}-\d{4}|555-\d{4}|\d{3}-0\d{3}"
    r"|0\d+(?:-\d+){2,}|\d+(?:-\d+){3,})"
    r"|(?P<address>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:[:/]\d+)?)"
    r"|(?P<idiom>24/7|9/11|7/7)"
)
_SHAPE = re.compile(
    r"(?P<thousands>[1-9]\d{0,2}([,'’_ \u00a0\u202f\u2009٬])\d{3}(?:\2\d{3})*(?:\.\d+)?"
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?)"
    r"|(?P<european>[1-9]\d{0,2}(?:\.\d{3})+,\d{1,2}|[1-9]\d{0,2}(?:\.\d{3}){2,})"
    r"|(?P<decimal>(?:0|[1-9]\d*)[.٫]\d+)"
    r"|(?P<integer>0|[1-9]\d*)"
    r"|(?P<time>(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)"
    r"|(?P<fraction>[1-9]\d{0,2}[/⁄][1-9]\d{0,3})"
    r"|(?P<identifier>\d+(?:\.\d+){2,}|0\d+(?:\.\d+)?|\d+(?:_\d+)+)"
)
_INTEGERS = re.compile(r"\d+(?:\.\d+)?")
_SPLITS = (
    re.compile(rf"[{DASHES}]"),
    re.compile(r"/"),
    re.compile(r":"),
    re.compile(rf"[,'’_٬{_SPACES} ]"),
    re.compile(r"[.٫⁄]"),
)


def _shape(run: str, level: int = 0, offset: int = 0) -> list[Piece]:
    """The numbers that a run of digits and separators stands for; separators are tried from the weakest binding on."""
    if level == 0 and (whole := _WHOLE.fullmatch(run)):
        if whole["phone"] or whole["address"] or whole["idiom"]:
            return [Piece(0, len(run), "", "identifier")]
        return [
            Piece(part.start(), part.end(), part.group(), "date_part")
            for part in re.finditer(r"\d+", run)
        ]
    shape = _SHAPE.fullmatch(run)
    if shape is None:
        while level < len(_SPLITS) and not _SPLITS[level].search(run):
            level += 1
        if level == len(_SPLITS):
            return [Piece(offset, offset + len(run), "", "identifier")]
        pieces, start = [], 0
        for cut in [*_SPLITS[level].finditer(run), None]:
            end = cut.start() if cut else len(run)
            pieces += _shape(run[start:end], level + 1, offset + start)
            start = cut.end() if cut else end
        return pieces
    return _shaped(run, str(shape.lastgroup if shape.lastgroup else _group(shape)), offset)


def _group(shape: re.Match[str]) -> str:
    return next(name for name, text in shape.groupdict().items() if text is not None)


def _shaped(run: str, kind: str, offset: int) -> list[Piece]:
    """The pieces of a run whose shape is known."""
    end = offset + len(run)
    if kind == "time":
        return [
            Piece(offset + p.start(), offset + p.end(), p.group(), "time_part")
            for p in _INTEGERS.finditer(run)
        ]
    if (
        kind == "thousands"
        and " " in run
        and run[3] == " "
        and run[-3:] != "000"
        and "." not in run
    ):
        return [
            Piece(offset + p.start(), offset + p.end(), p.group(), "integer")
            for p in _INTEGERS.finditer(run)
        ]
    if kind == "thousands":
        return [Piece(offset, end, re.sub(r"[^\d.]", "", run), "thousands")]
    if kind == "european":
        return [Piece(offset, end, run.replace(".", "").replace(",", "."), "thousands")]
    if kind == "fraction":
        top, bottom = re.split(r"[/⁄]", run)
        if len(top) == 3 or (len(bottom) > 2 and int(bottom) % 10):
            return [
                Piece(offset, offset + len(top), top, "integer"),
                Piece(end - len(bottom), end, bottom, "integer"),
            ]
        return [Piece(offset, end, run.replace("⁄", "/"), "fraction")]
    return [Piece(offset, end, "" if kind == "identifier" else run.replace("٫", "."), kind)]


@lru_cache(maxsize=65536)
def _short_pieces(run: str) -> tuple[Piece, ...]:
    if run[0] in VULGAR:
        return (Piece(0, 1, str(unicodedata.numeric(run[0])), "fraction"),)
    if run[0] in CIRCLED:
        return (Piece(0, 1, str(CIRCLED.index(run[0]) + 1), "list_marker"),)
    plain = run if run.isascii() else "".join(str(unicodedata.decimal(c, c)) for c in run)
    return tuple(_shape(plain))


def pieces_of(run: str) -> tuple[Piece, ...]:
    """Pieces of a run; a plain run beyond LONGEST is one integer without a value, a long chain is cut into short
    links."""
    if len(run) <= LONGEST:
        return _short_pieces(run)
    found: list[Piece] = []
    for link in re.finditer(r"\d++", run):
        short = len(link.group()) <= LONGEST
        found += (
            [
                p._replace(start=p.start + link.start(), end=p.end + link.start())
                for p in _short_pieces(link.group())
            ]
            if short
            else [Piece(link.start(), link.end(), "", "integer")]
        )
    return tuple(found)


@lru_cache(maxsize=65536)
def parts_of(literal: str, exponent: int = 0, factor: float = 1.0, addend: float = 0.0) -> Parts:
    """(literal * 10**exponent + addend) * factor, decomposed; powers of ten go through the decimal text, so 1.1
    million is exact."""
    if not literal:
        return NO_VALUE
    if "/" in literal:
        top, bottom = literal.split("/")
        return decompose((int(top) / int(bottom) + addend) * factor)
    if addend == 0.0 and factor >= 1.0:
        power = len(f"{factor:.0f}") - 1
        if factor == 10.0**power:
            exponent, factor = exponent + power, 1.0
    if not -9999 < exponent < 9999:
        return NO_VALUE if literal.strip("0.") else decompose(0.0)
    value = float(f"{literal}e{exponent}")
    if value == 0.0 and literal.strip("0."):
        return NO_VALUE
    return decompose((value + addend) * factor)


NEXT_WORD = re.compile(r"([ \n\u00a0-])([A-Za-z]++)")
_IN_WORD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'"


def word_before(text: str, start: int) -> str:
    """The lower-cased word in front of `start`, one blank or hyphen between them (two at the end of a line), or ""."""
    lead = text[max(0, start - 16) : start]
    for _ in range(2):
        if lead[-1:] not in (" ", "\n", "-"):
            return ""
        line_end, lead = lead[-1] == "\n", lead[:-1]
        if (word := lead[len(lead.rstrip(_IN_WORD)) :]) or not line_end:
            return word.lower()
    return ""


def word_after(text: str, end: int) -> str:
    """The word behind `end`, or ""."""
    found = NEXT_WORD.match(text, end)
    return found.group(2) if found else ""


def disjoint(found: list[Raw]) -> list[Raw]:
    """Sorted by start; of two that overlap, the earlier (then the longer) stays."""
    found.sort(key=lambda raw: (raw[0], -raw[1]))
    kept: list[Raw] = []
    end = 0
    for raw in found:
        if raw[0] >= end:
            kept.append(raw)
            end = raw[1]
    return kept
