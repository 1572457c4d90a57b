"""The grammar of numbers that begin with a digit, read from one run of digits to the next.

A run is digits with the separators between them: "1,234.5", "12:30", "10-20". `_Run.read` reads
one from top to bottom: identifier, date, prefix, suffix, unit. All patterns are possessive or
bounded, so the time is linear.
"""

from __future__ import annotations

import math
import re
import unicodedata
from functools import lru_cache

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.forms import LONGEST, Piece, Raw, Shape, shape_of, value_of

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
# All that goes on with a number begins like this; most runs have nothing behind them.
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
_SIGN_AND_BLANK = re.compile(rf"[{lexicon.CURRENCY_SIGNS}][ \u00a0]")
_CODE_BEFORE = re.compile(rf"(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?)[ \u00a0]?$")
_DOLLAR_BEFORE = re.compile(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|R|S|NT)$")
_MINUS_BEFORE = re.compile(
    r"(?:(?<![0-9)] )(?<![^A-Za-z][A-Za-z] )(?<!\A[A-Za-z] )(?<![A-Za-z])[Mm]inus"
    r"|(?<![A-Za-z])[Nn]egative) $"
)
_PERIOD_BEFORE = re.compile(r"(?<![A-Za-z0-9])(?:Q|FY)$")
_MONTH_WORD = re.compile(rf"(?:{lexicon.MONTH})\.?")
_PREFIX_WORD = re.compile(
    rf".*(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?|[Mm]inus|[Nn]egative)"
    rf"|.*[{lexicon.CURRENCY_SIGNS}]"
)

_WITHOUT_UNIT = ("date_part", "time_part", "identifier")

_NO_PREFIX = frozenset("([{/=<>:,;*'\"")

# --- behind the digits ---
_RAISED = rf"(?:\^|\*\*)[({{]?([-+−]?[0-9]{{1,6}}+)[)}}]?|([⁻⁺]?[{lexicon.SUPERSCRIPTS}]{{1,6}}+)"
_POWER = re.compile(
    r"[eE]([-+−]?[0-9]++)(?![A-Za-z0-9_]|-[0-9a-fA-F]{4}-)"
    rf"|[ \u00a0]?(?:[×x*·⋅]|\\times)[ \u00a0]?10(?:{_RAISED})"
)
_RAISED_TO = re.compile(_RAISED)
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
_LIST_END = re.compile(r"[.)](?=[ \t])")


def scan_of(text: str) -> re.Pattern[str]:
    """The pattern that finds runs; it has a group where something may go on behind one."""
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
    shape = shape_of(text[start:end])
    # Most numbers stand free: a bracket or a word without a meaning before, nothing behind them.
    free = before == " " and word != ""
    if before == "(":
        free = end - start != 3 or text[end : end + 1] != ")"  # "(555) 123-4567"
    if free and not (kind or near or dated):
        for piece in shape.pieces:
            found.append((start + piece.start, start + piece.end, piece.value, piece.form))
    else:
        run = _Run(text, start, end, floor, shape)
        run.word, run.kind, run.dated = word, kind, dated
        run.behind = text[end] if near else ""
        found += run.read()
        end = run.resume
    last = found[-1]
    return end, last[1] if last[3] == "date_part" else date_end


