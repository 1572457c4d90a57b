"""The grammar of numbers that begin with a digit, read from one run of digits to the next.

A run is digits with the separators between them: "1,234.5", "12:30", "10-20". `_Run.read` reads
one from top to bottom: identifier, date, prefix, suffix, unit. All patterns are possessive or
bounded, so the time is linear.
"""

from __future__ import annotations

import math
import re
import unicodedata

from ssl_lib.numbers import lexicon
from ssl_lib.numbers.before import PERIOD_BEFORE, apart, kind_of, word_before_blank
from ssl_lib.numbers.behind import (
    LETTERS,
    MIXED,
    ORDINAL,
    UNCERTAINTY,
    and_count,
    counts,
    power_of_ten,
    scale_behind,
    unit_behind,
    upper_behind,
)
from ssl_lib.numbers.forms import LONGEST, Piece, Raw, Shape, shape_of, value_of
from ssl_lib.numbers.identifiers import (
    is_exponent,
    is_named,
    name_end,
    name_start,
    whole_identifier,
)

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
    r"[°ºª%‰A-Za-zÅµμΩ×*·⋅±^¼-¾⅐-⅞€£¥¢²³¹\u2070-\u207b٪年月日]|\(\d{1,3}\)|\+/?[-−]|/[JFMASOND][a-z]{2}"
    r"|(?:[\n\u00a0\u202f-]|[ ][ \n]?|\n {1,8})(?=[^ (\nfginsvwz])(?:[%‰€£¥¢¼-¾⅐-⅞±]|\+/"
    r"|[×x*·⋅] ?10|[1-9]\d?[/⁄]|p(?:er|ct|ounds st|e[ns]|\.?m|our c)|P(?:er|roz)|m(?:ill|n\b)"
    r"|M(?:ill|io|rd)|b(?:ill|n\b|uck)|t(?:ri|hous|n\b)|of [JFMASOND]|a(?:nd an? |\.?m)"
    # the upper end of a range with what both ends share, "and 1/4"
    r"|(?:to|and) [$€£¥]?[1-9][\d,]{0,12}+(?:\.\d{1,6})?(?:[%kKMBmbt]|[ \n-](?:hun|thou|[mb]il|tri"
    r"|per|pct|doz|lakh|cro|[bmt]n|doll|euro|cent|yen|rup|[A-Z]{3}\b)|[/⁄])"
    r"|[Ee]uro|c(?:ent|ror)|d(?:ollar|oz)|h(?:und)|yen|yuan|rup|rubl|quad|la(?:kh)"
    r"|o[’']cl|[A-Z]{3}\b|[AP]\.?M|US |BC|AD|CE|B\.C|J(?:an|u[nl])|Feb|Ma[ry]|A(?:pr|ug|us)|Sep|Oct"
    r"|Nov|Dec|Can|\d{3} \d{4} |\d{4} \d{4} |0\d{3}\b)|[ -]franc"
    r"|-(?:[A-Z]{1,2}\b|[$€£¥]\d)|–[$€£¥]\d"
)
_ASCII_SCAN = re.compile(f"(?:{_ASCII_RUN})(?:(?={BEHIND.pattern})())?")
_ANY_SCAN = re.compile(f"(?:{_ANY_RUN})(?:(?={BEHIND.pattern})())?")

# --- before the digits ---
_SIGNS = {"-": -1, "−": -1, "–": -1, "﹣": -1, "－": -1, "+": 1}
_SIGN_OPENERS = frozenset(
    " \n\t\r\u00a0\u202f\u2009([{=<>≤≥⩽⩾≲≳≪≫±∓~∼≈≃≅≡∈…:,;\"'“‘„«*/^|×·•→" + lexicon.CURRENCY_SIGNS
)
_SIGN_AND_BLANK = re.compile(rf"[{lexicon.CURRENCY_SIGNS}][ \u00a0]")
_CODE_BEFORE = re.compile(rf"(?<![A-Za-z])(?:{lexicon.CURRENCY_CODES}|Rs\.?)[ \u00a0]?$")
_DOLLAR_BEFORE = re.compile(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|R|S|NT)$")
_MINUS_BEFORE = re.compile(
    r"(?:(?<![0-9)] )(?<![^A-Za-z][A-Za-z] )(?<!\A[A-Za-z] )(?<![A-Za-z])[Mm]inus"
    r"|(?<![A-Za-z])[Nn]egative) $"
)

