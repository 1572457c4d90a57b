"""What stands around a run of digits: sign, currency, power of ten, scale words, units, dates, identifiers."""

from __future__ import annotations

import re
import unicodedata

from ssl_lib.numbers.number_shapes import (
    CURRENCY,
    CURRENCY_CODES,
    DASHES,
    FORM_INDEX,
    LONGEST,
    MONTHS,
    NO_VALUE,
    SCALE,
    SUPERSCRIPTS,
    VULGAR,
    Parts,
    Piece,
    Raw,
    parts_of,
    pieces_of,
    scale_after,
    unit_after,
    word_set,
)  # fmt: skip

_SIGNS = {"-": -1, "−": -1, "–": -1, "﹣": -1, "－": -1, "+": 1}
_SIGN_OPENERS = frozenset(" \n\t\r\u00a0\u202f\u2009([{=<>≤≥±~≈:,;\"'“‘*/^|×")
_UNITS = word_set(
    "s ms ns us µs μs min mins h hr hrs hours d days kg g mg lb lbs oz t km m cm mm nm mi ft in yd kph mph rpm bpm "
    "fps px pt pts p x X W kW MW GW kWh MWh Wh V kV mV A mA Hz kHz MHz GHz J kJ kcal cal Pa kPa hPa MPa K C F °C "
    "°F L l ml mL cl dl dB GB MB KB kB TB PB Gb Mb kb Gbps Mbps am pm AM PM ha mol mM µm μm µg nM eV keV MeV ppm "
    "ppb bp bps dpi c e ish yo y w ohm Ω th °"
)
_LETTER_SCALE = {
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
_NOT_SCALED = frozenset({"4K", "8K", "401k", "401K"})
_PERIOD_ENDS = ("Q", "Y")
_PERIOD_BEFORE = re.compile(r"(?<![A-Za-z0-9])(?:Q|FY)$")
DATE_WORDS = word_set(
    "in since until till during by early late mid circa around year summer spring autumn fall winter from before after"
)
_MONTH = re.compile(rf"(?:{MONTHS})\.?$")
MONTH_AFTER = re.compile(rf"(?:st|nd|rd|th)?[ \u00a0](?:of )?(?:{MONTHS})\b(?!-)")
_CLOCK_AFTER = re.compile(
    r"[ \u00a0]?(?:[ap]m|[AP]M|[ap]\.m\.|[AP]\.M\.)(?![A-Za-z])|[ \u00a0]o[’']clock"
)
_ERA_AFTER = re.compile(r"s\b|[年月日]|[ \u00a0](?:BC|AD|BCE|CE)\b|[ \u00a0]B\.C\.")
NAMED = word_set(
    "room flight route ticket invoice order id zip code phone tel isbn error account serial model extension fax "
    "port rfc pin interstate highway apartment suite pmid case bus boeing airbus"
)
_ROADS = word_set("interstate highway route")
_CODE_BEFORE = re.compile(rf"(?<![A-Za-z])(?:{CURRENCY_CODES}|Rs\.?)[ \u00a0]?$")
_DOLLAR_BEFORE = re.compile(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|R|S|NT)$")
_MINUS_BEFORE = re.compile(
    r"(?:(?<![0-9)] )(?<![^A-Za-z][A-Za-z] )(?<!\A[A-Za-z] )(?<![A-Za-z])[Mm]inus|(?<![A-Za-z])[Nn]egative) $"
)
_IN_TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/:@?=&%#~+"
_RIGHT_TOKEN = re.compile(r"[A-Za-z0-9_]*+(?:[-.:/][A-Za-z_]*+[0-9][A-Za-z0-9_]*+)*")
_RIGHT_URL = re.compile(r"[^\s<>\"')\]]*+")
_PHONE = re.compile(
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?)(?:[ .-]\d{2,4}){2,4}(?!\d)|\(\d{3}\)[ -]?\d{3}-\d{4}(?!\d)"
    r"|\d{4}(?: \d{4}){3}(?!\d)"
)
_EXPONENT = re.compile(r"[eE]([-+−]?[0-9]++)(?![A-Za-z0-9_]|-[0-9a-fA-F]{4}-)")
_POWER = re.compile(
    r"[ \u00a0]?(?:[×x*·⋅]|\\times)[ \u00a0]?10(?:(?:\^|\*\*)[({]?([-+−]?[0-9]{1,6}+)[)}]?|([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}+))"
)
_BARE_POWER = re.compile(r"(?:\^|\*\*)[({]?([-+−]?[0-9]{1,6}+)[)}]?|([⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}+)")
_MIXED = re.compile(
    rf"[ \u00a0-]?([{VULGAR}])|[ -]([1-9]\d?)[/⁄](2|3|4|5|6|8|10|12|16|32|64)(?![\d/])|[ \n]and[ \n]a[ -](half"
    rf"|quarter)\b"
)
_LETTERS = re.compile(r"[°A-Za-zµμΩ]++")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|ST|ND|RD|TH|º|ª)(?![A-Za-z0-9])")
_LIST_END = re.compile(r"[.)](?=[ \t])")
AFTER = re.compile(
    r"[°ºª%‰A-Za-zµμΩ×*·⋅^¼-¾⅐-⅞€£¥¢²³¹\u2070-\u207b٪年月日]|[ \n\u00a0\u202f-](?=[^ (\nfginsvwz])(?:[%‰€£¥¢¼-¾⅐-⅞]"
    r"|[×x*·⋅] ?10|[1-9]\d?[/⁄]"
    r"|p(?:er|ct|ounds st|e[ns]|\.?m)|m(?:ill|n\b)|b(?:ill|n\b|uck)|t(?:ri|hous|n\b)|of [JFMASOND]|a(?:nd a |\.?m)"
    r"|e(?:uro)|c(?:ent|ror)"
    r"|d(?:ollar|oz)|h(?:und)|yen|yuan|rup|rubl|quad|la(?:kh)|o[’']cl|[A-Z]{3}\b|[AP]\.?M|US |BC|AD|CE|B\.C"
    r"|J(?:an|u[nl])|Feb|Ma[ry]|A(?:pr|ug|us)|Sep|Oct|Nov|Dec|Can|\d{3} \d{4} |\d{4} \d{4} )|[ -]franc"
)
# Of what AFTER points at: all that goes on with the number, percent and currency words apart.
MORE_AFTER = re.compile(
    "|".join(
        f"(?:{part.pattern})" for part in (_CLOCK_AFTER, MONTH_AFTER, _ERA_AFTER, _POWER, _MIXED)
    )
    + f"|(?i:{SCALE.pattern})"
)


