"""From texts to tokens with their numbers, in memory: a whole group of documents in one pass, without a Python loop
over tokens.

Documents of a group are joined by the end-of-text token, which the matcher itself treats as a border, so that every
document gets the ids that it would get alone. Numbers are found in a second join of the same length, in which NULs
stand between the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.numbers import find_number_arrays
from ssl_lib.tokens.digits import groups_from_the_right, has_long_run
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.vocabulary import NUMBER, vocabulary_table

GROUP_CHARACTERS = (
    1 << 19
)  # in one pass: large enough to hide the cost of its calls, small enough to share out
END = "<|endoftext|>"
_BORDER = (
    "\n" + "\0" * (len(END) - 2) + "\n"
)  # as long as END; a line end on both sides, and no number crosses a NUL
NUMBER_DTYPE = np.dtype(
    [
        ("start", "i8"),
        ("end", "i8"),
        ("value", "f8"),
        ("form", "u1"),
    ]
)


class Tokenized(NamedTuple):
    """Documents one after the other, each closed by end of text; the same layout as the files of a token store."""

    tokens: npt.NDArray[np.unsignedinteger]
    documents: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.void]
    types: npt.NDArray[np.uint8]


def tokenize_group(encoding: tiktoken.Encoding, texts: Sequence[str]) -> Tokenized:
    """Tokens, document offsets, numbers and token types of all `texts`, in order.

    The numbers' spans are token positions, half-open: every token that shares a byte with the number. Raises
    EncodingError if the encoding has no end-of-text token.
    """
    dtype = token_dtype(encoding)
    if END not in encoding._special_tokens:
        raise EncodingError(
            f"encoding {encoding.name!r} has no {END}, which closes every document; "
            "make it with encoding(name)"
        )
    if not texts:
        return Tokenized(
            np.zeros(0, dtype),
            np.zeros(1, np.int64),
            np.zeros(0, NUMBER_DTYPE),
            np.zeros(0, np.uint8),
        )
    end = encoding._special_tokens[END]
    tokens = _encode_group(encoding, texts, end)
    documents = np.concatenate([[0], np.flatnonzero(tokens == end) + 1])
    assert len(documents) == len(texts) + 1
    places = tokens.astype(np.intp)
    vocabulary = vocabulary_table(encoding)
    numbers = _align(_BORDER.join(texts), vocabulary.byte_length[places])
    types = vocabulary.token_type[places]
    types[_inside(numbers, len(tokens))] = NUMBER
    return Tokenized(tokens.astype(dtype), documents, numbers, types)


def token_dtype(encoding: tiktoken.Encoding) -> np.dtype[np.unsignedinteger]:
    """The smallest type that holds every id of an encoding: 16 or 32 bits."""
    return np.dtype(np.uint16 if encoding.n_vocab <= 1 << 16 else np.uint32)


def tokenize_texts(encoding: tiktoken.Encoding, texts: Sequence[str]) -> Tokenized:
    """`tokenize_group` of any number of texts, group by group, in one set of arrays."""
    parts = [tokenize_group(encoding, group) for group in grouped(texts)] or [
        tokenize_group(encoding, [])
    ]
    offsets = np.cumsum([0, *(len(part.tokens) for part in parts)])
    moved = [shifted(part, offset) for part, offset in zip(parts, offsets, strict=False)]
    tokens, documents, numbers, types = (
        np.concatenate(columns) for columns in zip(*moved, strict=True)
    )
    return Tokenized(tokens, np.concatenate([[0], documents]), numbers, types)


def grouped(texts: Iterable[str]) -> Iterator[list[str]]:
    """Consecutive texts in lists of about GROUP_CHARACTERS; a longer text has a list of its own."""
    group: list[str] = []
    size = 0
    for text in texts:
        if group and size + len(text) > GROUP_CHARACTERS:
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text) + len(END)
    if group:
        yield group


def shifted(part: Tokenized, offset: int) -> Tokenized:
    """The part as it stands after `offset` other tokens; its `documents` are the ends of the documents, without the
    first start."""
    numbers = part.numbers.copy()
    numbers["start"] += offset
    numbers["end"] += offset
    return Tokenized(part.tokens, part.documents[1:] + offset, numbers, part.types)


def _encode_group(
    encoding: tiktoken.Encoding, texts: Sequence[str], end: int
) -> npt.NDArray[np.uint32]:
    """Ids of all documents, each followed by `end`: in one call when nothing in them needs the care of `encode`."""
    joined = END.join([*texts, ""])
    if joined.count(END) == len(texts) and not has_long_run(
        joined, groups_from_the_right(encoding._pat_str)
    ):
        try:
            return np.frombuffer(
                encoding._core_bpe.encode_to_tiktoken_buffer(joined, {END}), dtype=np.uint32
            )
        except UnicodeEncodeError:
            pass  # lone surrogates: document by document below
    return np.concatenate(
        [np.array([*encode(encoding, text), end], dtype=np.uint32) for text in texts]
    )


def _align(text: str, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """Numbers of `text` with token spans, given the bytes of each token."""
    first, last, value, form = find_number_arrays(text)
    token_ends = np.cumsum(lengths)
    numbers = np.empty(len(first), NUMBER_DTYPE)
    offsets = byte_offsets(text)
    assert token_ends[-1] == (len(text) if offsets is None else offsets[-1]) + len(END)
    numbers["start"] = np.searchsorted(
        token_ends, first if offsets is None else offsets[first], side="right"
    )
    numbers["end"] = (
        np.searchsorted(token_ends, last if offsets is None else offsets[last], side="left") + 1
    )
    numbers["value"], numbers["form"] = value, form
    return numbers


def byte_offsets(text: str) -> npt.NDArray[np.int64] | None:
    """UTF-8 bytes before each character and after the last; None if each is one byte. Surrogates count three."""
    if text.isascii():
        return None
    encoded = np.frombuffer((text + "\0").encode("utf-8", "surrogatepass"), dtype=np.int8)
    return np.flatnonzero(encoded >= -64)  # bytes 0x80 .. 0xBF, -128 .. -65, continue a character


def _inside(numbers: npt.NDArray[np.void], count: int) -> npt.NDArray[np.bool_]:
    """Which of `count` tokens overlap a number."""
    opened = np.bincount(numbers["start"], minlength=count + 1)
    closed = np.bincount(numbers["end"], minlength=count + 1)
    return np.cumsum(opened - closed)[:count] > 0
