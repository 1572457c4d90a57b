"""What each entry of a vocabulary is, judged by its bytes alone; nothing here depends on a context."""

from __future__ import annotations

import math
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.numbers.number_shapes import scale_after

SPECIAL = ("<|mask|>", "<|noise|>", "<|padding|>", "<|endoftext|>")
TEXT, NUMBER, OPERATOR, PUNCTUATION = range(4)
TOKEN_TYPES = ("text", "number", "operator", "punctuation")
_OPERATORS = frozenset(
    "-*/^%"
)  # besides every character of the Unicode category Sm: + < = > | ~ ± × ÷ − ...


class VocabularyFeatures(NamedTuple):
    """Arrays with one entry per id, 0 .. n_vocab - 1; special and unused ids are text without any feature."""

    token_type: npt.NDArray[np.int8]
    digits: npt.NDArray[np.int8]
    value: npt.NDArray[np.float64]
    space: npt.NDArray[np.bool_]
    point: npt.NDArray[np.bool_]
    comma: npt.NDArray[np.bool_]
    minus: npt.NDArray[np.bool_]
    decades: npt.NDArray[np.float64]


def with_special(existing: dict[str, int], size: int) -> dict[str, int]:
    """Special tokens of an encoding of `size` ids with those of SPECIAL that it lacks added after its end."""
    lacking = (name for name in SPECIAL if name not in existing)
    return existing | {name: size + index for index, name in enumerate(lacking)}


def token_bytes_table(encoding: tiktoken.Encoding) -> list[bytes]:
    """Bytes of every id, 0 .. n_vocab - 1; `b""` for special and unused ids."""
    table = [b""] * encoding.n_vocab
    for token, rank in encoding._mergeable_ranks.items():
        table[rank] = token
    return table


def vocabulary_features(encoding: tiktoken.Encoding) -> VocabularyFeatures:
    """Features of every id by the bytes of its entry.

    `token_type` indexes TOKEN_TYPES. `digits` counts the ASCII digits of an entry that, after one optional space, has
    nothing else (127 at most), and `value` is their integer value (nan without digits). The rest are flags: leading
    space, "." and "," alone, a minus (hyphen or U+2212, after one optional space). `decades` is the logarithm of what
    an entry that is a scale word multiplies a number with: 6 for " million", 0 for all others.
    """
    table = token_bytes_table(encoding)
    bare = [entry.removeprefix(b" ") for entry in table]
    digits = np.array(
        [min(len(entry), 127) if entry.isdigit() else 0 for entry in bare], dtype=np.int8
    )
    value = np.array([float(entry[:300]) if entry.isdigit() else np.nan for entry in bare])
    return VocabularyFeatures(
        token_type=np.array([token_type(entry) for entry in table], dtype=np.int8),
        digits=digits,
        value=value,
        space=np.array([entry.startswith(b" ") for entry in table]),
        point=np.array([entry == b"." for entry in table]),
        comma=np.array([entry == b"," for entry in table]),
        minus=np.array([entry in (b"-", "\u2212".encode()) for entry in bare]),
        decades=np.array([_decades(entry.decode("utf-8", "replace")) for entry in table]),
    )


def _decades(text: str) -> float:
    end, factor = scale_after(text, 0)
    return math.log10(factor) if end == len(text) else 0.0


def word_letters(
    encoding: tiktoken.Encoding,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether the first and the last character of every id is part of a word: a letter or a mark on one, or a piece of
    a character that several entries share. Ideographs and kana, written without spaces, are words by themselves.
    """
    texts = [entry.decode("utf-8", "replace") for entry in token_bytes_table(encoding)]
    first, last = (
        np.array([bool(text) and _in_word(text[at]) for text in texts]) for at in (0, -1)
    )
    return first, last


def _in_word(character: str) -> bool:
    letter = (
        unicodedata.category(character)[0] in "LM"
        and unicodedata.east_asian_width(character) not in "WF"
    )
    return letter or character == "\ufffd"


def token_type(entry: bytes) -> int:
    """Index into TOKEN_TYPES: number if only digits of any script, operator if only mathematical signs, punctuation
    if only other marks, each with whitespace around it allowed; everything else, parts of a character included, is
    text."""
    try:
        text = entry.decode().strip()
    except UnicodeDecodeError:
        return TEXT
    if not text:
        return TEXT
    categories = [unicodedata.category(character) for character in text]
    if all(category[0] == "N" for category in categories):
        return NUMBER
    if all(
        character in _OPERATORS or category == "Sm"
        for character, category in zip(text, categories, strict=True)
    ):
        return OPERATOR
    return PUNCTUATION if all(category[0] in "PS" for category in categories) else TEXT