def word_before_blank(text: str, start: int) -> str:
    """The word before the one blank in front of `start`, at most 13 characters of it."""
    lead = text[max(0, start - 14) : start - 1]
    if not lead or lead[-1].isspace():
        return ""
    return lead.split()[-1]


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

    word = kind = ""  # the word before, and what it means
    behind = ""  # the character behind, if something there may go on with the number
    dated = False  # a date stands before

    # what the steps find: the value is sign * (digits * 10**power + addend) * factor
    sign = 1
    money = False
    power = 0
    factor = 1.0
    addend = 0.0

    def __init__(self, text: str, start: int, end: int, floor: int, shape: Shape) -> None:
        self.text = text
        self.floor = floor
        self.pieces = shape.pieces
        self.shape = shape
        self.form = shape.pieces[-1].form
        self.before = text[start - 1 : start]
        self.start = self.begin = start
        self.end = self.resume = end

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
        """Identifiers swallow the run: a phone number, "Room 101", "A320"."""
        text, start, before = self.text, self.start, self.before
        opened = before in ("(", "+") and start > self.floor
        if self.behind or opened:
            phone = _PHONE.match(text, start - 1 if opened else start)
            if phone:
                self.resume = phone.end()
                return [(*phone.span(), math.nan, "identifier")]
        if self.kind == "name":
            run, name = text[start : self.end], self.word.rstrip(":#").lower()
            named = run.isdecimal() and (len(run) >= 3 or name in lexicon.ROADS)
            return self.name(start) if named else []
        if before in ("Q", "Y") and _PERIOD_BEFORE.search(text, max(0, start - 3), start):
            self.dated = True  # "Q3", "FY2024"
            return []
        timed = before == "T" and self.dated  # "2024-05-17T10"
        by = before in ("x", "×") and start - 1 == self.floor > 0  # "1920x1080"
        if self.word or timed or by or start <= self.floor:
            return []
        begin = self.token_start()
        return [] if begin < 0 else self.name(begin)

    def token_start(self) -> int:
        """Where the name starts that the digits are glued to ("A320", "COVID-19", a URL), or -1."""
        text, start, before = self.text, self.start, self.before
        if before == "#":
            return start - 1
        letter = before.isalpha() and before.lower() != before.upper()
        if not (letter or before in "_-./@=&?%:+~"):
            return -1
        begin = max(self.floor, start - 200)
        lead = text[begin:start]
        token = lead[len(lead.rstrip(_IN_TOKEN)) :]
        if len(token) == len(lead) and begin and text[begin - 1] in _IN_TOKEN:
            token = ""  # it has no beginning here
        if "://" in token or token.startswith("www.") or "@" in token[1:]:
            return start - len(token)
        if letter or before == "_":
            cut = max(token.rfind(mark) for mark in "/:@?=&%#~+.") + 1
            return start - len(token) + cut if token else start - 1
        word = _HYPHENATED.search(token) if before == "-" else None
        if word and (not word.group(1).islower() or word.group(1) in ("covid", "rs")):
            return start - len(word.group())
        return -1

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
        start = self.start - 1
        run = self.text[self.start : self.end]
        lead = self.text[max(0, start - 1) : start]
        free = not lead.isalnum() and lead != "."
        if free and start >= self.floor and run.isdecimal():
            literal = "0." + run if len(run) <= LONGEST else ""
            piece = Piece(0, len(run) + 1, literal, "decimal", value_of(literal))
            self.shape = Shape((piece,))
            self.pieces = self.shape.pieces
            self.start = self.begin = start
            self.form = "decimal"

    def date_form(self) -> str:
        """The form of parts of a date or a time, if the run or words around it make it one."""
        text, end, shape = self.text, self.end, self.shape
        form = self.pieces[0].form
        if not shape.parts:
            return ""
        if form in ("date_part", "time_part"):
            return form
        worded = self.behind not in ("", "%")
        if worded and shape.small and _CLOCK.match(text, end):
            return "time_part"
        # "May 5", "in 1969", "5 May", "the 1980s"
        if self.kind == "month":
            dated = shape.small or shape.year
        else:
            dated = shape.year and not self.behind and (self.dated or self.kind == "date")
        if dated or (self.dated and len(self.pieces) == 1):
            return "date_part"
        if worded and _ERA.match(text, end):
            return "date_part"
        month = worded and shape.small and MONTH_BEHIND.match(text, end)
        return "date_part" if month and not _ORDINAL.match(text, end) else ""

    def part(self, piece: Piece, form: str) -> Raw:
        """A part of a date or a time; a zero may lead it."""
        start, end = self.start + piece.start, self.start + piece.end
        if piece.literal:
            return start, end, piece.value, form
        return start, end, float(self.text[start:end]), form

    def prefix(self) -> None:
        """What belongs to the number on its left: sign and currency, in either order."""
        text, floor, begin = self.text, self.floor, self.start
        if begin > floor and text[begin - 1] in lexicon.CURRENCY_SIGNS:
            begin, self.money = begin - 1, True
        elif begin - 1 > floor and _SIGN_AND_BLANK.match(text, begin - 2):
            begin, self.money = begin - 2, True
        elif code := _CODE_BEFORE.search(text, max(floor, begin - 5), begin):
            begin, self.money = code.start(), True
        before = text[begin - 1 : begin]
        if self.money and before != " " and text[begin] in lexicon.CURRENCY_SIGNS:
            letters = _DOLLAR_BEFORE.search(text, max(floor, begin - 3), begin)  # "US$"
            begin = letters.start() if letters else begin
            before = text[begin - 1 : begin]
        if before in _SIGNS and begin > floor and self.is_sign(begin - 1):
            begin, self.sign = begin - 1, _SIGNS[before]
            if not self.money and begin > floor and text[begin - 1] in lexicon.CURRENCY_SIGNS:
                begin, self.money = begin - 1, True
        elif before == " " or before == "\n":
            minus = _MINUS_BEFORE.search(text, max(floor, begin - 12), begin)
            if minus:
                begin, self.sign = minus.start(), -1
        self.begin = begin

    def is_sign(self, at: int) -> bool:
        """Whether the character at `at` is a sign: it opens a word, and "5 –7" is a range."""
        if at == 0:
            return True
        if (at <= self.floor and self.floor) or self.text[at - 1] not in _SIGN_OPENERS:
            return False
        lead = self.text[max(0, at - 2) : at].strip()
        return self.text[at] != "–" or not lead.isdecimal()

    def suffix(self) -> bool:
        """Powers of ten, "th", letters, halves, scale words; False if they make it a name."""
        text, end = self.text, self.end
        if raised := self.power_of_ten():
            self.end, self.power = raised
            self.form = "scientific"
            return True
        letters = None if self.behind in " -" else _LETTERS.match(text, end)
        if self.form in ("integer", "thousands") and (letters or self.behind in "ºª"):
            ordinal = _ORDINAL.match(text, end)
            if ordinal:
                self.end, self.form = ordinal.end(), "ordinal"
                return True
        if letters:
            power = self.power_of_letters(letters)
            if power is None:
                return False
            if power:  # "50k"
                self.power, self.end = power, letters.end()
            elif text.startswith(("2", "3"), letters.end()):  # "m2"
                self.resume = letters.end() + 1
        if self.form == "integer" and (mixed := _MIXED.match(text, self.end)):
            vulgar, top, bottom, word = mixed.groups()
            if top:
                self.addend = int(top) / int(bottom)
            elif word:
                self.addend = 0.5 if word == "half" else 0.25
            else:
                self.addend = unicodedata.numeric(vulgar)
            self.end, self.form = mixed.end(), "fraction"
        self.end, self.factor = scale_behind(text, self.end)
        return True

    def power_of_ten(self) -> tuple[int, int] | None:
        """`(end, exponent)` of "e23" and " × 10^23", and of "^6" or "⁶" behind a bare 10."""
        found = _POWER.match(self.text, self.end)
        zeros = 0
        if found is None and self.pieces[-1].literal == "10":
            found, zeros = _RAISED_TO.match(self.text, self.end), 1
        if found is None:
            return None
        digits = found[found.lastindex or 0].translate(_PLAIN_DIGITS)
        exponent = 99999  # beyond float64
        if len(digits) < 8:
            exponent = int(digits.lstrip("+-")[:6])
        if digits[0] == "-":
            exponent = -exponent
        return found.end(), exponent - zeros

    def power_of_letters(self, letters: re.Match[str]) -> int | None:
        """The power of ten of letters behind digits: 3 for "50k", 0 for a unit, None for a name."""
        written, end = letters.group(), letters.end()
        run = self.text[self.start : self.end]
        after = self.text[end : end + 1]
        if written == "x" and after.isdecimal():
            return None if run == "0" else 0  # "0x1F" is a name, "1920x1080" are two numbers
        joined = after == "_" or after.isalnum()
        scaled = written in lexicon.SCALE_LETTERS and run + written not in _NOT_SCALED
        known = self.money or written not in ("m", "b", "T")  # alone: meters, bits, teslas
        if scaled and known and not joined:
            return lexicon.SCALE_LETTERS[written]
        raised = after in ("2", "3") and not self.text[end + 1 : end + 2].isalnum()
        free = raised or not joined or not after.isascii()
        return 0 if free and written in lexicon.UNIT_SYMBOLS else None

    def unit(self) -> None:
        """The percent or currency word or sign behind the number."""
        if self.form not in _WITHOUT_UNIT:
            self.end, self.form = unit_behind(self.text, self.end, self.form)

    def amounts(self) -> list[Raw]:
        """The numbers; what stands behind belongs to the last, what stands before to the first."""
        start, alone = self.start, len(self.pieces) == 1
        if alone and self.form == "identifier":
            self.begin, self.sign = start, 1
        elif alone and self.money and self.form not in (*_WITHOUT_UNIT, "percent"):
            self.form = "currency"
        elif self.form == "integer" and self.begin == start and self.end - start <= 3:
            lead = self.text[max(0, start - 9) : start]
            line = lead.rpartition("\n")[2]
            opens = not line.strip() and (line != lead or start < 9)
            if opens and _LIST_END.match(self.text, self.end):
                self.form = "list_marker"
        self.resume = max(self.resume, self.end)
        last = self.pieces[-1]
        value = value_of(last.literal, self.power, self.factor, self.addend)
        found = [self.lower_end(piece) for piece in self.pieces[:-1]]
        found.append((start + last.start, self.end, value, self.form))
        _, end, value, form = found[0]
        if self.money and not alone and self.pieces[0].literal:
            form = "currency"
        found[0] = (self.begin, end, self.sign * value if value else value, form)
        return found

    def lower_end(self, piece: Piece) -> Raw:
        """A number before the last; a range shares scale and unit: "10-20 million", "5-10%"."""
        start, end, form = self.start + piece.start, self.start + piece.end, piece.form
        ranged = self.text[end] in lexicon.DASHES and form in ("integer", "decimal", "thousands")
        unit = self.form in ("percent", "currency")
        scaled = self.factor != 1.0 or (self.power != 0 and self.form != "scientific")
        if not ranged or not (unit or scaled):
            return start, end, piece.value, form
        value = value_of(piece.literal, self.power, self.factor)
        return start, end, value, self.form if unit else form


def scale_behind(text: str, end: int) -> tuple[int, float]:
    """`(end, factor)` of the scale words behind `end`: " hundred thousand" gives 1e5."""
    factor = 1.0
    for _ in range(2):
        found = _SCALE.match(text, end)
        if found is None:
            break
        end = found.end()
        factor *= lexicon.SCALES_BEHIND[found.group(1).lower()]
    return end, factor


def unit_behind(text: str, end: int, form: str) -> tuple[int, str]:
    """`(end, form)` with the percent or currency word or sign behind `end`, if there is one."""
    if found := _PERCENT.match(text, end):
        return found.end(), "percent"
    if found := _CURRENCY.match(text, end):
        return found.end(), "currency"
    return end, form