_NOT_SCALED = frozenset({"4K", "8K", "401k", "401K"})
_UNCERTAIN = frozenset("(±+ \u00a0")
_RANGED = frozenset(" -–—")
_AMOUNTS = ("integer", "decimal", "thousands")
_WITHOUT_UNIT = ("date_part", "time_part", "identifier")

_NO_PREFIX = frozenset("([{/=<>:,;*'\"")

_CLOCK = re.compile(
    r"[ \u00a0]?(?:[ap]m|[AP]M|[ap]\.m\.|[AP]\.M\.)(?![A-Za-z])|[ \u00a0]o[’']clock"
)
MONTH_BEHIND = re.compile(
    rf"(?:st|nd|rd|th)?[ \u00a0](?:of )?(?:{lexicon.MONTH})\b(?!-)|[/-](?:{lexicon.MONTH})\b"
)
_MONTH_GLUED = re.compile(rf"\d[ /-](?:{lexicon.MONTH})[/-]$")  # "17-May-2024"
_HOURS = re.compile(r"(1?\d)\.([0-5]\d)")
_ERA = re.compile(r"s\b|[年月日]|[ \u00a0](?:BC|AD|BCE|CE)\b|[ \u00a0]B\.C\.")
_MONEY_BRACKET = re.compile(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|R|S|NT)?[$€£¥][ \u00a0]?\($")
_NEGATED = re.compile(rf"\)(?=%|[ -](?:{'|'.join(lexicon.SCALES_BEHIND)}|percent)s?\b)")
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
    if " " in text[start:end] and apart(text, start, end, word):
        end = text.index(" ", start)
        near = False
    shape = shape_of(text[start:end])
    numbers = None
    if not dated and shape.pieces[0].form != "identifier":
        # Most numbers stand free: nothing around them, or one thing alone.
        if before == " " and word:
            numbers = _behind_word(text, start, end, shape, kind, near)
        elif not near:
            numbers = _behind_mark(text, start, end, shape, floor)
    if numbers is None:
        run = _Run(text, start, end, floor, shape)
        run.word, run.kind, run.dated = word, kind, dated
        run.behind = text[end] if near else ""
        numbers = run.read()
        if not numbers:
            return run.resume, date_end
        end = run.resume
    else:
        end = max(end, numbers[-1][1])
    found += numbers
    last = found[-1]
    return end, last[1] if last[3] == "date_part" else date_end


def _behind_word(
    text: str, start: int, end: int, shape: Shape, kind: str, near: bool
) -> list[Raw] | None:
    """The numbers of a run behind a word, with nothing or "%" behind; None: `_Run` can tell."""
    piece, alone = shape.pieces[0], len(shape.pieces) == 1
    if near:
        after = text[end + 1 : end + 2]
        percent = alone and text[end] == "%" and piece.form in _AMOUNTS and kind in ("", "date")
        if percent and not after.isdecimal() and after != ":":
            return [(start, end + 1, piece.value, "percent")]
        return None
    if not kind:
        return [(start + a, start + b, value, form) for a, b, _, form, value in shape.pieces]
    if alone and piece.form == "integer" and kind in ("date", "month"):
        part = shape.parts and (shape.year or (kind == "month" and shape.small))
        return [(start, end, piece.value, "date_part" if part else "integer")]
    return None


def _behind_mark(text: str, start: int, end: int, shape: Shape, floor: int) -> list[Raw] | None:
    """The numbers of a run behind a bracket or "$", with nothing behind; None: `_Run` can tell."""
    before, form = text[start - 1 : start], shape.pieces[0].form
    if before == "(":
        # "(555) 123-4567", "(5) million" and "$(2025)", but "(2025)"
        enclosed = text.startswith((")", " )"), end)
        year = end - start == 4 and form == "integer" and not _NEGATED.match(text, end)
        if enclosed and (not year or _MONEY_BRACKET.search(text, max(0, start - 5), start)):
            return None
        return [(start + a, start + b, value, form) for a, b, _, form, value in shape.pieces]
    if before != "$" or len(shape.pieces) > 1 or form not in _AMOUNTS or start - 1 <= floor:
        return None
    # not "US$5" and "minus $5"
    spaced = text[start - 2] == " " and text[start - 3 : start - 2] not in ("s", "e")
    return [(start - 1, end, shape.pieces[0].value, "currency")] if spaced else None


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
        if not self.word and is_exponent(self.text, self.start, self.end):
            return []
        lead = self.text[max(0, self.start - 12) : self.start]
        if self.before in "-/" and _MONTH_GLUED.search(lead):
            self.kind = "month"
        elif self.behind or not self.word or self.kind == "name" or self.form == "identifier":
            found = self.identifier()
            if found:
                return found
        if self.before == ".":
            self.point()
        form = self.clock_with_point() or self.date_form()
        if form:
            return [self.part(piece, form) for piece in self.pieces]
        if self.kind == "prefix" or not (self.word or self.before in _NO_PREFIX):
            self.prefix()
        self.bracket()
        if self.behind:
            if self.behind != "%" and not self.suffix():
                return self.name(self.begin)
            self.unit()
        return self.amounts()

    def identifier(self) -> list[Raw]:
        """Identifiers swallow the run: a phone number, "Room 101", "A320"."""
        text, start, before = self.text, self.start, self.before
        behind = text[self.end : self.end + 2]
        grouped = self.behind and (behind[0] == "-" or behind[1:].isdecimal() or behind[1:] == ":")
        whole = grouped or before in ("(", "+", ":") or self.form == "identifier"
        if whole and (span := whole_identifier(text, start, self.floor)):
            self.resume = span[1]
            return [(*span, math.nan, "identifier")]
        if self.kind == "name":
            return self.name(start) if is_named(text[start : self.end], self.word) else []
        if before in ("Q", "Y") and PERIOD_BEFORE.search(text, max(0, start - 3), start):
            self.dated = True  # "Q3", "FY2024"
            return []
        timed = before == "T" and self.dated  # "2024-05-17T10"
        by = before in ("x", "×") and start - 1 == self.floor > 0  # "1920x1080"
        if self.word or timed or by or start <= self.floor:
            return []
        begin = name_start(text, start, self.floor)
        return [] if begin < 0 else self.name(begin)

    def name(self, begin: int) -> list[Raw]:
        """An identifier from `begin` over the digits to the end of its token."""
        self.resume = name_end(self.text, begin, self.end)
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

    def clock_with_point(self) -> str:
        """The form of "2.15pm"."""
        hours = _HOURS.fullmatch(self.text, self.start, self.end) if self.behind else None
        if hours is None or not _CLOCK.match(self.text, self.end):
            return ""
        point = hours.end(1) - self.start
        hour = Piece(0, point, "", "time_part", 0.0)
        self.pieces = hour, hour._replace(start=point + 1, end=self.end - self.start)
        return "time_part"

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
        if self.follows_date_word() or (self.dated and len(self.pieces) == 1):
            return "date_part"
        if worded and _ERA.match(text, end):
            return "date_part"
        month = worded and shape.small and MONTH_BEHIND.match(text, end)
        return "date_part" if month and not ORDINAL.match(text, end) else ""

    def follows_date_word(self) -> bool:
        """Whether a word or a date before makes it a date: "May 5", "in 1969"."""
        if self.kind == "month":
            return self.shape.small or self.shape.year
        joined = self.behind == " " and self.text.startswith((" and ", " to "), self.end)
        free = joined or not self.behind  # "in 1969 and 70 in 1970"
        return self.shape.year and free and (self.dated or self.kind == "date")

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
        if self.text[max(0, at - 2) : at] == "+/":
            return False
        lead = self.text[max(0, at - 2) : at].strip()
        return self.text[at] != "–" or not lead.isdecimal()

    def bracket(self) -> None:
        """Brackets for a minus: "$(1,234)", "(23.5) million", but not "twenty (20) million"."""
        text, begin, end = self.text, self.start - 1, self.end
        end += text[end : end + 1] == " "
        enclosed = self.before == "(" and text[end : end + 1] == ")"
        if not enclosed or begin < self.floor or len(self.pieces) > 1:
            return
        money = _MONEY_BRACKET.search(text, max(self.floor, begin - 4), begin + 1)
        word = word_before_blank(text, begin).lower()
        counted = word.rpartition("-")[2] in lexicon.COUNTS or word in lexicon.SCALES_BEHIND
        if money:
            begin, self.money = money.start(), True
        elif counted or not _NEGATED.match(text, end):
            return
        self.begin, self.end, self.sign = begin, end + 1, -1
        self.behind = text[self.end : self.end + 1]

    def suffix(self) -> bool:
        """Powers of ten, "th", letters, halves, scale words; False if they make it a name."""
        text, literal = self.text, self.pieces[-1].literal
        if self.behind in _UNCERTAIN and (found := UNCERTAINTY.match(text, self.end)):
            self.end = found.end() if self.uncertain(found) else self.end
        if raised := power_of_ten(text, self.end, literal):
            self.end, self.power = raised
            self.form = "scientific"
            return True
        letters = LETTERS.match(text, self.end)
        ordinal = ORDINAL.match(text, self.end)  # "3rd", "1/3rd"
        if ordinal and self.form in ("integer", "thousands", "fraction"):
            self.end = ordinal.end()
            self.form = "fraction" if self.form == "fraction" else "ordinal"
            return True
        if letters:
            power = self.power_of_letters(letters)
            if power is None:
                return False
            if power:  # "50k"
                self.power, self.end = power, letters.end()
            elif letters[0] not in ("°", "x") and text.startswith(
                ("2", "3"), letters.end()
            ):  # "m2"
                self.resume = letters.end() + 1
        if self.form == "integer" and (mixed := MIXED.match(text, self.end)):
            self.mix(mixed)
        self.end, self.factor = scale_behind(text, self.end)
        if self.form == "integer" and self.factor in (100.0, 1000.0):
            self.end, count = and_count(text, self.end)
            self.addend += count / self.factor
        return True

    def uncertain(self, found: re.Match[str]) -> bool:
        """Whether "(4)" is the uncertainty of the last digits: not that of "Section 13.4(2)"."""
        if self.form not in ("integer", "decimal", "thousands") or self.dated:
            return False
        if found[0][0] != "(":
            return True
        return self.form == "decimal" and self.word.lower() not in lexicon.PARAGRAPHS

    def mix(self, mixed: re.Match[str]) -> None:
        """Add a fraction: "3½", "3 1/2", "2 and 1/4", "2 and a half"."""
        vulgar, top, bottom, word = mixed.groups()
        if top:
            self.addend = int(top) / int(bottom)
        elif word:
            self.addend = 0.5 if word == "half" else 0.25
        else:
            self.addend = unicodedata.numeric(vulgar)
        self.end, self.form = mixed.end(), "fraction"

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
            if written in ("M", "B") and not self.money:
                scaled = counts(self.text, self.start, self.end, self.word)
            return lexicon.SCALE_LETTERS[written] if scaled else None
        raised = after in ("2", "3") and not self.text[end + 1 : end + 2].isalnum()
        free = raised or not joined or not after.isascii()
        return 0 if written == "°" or (free and written in lexicon.UNIT_SYMBOLS) else None

    def unit(self) -> None:
        """The percent or currency word or sign behind the number, or behind its upper end."""
        if self.form not in _WITHOUT_UNIT:
            self.end, self.form = unit_behind(self.text, self.end, self.form)
        plain = self.factor == 1.0 and self.power == 0
        if self.behind in _RANGED and plain and self.form in (*_AMOUNTS, "currency"):
            between = self.text.endswith("etween ", 0, self.begin)
            upper = upper_behind(self.text, self.end, self.pieces[-1].value, between)
            self.form = upper.form or self.form
            self.factor, self.power = upper.factor, upper.power

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
        ranged = self.text[end] in lexicon.DASHES and form in _AMOUNTS
        unit = self.form in ("percent", "currency")
        raised = self.form == "scientific" and "e" in self.text[self.start : self.end].lower()
        scaled = self.factor != 1.0 or (self.power != 0 and not raised)
        if not ranged or not (unit or scaled):
            return start, end, piece.value, form
        value = value_of(piece.literal, self.power, self.factor)
        return start, end, value, self.form if unit else form
