"""Decimal commas: which texts have them, and the same text with decimal points.

Both engines read decimal points. A text of another locale is turned into one of the same length
first, so that all places stay: "1.234,56 €" is read as "1,234.56 €".
"""

from __future__ import annotations

import re

DECIMAL_COMMA = ("de", "es", "fr", "it", "nl", "pl", "pt", "ru", "sv")
LOCALES = ("auto", "en", *DECIMAL_COMMA)

# Numbers that are written otherwise with a decimal comma.
_WRITTEN = re.compile(
    r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?:,\d+)?(?![.,]?\d)"  # "1.234,56", "1.234"
    r"|(?<![\d.,])\d{1,15},\d{1,15}(?![.,]?\d)"  # "3,5"
    r"|(?<![^\s(])[-−+]?,\d{1,15}(?![.,]?\d)"  # ",89"
)
_TURNED = str.maketrans(",.", ".,")
# No text with decimal points has these: "1.234,5", "3,5 %", "12,50 €", ",89 €".
_CERTAIN_COMMA = re.compile(
    r"(?<![\d.,])\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)"
    r"|(?<![\d.,])\d{0,9},\d{1,2}[ \u00a0\u202f]?"
    r"(?:[€%‰]|°C|(?:EUR|Euros?|euros|Prozent|k[gm]|[cm]m|[mc]?[lL])\b)"
)
# No text with decimal commas has these: "1,234.5", "1,234,567", "3.5%", "$12.50".
_CERTAIN_POINT = re.compile(
    r"\.(?:(?<=,\d{3}\.)\d|(?<=\d\.)\d{1,2}[ \u00a0]?%)|,(?<=,\d{3},)\d{3}(?!\d)"
    r"|[$£](?=\d{1,9}\.\d\d(?![.,]?\d))"
)
# The mark comes first, which makes the search fast: "3,5", "3,1415", "1.234", ",89".
_POSSIBLE = re.compile(
    r"[,.](?:(?<=\d,)(?:\d{1,2}(?!\d)|\d{4})|(?<=\d\.)\d{3}(?!\d)|(?<=,)(?<!\S,)\d)"
)
_ENGLISH = frozenset("the of and is was with for to that The And For To That".split())
# Of other languages: not "die" and "do", which English has too. Those of the second list open names
# ("Los Angeles", "Le Havre") and count in small letters alone.
_OTHER_WORDS = (
    "der das und ist mit ein eine für im nicht sind est et une pour dans sont una por con es que "
    "para il della che het een och att är som jest na um não é è"
).split()
_OTHERS = frozenset([*_OTHER_WORDS, *map(str.capitalize, _OTHER_WORDS)]) | frozenset(
    "von le les des du el los las".split()
)
_WORD = re.compile(r"\w++\.?")  # "(2025 est.)" is no word of French
_LOOKED_AT = 20_000  # characters in which the language is told


def has_decimal_comma(text: str, locale: str = "auto") -> bool:
    """Whether numbers of this text have decimal commas.

    "auto" asks the text: its numbers if they can only be written with points, then its small
    words, then its numbers if they can only be written with commas. Raises ValueError for a locale
    that is none of LOCALES.
    """
    if locale != "auto":
        if locale not in LOCALES:
            raise ValueError(f"locale must be one of {', '.join(LOCALES)}, got {locale!r}")
        return locale in DECIMAL_COMMA
    if not _POSSIBLE.search(text):
        return False
    commas = None
    if _CERTAIN_POINT.search(text):
        commas = _CERTAIN_COMMA.search(text)
        if not commas:
            return False
    english = others = 0
    for word in _WORD.findall(text[:_LOOKED_AT]):
        if word in _ENGLISH:
            english += 1
        elif word in _OTHERS:
            others += 1
    if others != english:
        return others > english
    return (commas or _CERTAIN_COMMA.search(text)) is not None


def with_decimal_points(text: str, locale: str = "auto") -> str:
    """The text with its numbers as English writes them, as long as it was."""
    if not has_decimal_comma(text, locale):
        return text
    return _WRITTEN.sub(lambda found: found[0].translate(_TURNED), text)
