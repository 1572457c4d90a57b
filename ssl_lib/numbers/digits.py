"""The grammar of numbers that begin with a digit, read from one run of digits to the next.

A run is digits with the separators between them: "1,234.5", "12:30", "10-20". `read_run` reads one from top to bottom:
identifier? → shape → date? → prefix → suffix → unit → form. All patterns are possessive or bounded, so the time is linear.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.forms import LONGEST, PLAIN, Piece, Raw, pieces_of, value_of

# --- where runs are, and what may stand behind one ---
_ASCII_RUN = (
    r"[0-9](?:[0-9]{0,2}+(?: [0-9]{3}){1,8}(?:\.[0-9]++)?(?! ?[0-9]|[-,:/.][0-9])"
    r"|[0-9]*+(?:[.,:/'_-][0-9]++)*)"
)
_ANY_RUN = (
    rf"[\d{lexicon.VULGAR_FRACTIONS}{lexicon.CIRCLED_NUMBERS}]"
    r"(?:(?<=\d)(?:\d{0,2}+(?: \d{3}){1,8}(?:\.\d++)?(?! ?\d|[-,:/.–]\d)"
    rf"|\d*+(?:[{lexicon.DASHES}.,:/'’_٫٬⁄{lexicon.SPACES}]\d++)*))?"
)
# All that goes on with a number begins like this. Most runs have nothing behind them: this pattern says so.
BEHIND = re.compile(
    r"[°ºª%‰A-Za-zµμΩ×*·⋅^¼-¾⅐-⅞€£¥¢²³¹\u2070-\u207b٪年月日]"
    r"|[ \n\u00a0\u202f-](?=[^ (\nfginsvwz])(?:[%‰€£¥¢¼-¾⅐-⅞]|[×x*·⋅] ?10|[1-9]\d?[/⁄]"
    r"|p(?:er|ct|ounds st|e[ns]|\.?m)|m(?:ill|n\b)|b(?:ill|n\b|uck)|t(?:ri|hous|n\b)|of [JFMASOND]"
    r"|a(?:nd a |\.?m)|e(?:uro)|c(?:ent|ror)|d(?:ollar|oz)|h(?:und)|yen|yuan|rup|rubl|quad|la(?:kh)"
    r"|o[’']cl|[A-Z]{3}\b|[AP]\.?M|US |BC|AD|CE|B\.C|J(?:an|u[nl])|Feb|Ma[ry]|A(?:pr|ug|us)|Sep|Oct"
    r"|Nov|Dec|Can|\d{3} \d{4} |\d{4} \d{4} )|[ -]franc"
)
_ASCII_SCAN = re.compile(f"(?:{_ASCII_RUN})(?:(?={BEHIND.pattern})())?")
_ANY_SCAN = re.compile(f"(?:{_ANY_RUN})(?:(?={BEHIND.pattern})())?")

# --- identifiers ---
_PHONE = re.compile(
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?)(?:[ .-]\d{2,4}){2,4}(?!\d)|\(\d{3}\)[ -]?\d{3}-\d{4}(?!\d)"
    r"|\d{4}(?: \d{4}){3}(?!\d)"
)
_IN_TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/:@?=&%#~+"
_HYPHENATED = re.compile(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]*)-$")
_REST_OF_TOKEN = re.compile(r"[A-Za-z0-9_]*+(?:[-.:/][A-Za-z_]*+[0-9][A-Za-z0-9_]*+)*")
_REST_OF_URL = re.compile(r"[^\s<>\"')\]]*+")

# --- before the digits ---
_SIGNS = {"-": -1, "−": -1, "–": -1, "﹣": -1, "－": -1, "+": 1}
_SIGN_OPENERS = frozenset(
    " \n\t\r\u00a0\u202f\u2009([{=<>≤≥±~≈:,;\"'“‘*/^|×" + lexicon.CURRENCY_SIGNS
)
_CODE_BEFORE = re.compile(rf"(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?)[ \u00a0]?$")
_DOLLAR_BEFORE = re.compile(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|R|S|NT)$")
_MINUS_BEFORE = re.compile(
    r"(?:(?<![0-9)] )(?<![^A-Za-z][A-Za-z] )(?<!\A[A-Za-z] )(?<![A-Za-z])[Mm]inus"
    r"|(?<![A-Za-z])[Nn]egative) $"
)
_PERIOD_BEFORE = re.compile(r"(?<![A-Za-z0-9])(?:Q|FY)$")
_MONTH_WORD = re.compile(rf"(?:{lexicon.MONTH})\.?")
_PREFIX_WORD = re.compile(
    rf".*(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?|[Mm]inus|[Nn]egative)|.*[{lexicon.CURRENCY_SIGNS}]"
)

_DATES = ("date_part", "time_part")
_WITHOUT_UNIT = ("date_part", "time_part", "identifier")

_NO_PREFIX = frozenset("([{/=<>:,;*'\"")

# --- behind the digits ---
_RAISED = rf"(?:\^|\*\*)[({{]?([-+−]?[0-9]{{1,6}}+)[)}}]?|([⁻⁺]?[{lexicon.SUPERSCRIPTS}]{{1,6}}+)"
_POWER = re.compile(
    r"[eE]([-+−]?[0-9]++)(?![A-Za-z0-9_]|-[0-9a-fA-F]{4}-)"
    rf"|[ \u00a0]?(?:[×x*·⋅]|\\times)[ \u00a0]?10(?:{_RAISED})"
)
_POWER_OF_TEN = re.compile(_RAISED)
_PLAIN_DIGITS = str.maketrans(lexicon.SUPERSCRIPTS + "⁻⁺−", "0123456789-+-")
_ORDINAL = re.compile(r"(?:(?:st|nd|rd|th|ST|ND|RD|TH)|[ºª])(?![A-Za-z0-9])")
_LETTERS = re.compile(r"[°A-Za-zµμΩ]++")
_NOT_SCALED = frozenset({"4K", "8K", "401k", "401K"})
_MIXED = re.compile(
    rf"[ \u00a0-]?([{lexicon.VULGAR_FRACTIONS}])"
    r"|[ -]([1-9]\d?)[/⁄](2|3|4|5|6|8|10|12|16|32|64)(?![\d/])|[ \n]and[ \n]a[ -](half|quarter)\b"
)
_SCALE = re.compile(rf"[ \n\u00a0-]?({'|'.join(lexicon.SCALES_BEHIND)})s?\b", re.IGNORECASE)
_PERCENT = re.compile(r"[ \u00a0\u202f-]?[%‰％٪]|[ \n-]?(?:percent|per cent|per mille|pct)\b")
_CURRENCY = re.compile(
    rf"[ \u00a0]?[€£¥₹₽₩¢]|[ \n-](?:{lexicon.CURRENCY_CODES}|{lexicon.CURRENCY_WORDS})\b"
)
_CLOCK = re.compile(
    r"[ \u00a0]?(?:[ap]m|[AP]M|[ap]\.m\.|[AP]\.M\.)(?![A-Za-z])|[ \u00a0]o[’']clock"
)
MONTH_BEHIND = re.compile(rf"(?:st|nd|rd|th)?[ \u00a0](?:of )?(?:{lexicon.MONTH})\b(?!-)")
_ERA = re.compile(r"s\b|[年月日]|[ \u00a0](?:BC|AD|BCE|CE)\b|[ \u00a0]B\.C\.")
_SPACED_SIGN = re.compile(rf"[{lexicon.CURRENCY_SIGNS}][ \u00a0]")
_LIST_END = re.compile(r"[.)](?=[ \t])")


def scan_of(text: str) -> re.Pattern[str]:
    """The pattern that finds the runs of `text`; it has a group where something may go on behind one."""
    return _ASCII_SCAN if text.isascii() else _ANY_SCAN


def find_digits(text: str) -> list[Raw]:
    """All numbers that begin with a digit, in order and disjoint."""
    found: list[Raw] = []
    search = scan_of(text).search
    floor, date_end = 0, -9
    while match := search(text, floor):
        floor, date_end = read_run(text, match, floor, date_end, found)
    return found


def read_run(
    text: str, match: re.Match[str], floor: int, date_end: int, found: list[Raw]
) -> tuple[int, int]:
    """Append the numbers of one run, a match of `scan_of(text)`, to `found`.

    Nothing before `floor` may be used; `date_end` is where the last part of a date ended. Returns
    both for the next run, which is searched from the floor on.
    """
    start, end = match.span()
    near = match.lastindex is not None
    before = text[start - 1 : start]
    word = word_before_blank(text, start) if before == " " or before == "\n" else ""
    kind = kind_of(word) if word else ""
    dated = date_end >= start - 2 and (end - start == 4 or before == "T")
    pieces = pieces_of(text[start:end])
    bracketed = before == "(" and (
        end - start != 3 or text[end : end + 1] != ")"
    )  # "(555) 123-4567"
    if (bracketed or (word and before == " ")) and not (kind or near or dated):
        # Most numbers stand free: before them a word that means nothing, behind them nothing.
        for piece in pieces:
            found.append((start + piece.start, start + piece.end, piece.value, piece.form))
        return end, end if pieces[-1].form == "date_part" else date_end
    run = _Run(text, (start, end), floor, (word, kind), pieces, dated, near)
    found += run.read()
    _, last, _, form = found[-1]
    return run.resume, last if form == "date_part" else date_end


def word_before_blank(text: str, start: int) -> str:
    """The word in front of the one blank before `start`, at most 13 characters of it; "" behind two blanks."""
    lead = text[max(0, start - 14) : start - 1]
    return lead.split()[-1] if lead and not lead[-1].isspace() else ""


@lru_cache(maxsize=65536)
def kind_of(word: str) -> str:
    """What the word before a number means for it.

    "date": a year may follow; "month": a date follows; "name": an identifier may follow ("Room");
    "prefix": a currency or a sign ("USD", "minus"); "": nothing.
    """
    lower = word.lower()
    if lower in lexicon.DATE_WORDS:
        return "date"
    if _MONTH_WORD.fullmatch(word):
        return "month"
    if lower.rstrip(":#") in lexicon.NAMED:
        return "name"
    return "prefix" if _PREFIX_WORD.fullmatch(word) else ""


class _Run:
    """One run of digits on its way from characters to numbers; `read` takes the steps."""

    # What the steps find: the value is sign * (digits * 10**power + addend) * factor.
    sign = 1
    money = False
    power = 0
    factor = 1.0
    addend = 0.0

    def __init__(
        self,
        text: str,
        span: tuple[int, int],
        floor: int,
        before: tuple[str, str],
        pieces: tuple[Piece, ...],
        dated: bool,
        near: bool,
    ) -> None:
        self.text, self.floor, self.pieces, self.dated = text, floor, pieces, dated
        self.start, self.end = span
        self.begin, self.resume = span
        self.word, self.kind = before
        self.before = text[self.start - 1 : self.start]
        self.form = pieces[-1].form
        # The character behind the run, if something there may belong to it.
        self.behind = text[self.end] if near else ""

    def read(self) -> list[Raw]:
        """The numbers of the run; the next run is searched from `resume` on."""
        if self.behind or not self.word or self.kind == "name":
            found = self.identifier()
            if found:
                return found
        if self.before == ".":
            self.point()
        form = self.date_form()
        if form:
            return [self.part(piece, form) for piece in self.pieces]
        if self.kind == "prefix" or not (self.word or self.before in _NO_PREFIX):
            self.prefix()
        if self.behind:
            if self.behind != "%" and not self.suffix():
                return self.name(self.begin)
            self.unit()
        return self.amounts()

    def identifier(self) -> list[Raw]:
        """Identifiers swallow the run: a phone number, "A320", "Room 101"."""
        text, start, before = self.text, self.start, self.before
        opened = before in ("(", "+") and start > self.floor
        if self.behind or opened:
            phone = _PHONE.match(text, start - 1 if opened else start)
            if phone:
                self.resume = phone.end()
                return [(phone.start(), phone.end(), math.nan, "identifier")]
        if self.kind == "name":
            run = text[start : self.end]
            enough = len(run) >= 3 or self.word.rstrip(":#").lower() in lexicon.ROADS
            return self.name(start) if enough and run.isdecimal() else []
        if before in ("Q", "Y") and _PERIOD_BEFORE.search(text, max(0, start - 3), start):
            self.dated = True  # "Q3", "FY2024"
            return []
        timed = before == "T" and self.dated  # "2024-05-17T10"
        by = before in ("x", "×") and start - 1 == self.floor > 0  # "1920x1080"
        if self.word or timed or by or start <= self.floor:
            return []
        token = _token_start(text, start, self.floor)
        return self.name(token) if token >= 0 else []

    def name(self, begin: int) -> list[Raw]:
        """An identifier from `begin` over the digits to the end of its token."""
        lead = self.text[begin : self.end]
        url = "://" in lead or lead.startswith("www.") or "@" in lead
        rest = (_REST_OF_URL if url else _REST_OF_TOKEN).match(self.text, self.end)
        if rest:
            self.resume = self.end + len(rest.group().rstrip(".,;:"))
        return [(begin, self.resume, math.nan, "identifier")]

    def point(self) -> None:
        """A point in front of plain digits opens decimals: ".5"."""
        run = self.text[self.start : self.end]
        lead = self.text[max(0, self.start - 2) : self.start - 1]
        free = not lead.isalnum() and lead != "."
        if free and self.start > self.floor and run.isdecimal():
            literal = "0." + run if len(run) <= LONGEST else ""
            self.start = self.begin = self.start - 1
            self.pieces = (Piece(0, len(run) + 1, literal, "decimal", value_of(literal)),)
            self.form = "decimal"

    def date_form(self) -> str:
        """ "date_part" or "time_part" if the run or the words around it make it one, else ""."""
        text, end, pieces, near = self.text, self.end, self.pieces, self.behind
        form = pieces[0].form
        worded = near not in ("", "%") or self.kind in ("date", "month")
        if not worded and not self.dated and form not in _DATES:
            return ""
        if form == "date_part" and text[end : end + 1] in ("T", "Z"):
            return form
        plain = small = year = True
        for piece in pieces:
            size = piece.end - piece.start
            if piece.form not in PLAIN or size > 4:
                return ""
            plain = plain and (size == 2 or piece.literal != "")
            small = small and not piece.value > 31  # "05" has no value
            year = year and size == 4 and 1000 <= piece.value < 2200
        if form in _DATES or not plain:
            return form if form in _DATES else ""
        if small and near and _CLOCK.match(text, end):
            return "time_part"
        if small and near and MONTH_BEHIND.match(text, end) and not _ORDINAL.match(text, end):
            return "date_part"
        if self.kind == "month" and (small or year):
            return "date_part"
        if year and not near and (self.dated or self.kind == "date"):
            return "date_part"
        alone = self.dated and len(pieces) == 1
        era = near and len(pieces[0].literal) < 5 and _ERA.match(text, end)
        return "date_part" if alone or era else ""

    def part(self, piece: Piece, form: str) -> Raw:
        """A part of a date or a time; zeros may lead it."""
        start, end = self.start + piece.start, self.start + piece.end
        value = piece.value if piece.literal else float(self.text[start:end])
        return start, end, value, form

    def prefix(self) -> None:
        """What belongs to the number on its left: sign and currency, in either order."""
        text, floor, begin = self.text, self.floor, self.start
        if begin > floor and text[begin - 1] in lexicon.CURRENCY_SIGNS:
            begin, self.money = begin - 1, True
        elif begin - 1 > floor and _SPACED_SIGN.match(text, begin - 2):
            begin, self.money = begin - 2, True
        elif code := _CODE_BEFORE.search(text, max(floor, begin - 5), begin):
            begin, self.money = code.start(), True
        letters = None
        if self.money and text[begin] in lexicon.CURRENCY_SIGNS and text[begin - 1 : begin] != " ":
            letters = _DOLLAR_BEFORE.search(text, max(floor, begin - 3), begin)  # "US$"
        if letters:
            begin = letters.start()
        if begin > floor and text[begin - 1] in _SIGNS and self.sign_possible(begin - 1):
            begin, self.sign = begin - 1, _SIGNS[text[begin - 1]]
            if not self.money and begin > floor and text[begin - 1] in lexicon.CURRENCY_SIGNS:
                begin, self.money = begin - 1, True
        elif text[begin - 1 : begin] in (" ", "\n"):
            minus = _MINUS_BEFORE.search(text, max(floor, begin - 12), begin)
            if minus:
                begin, self.sign = minus.start(), -1
        self.begin = begin

    def sign_possible(self, at: int) -> bool:
        """Whether the character at `at` is a sign: it opens a word, and "5 –7" is a range."""
        text, floor = self.text, self.floor
        if at == 0:
            return True
        if (at <= floor and floor) or text[at - 1] not in _SIGN_OPENERS:
            return False
        return text[at] != "–" or not text[max(0, at - 2) : at].strip().isdecimal()

    def suffix(self) -> bool:
        """The power of ten, ordinal ending, letters, half and scale words; False if they make a name of the run."""
        text, run = self.text, self.text[self.start : self.end]
        if raised := _power_of_ten(text, self.end, self.pieces[-1].literal):
            self.end, self.power = raised
            self.form = "scientific"
            return True
        glued = None if self.behind in " -" else _LETTERS.match(text, self.end)
        if self.form in ("integer", "thousands") and (glued or self.behind in "ºª"):
            if ending := _ORDINAL.match(text, self.end):
                self.end, self.form = ending.end(), "ordinal"
                return True
        if glued:
            power = _power_of_letters(text, glued, run, self.money)
            if power is None:
                return False
            if power:  # "50k"
                self.power, self.end = power, glued.end()
            elif text[glued.end() : glued.end() + 1] in ("2", "3"):  # "m2"
                self.resume = glued.end() + 1
        if self.form == "integer" and (mixed := _MIXED.match(text, self.end)):
            vulgar, top, bottom, word = mixed.groups()
            if vulgar:
                self.addend = unicodedata.numeric(vulgar)
            elif top:
                self.addend = int(top) / int(bottom)
            else:
                self.addend = 0.5 if word == "half" else 0.25
            self.end, self.form = mixed.end(), "fraction"
        self.end, self.factor = scale_behind(text, self.end)
        return True

    def unit(self) -> None:
        """The percent or currency word or sign behind the number."""
        if self.form not in _WITHOUT_UNIT:
            self.end, self.form = unit_behind(self.text, self.end, self.form)

    def amounts(self) -> list[Raw]:
        """The numbers with all that was found: it belongs to the last of them, what stands before to the first."""
        start, last = self.start, self.pieces[-1]
        alone = len(self.pieces) == 1
        if alone and self.form == "identifier":
            self.begin, self.sign = start, 1
        elif alone and self.money and self.form not in (*_WITHOUT_UNIT, "percent"):
            self.form = "currency"
        elif self.form == "integer" and self.begin == start and self.end - start <= 3:
            lead = self.text[max(0, start - 9) : start]
            opens = not lead.rpartition("\n")[2].strip() and ("\n" in lead or start < 9)
            if opens and _LIST_END.match(self.text, self.end):
                self.form = "list_marker"
        self.resume = max(self.resume, self.end)
        found = [self.lower_end(piece) for piece in self.pieces[:-1]]
        value = value_of(last.literal, self.power, self.factor, self.addend)
        found.append((start + last.start, self.end, value, self.form))
        _, end, value, form = found[0]
        if self.money and not alone and self.pieces[0].literal:
            form = "currency"
        found[0] = (self.begin, end, self.sign * value if value else value, form)
        return found

    def lower_end(self, piece: Piece) -> Raw:
        """A number before the last: a range shares scale and unit with its upper end ("10-20 million", "5-10%")."""
        start, end, form = self.start + piece.start, self.start + piece.end, piece.form
        scaled = self.factor != 1.0 or (self.power != 0 and self.form != "scientific")
        if self.text[end] not in lexicon.DASHES or form not in ("integer", "decimal", "thousands"):
            return start, end, piece.value, form
        if self.form in ("percent", "currency"):
            form, scaled = self.form, True
        value = value_of(piece.literal, self.power, self.factor) if scaled else piece.value
        return start, end, value, form


def _token_start(text: str, start: int, floor: int) -> int:
    """Start of the name that the digits at `start` are glued to ("A320", "COVID-19", a URL), or -1."""
    before = text[start - 1]
    if before == "#":
        return start - 1
    glued = before == "_" or (before.isalpha() and before.lower() != before.upper())
    if not glued and before not in "-./@=&?%:+~":
        return -1
    begin = max(floor, start - 200)
    lead = text[begin:start]
    token = lead[len(lead.rstrip(_IN_TOKEN)) :]
    if len(token) == len(lead) and begin and text[begin - 1] in _IN_TOKEN:
        token = ""  # it has no beginning here
    if "://" in token or token.startswith("www.") or "@" in token[1:]:
        return start - len(token)
    if glued:
        cut = max(token.rfind(mark) for mark in "/:@?=&%#~+.") + 1
        return start - len(token) + cut if token else start - 1
    word = _HYPHENATED.search(token) if before == "-" else None
    if word and (not word.group(1).islower() or word.group(1) in ("covid", "rs")):
        return start - len(word.group())
    return -1


def _power_of_ten(text: str, end: int, literal: str) -> tuple[int, int] | None:
    """`(end, exponent)` of "e23" and " × 10^23", and of "^6" or "⁶" behind a bare 10; None without."""
    found = _POWER.match(text, end)
    zeros = 0
    if found is None and literal == "10":
        found, zeros = _POWER_OF_TEN.match(text, end), 1
    if found is None:
        return None
    digits = found[found.lastindex or 0].translate(_PLAIN_DIGITS)
    exponent = int(digits.lstrip("+-")[:6]) if len(digits) < 8 else 99999
    if digits[0] == "-":
        exponent = -exponent
    return found.end(), exponent - zeros


def _power_of_letters(text: str, letters: re.Match[str], run: str, money: bool) -> int | None:
    """The power of ten of letters right behind the digits: 3 for "50k", 0 for a unit ("5kg"), None for a name."""
    written, end = letters.group(), letters.end()
    after = text[end : end + 1]
    if written == "x" and after.isdecimal():
        return None if run == "0" else 0  # "0x1F" is a name, "1920x1080" are two numbers
    joined = after == "_" or after.isalnum()
    if written in lexicon.SCALE_LETTERS and not joined and run + written not in _NOT_SCALED:
        if money or written not in ("m", "b", "T"):  # alone, these are meters, bits and teslas
            return lexicon.SCALE_LETTERS[written]
    raised = after in ("2", "3") and not text[end + 1 : end + 2].isalnum()
    free = raised or not joined or not after.isascii()
    return 0 if free and written in lexicon.UNIT_SYMBOLS else None


def scale_behind(text: str, end: int) -> tuple[int, float]:
    """`(end, factor)` of the scale words behind `end`: " hundred thousand" gives 1e5."""
    factor = 1.0
    for _ in range(2):
        found = _SCALE.match(text, end)
        if found is None:
            break
        end, factor = found.end(), factor * lexicon.SCALES_BEHIND[found.group(1).lower()]
    return end, factor


def unit_behind(text: str, end: int, form: str) -> tuple[int, str]:
    """`(end, form)` with the percent or currency word or sign behind `end`, if there is one."""
    if found := _PERCENT.match(text, end):
        return found.end(), "percent"
    if found := _CURRENCY.match(text, end):
        return found.end(), "currency"
    return end, form
