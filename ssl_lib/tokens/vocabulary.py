"""The one table of a vocabulary: what each entry is, judged by its bytes alone."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.numbers.behind import scale_behind
from ssl_lib.tokens.fetch import EncodingError

SPECIAL = ("<|mask|>", "<|noise|>", "<|padding|>", "<|endoftext|>")
TEXT, NUMBER, OPERATOR, PUNCTUATION = range(4)
TOKEN_TYPES = ("text", "number", "operator", "punctuation")
# After a vocabulary that is known by its size alone, for the special tokens.
SPARE_IDS = 8
# Digits; longer entries, of an encoding that does not cut digits, have no place among the groups.
LONGEST_GROUP = 3
# Besides every character of the Unicode category Sm: + < = > | ~ ± × ÷ − ...
_OPERATORS = frozenset("-*/^%")
_COLUMNS: dict[str, npt.DTypeLike] = {
    "token_type": np.uint8,
    "byte_length": np.int64,
    "digits": np.int64,
    "value": np.float64,
    "leading_space": np.bool_,
    "point": np.bool_,
    "comma": np.bool_,
    "scale_log10": np.float32,
    "sentence_end": np.bool_,
    "word_start": np.bool_,
    "word_end": np.bool_,
}


Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class SpecialIds(NamedTuple):
    """Ids of the special tokens."""

    mask: int
    noise: int
    padding: int
    end: int


@dataclass(frozen=True, eq=False)
class VocabularyTable:
    """NumPy columns [V] with one value for each id, 0 .. V - 1.

    Special and unused ids are text without any feature. `token_type` indexes TOKEN_TYPES.
    `byte_length` counts the bytes that a token stands for, a special token for its name. `digits`
    counts the ASCII digits of an entry that has nothing else after one optional space (127 at
    most), `value` is their value, 0.0 without digits. `leading_space`, `point` and `comma` are
    flags, the last two for "." and "," alone. `scale_log10` is the logarithm of what a scale word
    multiplies a number with: 6.0 for " million", 0.0 for all others. `sentence_end` marks entries
    after which a sentence may end; `word_start` and `word_end` tell whether the first and the last
    character is part of a word.
    """

    name: str
    special_tokens: Mapping[str, int]
    token_type: npt.NDArray[np.uint8]
    byte_length: Ints
    digits: Ints
    value: Floats
    leading_space: Flags
    point: Flags
    comma: Flags
    scale_log10: npt.NDArray[np.float32]
    sentence_end: Flags
    word_start: Flags
    word_end: Flags

    def __len__(self) -> int:
        return len(self.token_type)

    @functools.cached_property
    def special(self) -> SpecialIds:
        """Ids of mask, noise, padding and end of text. Raises EncodingError if one is missing."""
        missing = [token for token in SPECIAL if token not in self.special_tokens]
        if missing:
            raise EncodingError(
                f"encoding {self.name!r} has no {missing[0]}; make it with encoding(name)"
            )
        return SpecialIds(*(self.special_tokens[token] for token in SPECIAL))

    @functools.cached_property
    def ordinary(self) -> int:
        """The lowest id of a special token: ids below are ordinary entries."""
        return min(self.special)

    def extended(self, size: int) -> VocabularyTable:
        """The same table with unused ids at its end, `size` in all.

        Raises ValueError if it has more than that.
        """
        unused = size - len(self)
        if unused < 0:
            raise ValueError(
                f"the encoding has {len(self)} entries, the model only {size}; "
                f"make vocab_size at least {len(self)}"
            )
        longer: dict[str, Any] = {}
        for name in _COLUMNS:
            longer[name] = np.pad(getattr(self, name), (0, unused))
        return replace(self, **longer)

    def digit_group_ids(self) -> Ints:
        """[2, 4, 1000]: the id of a group of digits by leading space, digits and value.

        -1 where the vocabulary has none. " 007" → [1, 3, 7]
        """
        ids = np.flatnonzero((self.digits > 0) & (self.digits <= LONGEST_GROUP))
        spaces = self.leading_space[ids].astype(np.int64)
        values = self.value[ids].astype(np.int64)
        groups = np.full((2, LONGEST_GROUP + 1, 10**LONGEST_GROUP), -1, dtype=np.int64)
        groups[spaces, self.digits[ids], values] = ids
        return groups


@functools.lru_cache(maxsize=8)
def vocabulary_table(encoding: tiktoken.Encoding) -> VocabularyTable:
    """The table of an encoding, made once."""
    return _table_of(encoding.name, token_bytes_table(encoding), encoding._special_tokens)


@functools.lru_cache(maxsize=8)
def plain_vocabulary(size: int) -> VocabularyTable:
    """The table of a vocabulary of which nothing is known but its size.

    Its last entry ends documents, as in GPT-2; mask, noise and padding are the three ids behind it.
    """
    ids = (size, size + 1, size + 2, size - 1)
    special_tokens = dict(zip(SPECIAL, ids, strict=True))
    return _table_of("plain", [b""] * (size + SPARE_IDS), special_tokens)


def special_ids(encoding: tiktoken.Encoding) -> SpecialIds:
    """Ids of mask, noise, padding and end of text.

    Raises EncodingError if the encoding was not made here.
    """
    return vocabulary_table(encoding).special


def with_special(existing: dict[str, int], size: int) -> dict[str, int]:
    """Special tokens of an encoding of `size` ids, those of SPECIAL that it lacks at its end."""
    lacking = (name for name in SPECIAL if name not in existing)
    return existing | {name: size + index for index, name in enumerate(lacking)}


def token_bytes_table(encoding: tiktoken.Encoding) -> list[bytes]:
    """Bytes of every id, 0 .. n_vocab - 1; `b""` for special and unused ids."""
    table = [b""] * encoding.n_vocab
    for token, rank in encoding._mergeable_ranks.items():
        table[rank] = token
    return table


def token_type(entry: bytes) -> int:
    """Index into TOKEN_TYPES.

    Number if only digits of any script, operator if only mathematical signs, punctuation if only
    other marks, each with whitespace around it allowed; everything else, parts of a character
    included, is text.
    """
    try:
        text = entry.decode().strip()
    except UnicodeDecodeError:
        return TEXT
    categories = [unicodedata.category(character) for character in text]
    if not categories:
        return TEXT
    if all(category[0] == "N" for category in categories):
        return NUMBER
    marks = zip(text, categories, strict=True)
    if all(character in _OPERATORS or category == "Sm" for character, category in marks):
        return OPERATOR
    if all(category[0] in "PS" for category in categories):
        return PUNCTUATION
    return TEXT


def _table_of(
    name: str, entries: Sequence[bytes], special_tokens: Mapping[str, int]
) -> VocabularyTable:
    """One row of features for each entry, turned into columns."""
    rows = [_features(entry) for entry in entries]
    columns: dict[str, Any] = {}
    for (column, dtype), values in zip(_COLUMNS.items(), zip(*rows, strict=True), strict=True):
        columns[column] = np.array(values, dtype=dtype)
    for token, rank in special_tokens.items():
        columns["byte_length"][rank] = len(token.encode())
    return VocabularyTable(name=name, special_tokens=special_tokens, **columns)


def _features(entry: bytes) -> tuple[float, ...]:
    """The values of _COLUMNS for one entry."""
    # bytes of which no character can be made become U+FFFD
    text = entry.decode("utf-8", "replace")
    bare = entry.removeprefix(b" ")
    # " 007" → 3 digits of value 7; "7th" and "٣" have none
    numeric = bare if bare.isdigit() else b""
    # " million" is a scale word to its end, " millions of" is not
    end, factor = scale_behind(text, 0)
    stop = entry.rstrip(b" \n").endswith((b".", b"!", b"?"))
    return (
        token_type(entry),
        len(entry),
        min(len(numeric), 127),
        float(numeric[:300] or 0),
        entry.startswith(b" "),
        entry == b".",
        entry == b",",
        math.log10(factor) if end == len(text) else 0.0,
        stop or entry.endswith(b"\n"),
        _in_word(text[:1]),
        _in_word(text[-1:]),
    )


def _in_word(character: str) -> bool:
    """A letter or a mark on one, or a piece of a character that several entries share.

    Ideographs and kana, written without spaces, are words by themselves.
    """
    if character in ("", "\ufffd"):
        return character != ""
    letter = unicodedata.category(character)[0] in "LM"
    return letter and unicodedata.east_asian_width(character) not in "WF"
