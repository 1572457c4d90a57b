"""From texts to tokens with their numbers, in memory: a group of documents in one pass, as arrays.

Documents of a group are joined by the end-of-text token, which the matcher itself treats as a
border, so that every document gets the ids that it would get alone. Numbers are found in a second
join of the same length, in which NULs stand between the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tiktoken

from ssl_lib.numbers import find_number_arrays
from ssl_lib.numbers.locales import with_decimal_points
from ssl_lib.tokens.digits import groups_from_the_right, has_long_run
from ssl_lib.tokens.encodings import encode
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.vocabulary import NUMBER, vocabulary_table

# Characters in one pass: large enough to hide the cost of its calls, small enough to share out.
GROUP_CHARACTERS = 1 << 19
END = "<|endoftext|>"
# As long as END; no number goes over a line end or a NUL.
_BORDER = "\n" + "\0" * (len(END) - 2) + "\n"
NUMBER_DTYPE = np.dtype([("start", "i8"), ("end", "i8"), ("value", "f8"), ("form", "u1")])


Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.unsignedinteger]
Numbers = npt.NDArray[np.void]
Types = npt.NDArray[np.uint8]


class Tokenized(NamedTuple):
    """Documents one after the other, each closed by end of text, as in the files of a token store.

    Document i is `tokens[documents[i]:documents[i + 1]]`. `numbers` has one NUMBER_DTYPE for each
    number, its span half-open in token positions, `types` a token type for each token.
    """

    tokens: Tokens
    documents: Ints
    numbers: Numbers
    types: Types


def tokenize_texts(
    encoding: tiktoken.Encoding, texts: Sequence[str], locale: str = "auto"
) -> Tokenized:
    """Tokens, document offsets, numbers and token types of any number of texts, in order.

    A number's span is every token that shares a byte with it. `locale` is that of `find_numbers`,
    "auto" asks each text. Raises EncodingError if the encoding
    has no end-of-text token.
    """
    parts = [tokenize_group(encoding, group, locale) for group in grouped(texts)]
    parts = parts or [tokenize_group(encoding, [])]
    moved, offset = [], 0
    for part in parts:
        moved.append(shifted(part, offset))
        offset += len(part.tokens)
    tokens, ends, numbers, types = (np.concatenate(column) for column in zip(*moved, strict=True))
    return Tokenized(tokens, np.concatenate([[0], ends]), numbers, types)


def grouped(texts: Iterable[str]) -> Iterator[list[str]]:
    """Consecutive texts in lists of about GROUP_CHARACTERS; a longer text has one of its own."""
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
    """The part as it stands after `offset` other tokens; `documents` without the first start."""
    numbers = part.numbers.copy()
    numbers["start"] += offset
    numbers["end"] += offset
    return Tokenized(part.tokens, part.documents[1:] + offset, numbers, part.types)


def token_dtype(encoding: tiktoken.Encoding) -> np.dtype[np.unsignedinteger]:
    """The smallest type that holds every id of an encoding: 16 or 32 bits."""
    return np.dtype(np.uint16 if encoding.n_vocab <= 1 << 16 else np.uint32)


def tokenize_group(
    encoding: tiktoken.Encoding, texts: Sequence[str], locale: str = "auto"
) -> Tokenized:
    """`tokenize_texts` in one pass, for texts of about GROUP_CHARACTERS together."""
    dtype = token_dtype(encoding)
    if END not in encoding._special_tokens:
        raise EncodingError(
            f"encoding {encoding.name!r} has no {END}, which closes every document; "
            "make it with encoding(name)"
        )
    if not texts:
        no_numbers = np.zeros(0, NUMBER_DTYPE)
        return Tokenized(
            np.zeros(0, dtype), np.zeros(1, np.int64), no_numbers, np.zeros(0, np.uint8)
        )
    end = encoding._special_tokens[END]
    tokens = _encode_group(encoding, texts, end)
    documents = np.concatenate([[0], np.flatnonzero(tokens == end) + 1])
    assert len(documents) == len(texts) + 1
    vocabulary = vocabulary_table(encoding)
    index = tokens.astype(np.intp)
    token_ends = np.cumsum(vocabulary.byte_length[index])
    pointed = [with_decimal_points(text, locale) for text in texts]  # each has its own locale
    numbers = _numbers_in(_BORDER.join(pointed), token_ends)
    # one more opened than closed number: the token lies inside one
    opened = np.bincount(numbers["start"], minlength=len(tokens) + 1)
    closed = np.bincount(numbers["end"], minlength=len(tokens) + 1)
    types = vocabulary.token_type[index]
    types[np.cumsum(opened - closed)[:-1] > 0] = NUMBER
    return Tokenized(tokens.astype(dtype), documents, numbers, types)


def _encode_group(
    encoding: tiktoken.Encoding, texts: Sequence[str], end: int
) -> npt.NDArray[np.uint32]:
    """Ids of all documents, each followed by `end`.

    In one call when nothing in them needs the care of `encode`.
    """
    joined = END.join([*texts, ""])
    from_the_right = groups_from_the_right(encoding._pat_str)
    if joined.count(END) == len(texts) and not has_long_run(joined, from_the_right):
        try:
            buffer = encoding._core_bpe.encode_to_tiktoken_buffer(joined, {END})
            return np.frombuffer(buffer, dtype=np.uint32)
        except UnicodeEncodeError:
            pass  # lone surrogates: document by document below
    parts = [np.array([*encode(encoding, text), end], dtype=np.uint32) for text in texts]
    return np.concatenate(parts)


def _numbers_in(text: str, token_ends: Ints) -> Numbers:
    """Numbers of `text` with token spans, given the byte at which each token ends."""
    found = find_number_arrays(text, "en")
    first = found.start
    last = found.end
    offsets = byte_offsets(text)
    size = len(text)
    if offsets is not None:
        first = offsets[first]
        last = offsets[last]
        size = offsets[-1]
    assert token_ends[-1] == size + len(END)
    # "It cost 1,234." ends at 2, 7, 8, 9, 10, 13, 14; bytes 8 to 13 → tokens 3 to 6
    numbers = np.empty(len(first), NUMBER_DTYPE)
    numbers["start"] = np.searchsorted(token_ends, first, side="right")
    numbers["end"] = np.searchsorted(token_ends, last, side="left") + 1
    numbers["value"] = found.value
    numbers["form"] = found.form
    return numbers


def byte_offsets(text: str) -> Ints | None:
    """UTF-8 bytes before each character and after the last; None if each is one byte.

    Surrogates count three. "aé!" → 0, 1, 3, 4
    """
    if text.isascii():
        return None
    encoded = np.frombuffer((text + "\0").encode("utf-8", "surrogatepass"), dtype=np.int8)
    # bytes 0x80 .. 0xBF, which are -128 .. -65, continue a character
    return np.flatnonzero(encoded >= -64)
