"""Digits that are no amounts: names, codes, phone numbers, addresses, exponents of units.

All patterns are possessive or bounded, so the time is linear.
"""

from __future__ import annotations

import re

from ssl_lib.numbers import lexicon

# "+44 20 7946 0958", "(555) 123-4567", cards of sixteen digits, "(020) 7946 0958", "0800 169 6031"
_PHONE = re.compile(
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?)(?:[ .-]\d{2,4}){2,4}(?!\d)|\(\d{3}\)[ -]?\d{3}-\d{4}(?!\d)"
    r"|\d{4}(?: \d{4}){3}(?!\d)|\(0\d{1,4}\)[ -]?\d{3,4}[ -]?\d{3,4}(?!\d)"
    r"|(?=0(?: ?\d){8,11}(?![\d,.]\d| ?\d))0\d{1,4}(?: \d{2,6}){1,4}|\d{3} 0\d{3}(?![\d,.]\d| ?\d)"
)
# "00:1A:2B:3C:4D:5E"
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}([:-]))(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}(?![0-9A-Za-z:])")
_MAC_LEAD = re.compile(r"(?<![0-9A-Za-z:-])(?:[0-9A-Fa-f]{2}[:-]){0,5}+[A-Fa-f]?$")
# "8-K", "10-Q/A"
_CODE = re.compile(r"\d{1,2}-([A-Z]{1,2})(?:/A)?(?![A-Za-z0-9-])")
_KELVIN = frozenset("8-K 10-K 6-K 11-K 20-F 40-F".split())  # forms of filings, in spite of K and F

_IN_TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/:@?=&%#~+"
_HYPHENATED = re.compile(r"(?<![A-Za-z0-9])([A-Za-z][A-Za-z0-9]*)-$")
_REST_OF_TOKEN = re.compile(r"[A-Za-z0-9_]*+(?:[-.:/][A-Za-z_]*+[0-9][A-Za-z0-9_]*+)*")
_REST_OF_URL = re.compile(r"[^\s<>\"')\]]*+")
_LABEL = re.compile(rf"(?<![A-Za-z0-9_.-])(?:{'|'.join(sorted(lexicon.LABELS))})$")

_SQUARED, _RAISED = "|".join(lexicon.SQUARED), "|".join(lexicon.RAISED)
# "kg m" of kg m-2, "x^" of x^2
_EXPONENT = re.compile(
    rf"(?:(?<![A-Za-z0-9])(?:{_RAISED})(?: ?−|–)|(?<![A-Za-z0-9-])(?:{_RAISED})-"
    r"|[A-Za-zµμΩ)\]]\^[({]?[-−+]?)$"
)
_MEASURED = re.compile(rf"(?:\d|(?<![A-Za-z])(?:{_RAISED}))[ ·/]$")
_AREA = re.compile(rf"(?<![A-Za-z0-9_-])(?:(?:{_SQUARED})|(?<=[/·*])s)$")
_EXPONENTS = frozenset("123456")


def whole_identifier(text: str, start: int, floor: int) -> tuple[int, int] | None:
    """The span of a phone number, a MAC address or a form code that the digits at `start` open."""
    opened = text[start - 1 : start] in ("(", "+") and start > floor
    if found := _PHONE.match(text, start - 1 if opened else start):
        return found.span()
    if found := _CODE.match(text, start):
        unit = found[1] in lexicon.UNIT_SYMBOLS and found[0] not in _KELVIN
        if not unit and (start == 0 or text[start - 1] not in "-–"):
            return found.span()
    lead = _MAC_LEAD.search(text, max(floor, start - 17), start)
    found = _MAC.match(text, lead.start() if lead else start)
    return found.span() if found and found.end() > start else None


def is_named(run: str, word: str) -> bool:
    """Whether a run behind a word that names things ("Room", "Highway", "ASU") is a name."""
    name = word.rstrip(":#").lower()
    if name in lexicon.STANDARDS:
        return True
    return run.isdecimal() and (len(run) >= 3 or name in lexicon.ROADS)


def is_exponent(text: str, start: int, end: int) -> bool:
    """Whether a run is the exponent of a unit or of a letter: "kg m-2", "yr−1", "cm3", "x^2"."""
    run, before = text[start:end], text[start - 1 : start]
    if run not in _EXPONENTS:
        return False
    if before in "-−–^({+":
        found = _EXPONENT.search(text, max(0, start - 6), start)
        if found is None or before != "-" or found[0][0].islower():
            return found is not None
        # "W-2", "K-12" and "M-16" are names unless a number or a unit stands before them
        return _MEASURED.search(text, max(0, found.start() - 6), found.start()) is not None
    return run in "23" and _AREA.search(text, max(0, start - 5), start) is not None


def name_start(text: str, start: int, floor: int) -> int:
    """Where the name starts that the digits are glued to ("A320", "COVID-19", a URL), or -1."""
    before = text[start - 1 : start]
    if before == "#":
        return start - 1
    letter = before.isalpha() and before.lower() != before.upper()
    if not (letter or before in "_-./@=&?%:+~"):
        return -1
    token = _token_before(text, max(floor, start - 200), start)
    if "://" in token or token.startswith("www.") or "@" in token[1:]:
        return start - len(token)
    if letter and _LABEL.search(text, max(floor, start - 6), start):
        return -1
    if letter or before == "_":
        cut = max(token.rfind(mark) for mark in "/:@?=&%#~+.") + 1
        return start - len(token) + cut if token else start - 1
    word = _HYPHENATED.search(token) if before == "-" else None
    # "COVID-19" and "F-16" are names, "mid-20" is none
    if word and (not word.group(1).islower() or word.group(1) in ("covid", "rs")):
        return start - len(word.group())
    return -1


def _token_before(text: str, begin: int, start: int) -> str:
    """What stands before `start` without a blank; "" if that reaches back beyond `begin`."""
    lead = text[begin:start]
    token = lead[len(lead.rstrip(_IN_TOKEN)) :]
    endless = len(token) == len(lead) and begin and text[begin - 1] in _IN_TOKEN
    return "" if endless else token


def name_end(text: str, begin: int, end: int) -> int:
    """Where the token ends that begins at `begin` and whose digits end at `end`."""
    lead = text[begin:end]
    url = "://" in lead or lead.startswith("www.") or "@" in lead
    rest = (_REST_OF_URL if url else _REST_OF_TOKEN).match(text, end)
    return end + len(rest.group().rstrip(".,;:")) if rest else end