def _context(text: str, start: int) -> str:
    """The word before `start` ("" if the run is not after one space); decides dates, identifiers and codes."""
    if text[start - 1 : start] not in (" ", "\n"):
        return ""
    lead = text[max(0, start - 14) : start - 1]
    return lead.split()[-1] if lead and not lead[-1].isspace() else ""


def _prefix(text: str, start: int, floor: int) -> tuple[int, int, bool]:
    """`(start, sign, currency)` with what belongs to the number on its left: sign and currency, in either order."""
    begin, sign, money = start, 1, False
    if begin > floor and text[begin - 1] in CURRENCY:
        begin, money = begin - 1, True
    elif begin - 1 > floor and text[begin - 1] in " \u00a0" and text[begin - 2] in CURRENCY:
        begin, money = begin - 2, True
    elif code := _CODE_BEFORE.search(text, max(floor, begin - 5), begin):
        begin, money = code.start(), True
    if (
        money
        and text[begin] in CURRENCY
        and (letters := _DOLLAR_BEFORE.search(text, max(floor, begin - 3), begin))
    ):
        begin = letters.start()
    if begin > floor and text[begin - 1] in _SIGNS and _sign_possible(text, begin - 1, floor):
        begin, sign = begin - 1, _SIGNS[text[begin - 1]]
        if not money and begin > floor and text[begin - 1] in CURRENCY:
            begin, money = begin - 1, True
    elif word := _MINUS_BEFORE.search(text, max(floor, begin - 12), begin):
        begin, sign = word.start(), -1
    return begin, sign, money


def _sign_possible(text: str, at: int, floor: int) -> bool:
    """Whether the character at `at` is a sign: it opens a word, and an en dash does not follow a number ("5 –7")."""
    if at == 0:
        return True
    if (at <= floor and floor) or (
        text[at - 1] not in _SIGN_OPENERS and text[at - 1] not in CURRENCY
    ):
        return False
    return text[at] != "–" or not text[max(0, at - 2) : at].strip().isdecimal()


def _token_start(text: str, start: int, floor: int) -> int | None:
    """Start of the identifier that the digits at `start` are glued to ("A320", "COVID-19", a URL), or None if they
    are free."""
    before = text[start - 1]
    if before == "#":
        return start - 1
    glued = (before.isalpha() and before.lower() != before.upper()) or before == "_"
    if not (glued or before in "-./@=&?%:+~"):
        return None
    begin = max(floor, start - 200)
    lead = text[begin:start]
    token = lead[len(lead.rstrip(_IN_TOKEN)) :]
    if len(token) == len(lead) and begin and text[begin - 1] in _IN_TOKEN:
        token = ""  # it has no beginning here
    if "://" in token or token.startswith("www.") or "@" in token[1:]:
        return start - len(token)
    if glued:
        return (
            start - len(token) + max(token.rfind(c) for c in "/:@?=&%#~+.") + 1
            if token
            else start - 1
        )
    word = re.search(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]*)-$", token) if before == "-" else None
    if word and (not word.group(1).islower() or word.group(1) in ("covid", "rs")):
        return start - len(word.group())
    return None


