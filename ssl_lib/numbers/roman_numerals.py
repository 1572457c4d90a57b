"""Roman numerals where they are clearly numerals: after a part word, a name or a ruler, before "century", and
"(iv)"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ssl_lib.numbers.number_shapes import FORM_INDEX, Raw, decompose, word_after, word_set

_ROMAN = re.compile(
    r"[IVXLCDM](?:(?<=[ \n(\u00a0].)|(?<=\A.))(?=[IVXLCDM ,.;:)\n]|$)[IVXLCDM]*+(?![A-Za-z0-9_’'&.](?!\s|$)|-[A-Z])"
)
_CANONICAL = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_LIST = re.compile(r"\((?<![A-Za-z0-9].)((?:x{0,1}(?:ix|iv|v?i{0,3})))\)")
_HEAD = re.compile(r"([A-Za-z]++)[ \n\u00a0]\(?$")
_PARTS = word_set(
    "chapter part act scene volume vol book section article appendix title phase type stage class grade figure "
    "table war bowl level century corps psalm canto amendment episode category mark annex schedule quadrant"
)
_RULERS = word_set(
    "Elizabeth Charles Francis James Napoleon Frederick Nicholas Peter William Henry George Philip Alexander "
    "Wilhelm Darius Edward Richard Otto Louis Justinian Leopold Ferdinand Catherine Mary Albert Umberto Xerxes "
    "Ramesses Constantine"
)
_NO_NAME = word_set(
    "The A An This That In On And But Or If When While For With My His Her Our Its As At To Of By From I"
)
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


@lru_cache(maxsize=4096)
def _roman_value(letters: str) -> int:
    """Value of a canonical Roman numeral; 0 for letters that are none."""
    if not letters or len(letters) > 15 or _CANONICAL.fullmatch(letters) is None:
        return 0
    values = [_ROMAN_VALUES[letter] for letter in letters]
    return sum(
        -value if value < after else value
        for value, after in zip(values, [*values[1:], 0], strict=True)
    )


def _is_roman(text: str, start: int, end: int) -> bool:
    """Whether the letters between are clearly a numeral: after a part word, a ruler or a name, or before "century"."""
    head = _HEAD.search(text, max(0, start - 20), start)
    name, after = (head.group(1) if head else ""), word_after(text, end)
    if after in ("century", "Century", "centuries", "Corps", "Olympiad") and end - start > 1:
        return True
    part = name.lower() in _PARTS and (name[0].isupper() or end - start > 1)
    if end - start == 1:
        ruler = name in _RULERS and after in (
            "",
            "of",
            "was",
            "and",
            "died",
            "ruled",
            "reigned",
            "became",
        )
        return part or (ruler and text[start] in "IVX" and text[end : end + 1] not in ("'",))
    letters = text[start:end]
    name_like = name[:1].isupper() and name not in _NO_NAME and not name.isupper()
    return part or (
        name_like
        and (set(letters) <= set("IVX") or end - start >= 4)
        and after not in ("drip", "fluids")
    )


def find_romans(text: str) -> list[Raw]:
    """All Roman numerals of `text`; those with one letter in front of those in brackets, not sorted."""
    romans = read_romans(text, (match.start() for match in _ROMAN.finditer(text)))
    return romans + read_brackets(text, (match.start() for match in _ROMAN_LIST.finditer(text)))


def read_romans(text: str, starts: Iterable[int]) -> list[Raw]:
    """The Roman numerals in capitals that begin at one of `starts`."""
    found: list[Raw] = []
    for start in starts:
        match = _ROMAN.match(text, start)
        value = _roman_value(match.group()) if match else 0
        if match and value and _is_roman(text, start, match.end()):
            found.append((start, match.end(), *decompose(float(value)), FORM_INDEX["roman"]))
    return found


def read_brackets(text: str, starts: Iterable[int]) -> list[Raw]:
    """The list numbers "(iv)" whose brackets open at one of `starts`."""
    found: list[Raw] = []
    for start in starts:
        match = _ROMAN_LIST.match(text, start)
        letters = match.group(1).upper() if match else ""
        if match and letters != "X" and (value := _roman_value(letters)):
            found.append(
                (match.start(1), match.end(1), *decompose(float(value)), FORM_INDEX["list_marker"])
            )
    return found