def _power(text: str, end: int, piece: Piece) -> tuple[int, int] | None:
    """`(end, exponent)` of the power of ten behind the digits, or None: "e23", " × 10^23", and "^6" or "⁶" behind a
    bare 10."""
    found = (
        _EXPONENT.match(text, end)
        or _POWER.match(text, end)
        or (_BARE_POWER.match(text, end) if piece.literal == "10" else None)
    )
    if found is None:
        return None
    digits = (
        next(group for group in found.groups() if group is not None)
        .translate(SUPERSCRIPTS)
        .replace("−", "-")
    )
    if not digits.strip("+-"):
        return None
    sign = -1 if digits[0] == "-" else 1
    exponent = (
        sign * int(digits.lstrip("+-")[:6].ljust(1, "0")) if len(digits) < 8 else sign * 99999
    )
    return found.end(), exponent - (piece.literal == "10" and found.re is _BARE_POWER)


def _glued_letters(text: str, end: int, run: str, money: bool) -> tuple[int, int] | None:
    """`(end, power of ten)` for letters right behind the digits that are a unit or a scale; None if they make an
    identifier."""
    found = _LETTERS.match(text, end)
    if found is None:
        return end, 0
    letters, finish = found.group(), found.end()
    after = text[finish : finish + 1]
    if letters in ("x", "×") and after.isdecimal():
        return (end, 0) if run != "0" else None
    scaled = (
        letters in _LETTER_SCALE
        and run + letters not in _NOT_SCALED
        and (money or letters not in ("m", "b", "T"))
    )
    if scaled and not (after.isalnum() or after == "_"):
        return finish, _LETTER_SCALE[letters]
    power_mark = after in ("2", "3") and not text[finish + 1 : finish + 2].isalnum()
    plain = not ((after.isalnum() and after.isascii()) or after == "_") or power_mark
    return (end, 0) if plain and letters in _UNITS else None


def raw_number(start: int, end: int, parts: Parts, form: str) -> Raw:
    """A raw number from its span, its decomposed value and its form."""
    return start, end, *parts, FORM_INDEX[form]


def _identifier(text: str, start: int, end: int) -> tuple[list[Raw], int]:
    """One identifier from `start` over the digits that end at `end` to the end of its token."""
    lead = text[start:end]
    right = _RIGHT_URL if "://" in lead or lead.startswith("www.") or "@" in lead else _RIGHT_TOKEN
    found = right.match(text, end)
    end += len(text[end : found.end()].rstrip(".,;:")) if found else 0
    return [raw_number(start, end, NO_VALUE, "identifier")], end


def read_run(
    text: str, start: int, end: int, floor: int, after_date: bool
) -> tuple[list[Raw], int]:
    """The numbers of the run `text[start:end]` with all that belongs to it, and where to go on; nothing before
    `floor` is used."""
    run, before = text[start:end], text[start - 1 : start]
    phone = _PHONE.match(text, start - 1 if before in ("+", "(") and start > floor else start)
    if phone:
        return [raw_number(phone.start(), phone.end(), NO_VALUE, "identifier")], phone.end()
    pieces = list(pieces_of(run))
    period = (
        before in _PERIOD_ENDS and _PERIOD_BEFORE.search(text, max(0, start - 3), start) is not None
    )
    joined = (before == "T" and after_date) or (before in ("x", "×") and start - 1 == floor > 0)
    token = _token_start(text, start, floor) if start > floor and not (period or joined) else None
    if token is not None:
        return _identifier(text, max(token, floor), end)
    word = _context(text, start).rstrip(":#").lower()
    if word in NAMED and len(pieces) == 1 and (len(run) >= 3 or word in _ROADS) and run.isdecimal():
        return _identifier(text, start, end)
    if (
        before == "."
        and start > floor
        and run.isdecimal()
        and not text[max(0, start - 2) : start - 1].isalnum()
        and text[max(0, start - 2) : start - 1] != "."
    ):
        start, pieces = (
            start - 1,
            [Piece(0, len(run) + 1, "0." + run if len(run) <= LONGEST else "", "decimal")],
        )
    dated = _date_form(text, start, end, pieces, period or after_date)
    if dated:
        literals = (p.literal or run[p.start : p.end].lstrip("0") or "0" for p in pieces)
        parts = [parts_of(literal) for literal in literals]
        return [
            raw_number(start + p.start, start + p.end, q, dated)
            for p, q in zip(pieces, parts, strict=True)
        ], end
    return _quantity(text, start, end, pieces, floor)


def _date_form(text: str, start: int, end: int, pieces: list[Piece], dated: bool) -> str:
    """ "date_part" or "time_part" if the words around a plain run make it one, else ""."""
    if pieces[0].form == "date_part" and text[end : end + 1] in ("T", "Z"):
        return "date_part"
    if any(
        p.form not in ("integer", "identifier", "time_part", "date_part") or p.end - p.start > 4
        for p in pieces
    ):
        return ""
    if pieces[0].form in ("date_part", "time_part"):
        return pieces[0].form
    plain = all(p.literal or p.end - p.start == 2 for p in pieces)
    year = plain and all(p.end - p.start == 4 and "1000" <= p.literal < "2200" for p in pieces)
    word = _context(text, start)
    small = plain and all(int(p.literal or 1) <= 31 for p in pieces)
    if _CLOCK_AFTER.match(text, end) and small:
        return "time_part"
    if (small and not _ORDINAL.match(text, end) and MONTH_AFTER.match(text, end)) or (
        (small or year) and _MONTH.fullmatch(word)
    ):
        return "date_part"
    if year and (dated or word.lower() in DATE_WORDS) and not AFTER.match(text, end):
        return "date_part"
    return (
        "date_part"
        if plain
        and (
            (dated and len(pieces) == 1)
            or (_ERA_AFTER.match(text, end) and len(pieces[0].literal) < 5)
        )
        else ""
    )


def _quantity(
    text: str, start: int, end: int, pieces: list[Piece], floor: int
) -> tuple[list[Raw], int]:
    """Numbers with sign, currency, power of ten, fraction, scale words, unit and percent."""
    begin, sign, money = _prefix(text, start, floor)
    last, resume = pieces[-1], end
    form, factor, addend, power = last.form, 1.0, 0.0, 0
    if scientific := _power(text, end, last):
        (end, power), form = scientific, "scientific"
    elif _ORDINAL.match(text, end) and form in ("integer", "thousands"):
        end, form = end + 2 - (text[end] in "ºª"), "ordinal"
    else:
        if (glued := _glued_letters(text, end, text[start:end], money)) is None:
            return _identifier(text, begin, end)
        if (
            glued == (end, 0)
            and (letters := _LETTERS.match(text, end))
            and text[letters.end() : letters.end() + 1] in ("2", "3")
        ):
            resume = letters.end() + 1
        end, power = glued
        if form == "integer" and (mixed := _MIXED.match(text, end)):
            addend, end, form = _mixed_value(mixed), mixed.end(), "fraction"
        end, factor = scale_after(text, end)
    if form not in ("date_part", "time_part", "identifier"):
        end, form = unit_after(text, end, "currency" if money and len(pieces) == 1 else form)
    elif len(pieces) == 1 and form == "identifier":
        begin, sign = start, 1
    if (
        form == "integer"
        and begin == start
        and end - start <= 3
        and _LIST_END.match(text, end)
        and _at_line_start(text, start)
    ):
        form = "list_marker"
    raws = [raw_number(start + p.start, start + p.end, parts_of(p.literal), p.form) for p in pieces]
    if form in ("percent", "currency") or factor != 1.0 or (power and form != "scientific"):
        raws[:-1] = [
            _shared(start, p, text[p.end + start], power, factor, form) for p in pieces[:-1]
        ]
    raws[-1] = raw_number(
        start + last.start, end, parts_of(last.literal, power, factor, addend), form
    )
    first = raws[0]
    first_form = (
        FORM_INDEX["currency"] if money and len(pieces) > 1 and pieces[0].literal else first[6]
    )
    value = first[2] * sign if first[2] else first[2]
    raws[0] = (begin, first[1], value, first[3] * sign, first[4], first[5], first_form)
    return raws, max(end, resume)


def _shared(start: int, piece: Piece, joint: str, power: int, factor: float, form: str) -> Raw:
    """The lower end of a range shares scale and unit with the upper end: "10-20 million", "5-10%"."""
    if joint not in DASHES or piece.form not in ("integer", "decimal", "thousands"):
        return raw_number(
            start + piece.start, start + piece.end, parts_of(piece.literal), piece.form
        )
    own = form if form in ("percent", "currency") else piece.form
    return raw_number(
        start + piece.start, start + piece.end, parts_of(piece.literal, power, factor), own
    )


def _at_line_start(text: str, start: int) -> bool:
    return text[max(0, start - 9) : start].rpartition("\n")[2].strip() == "" and (
        start < 9 or "\n" in text[start - 9 : start]
    )


def _mixed_value(mixed: re.Match[str]) -> float:
    """0.5 for the parts behind a whole number: "½", " 1/2", " and a half"."""
    if mixed.group(1):
        return unicodedata.numeric(mixed.group(1))
    if mixed.group(2):
        return int(mixed.group(2)) / int(mixed.group(3))
    return 0.5 if mixed.group(4) == "half" else 0.25
