"""Training a byte-pair encoding: `tokenizers` learns the merges of words, the digit groups are added whole.

Digits are split from everything else, so no merge of a word ever meets a digit: the two sets of merges cannot disturb
each other, and the guaranteed groups get the same consecutive ids in every trained encoding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from ssl_lib.tokens.digits import DIGIT_MODES, DIGIT_RULES
from ssl_lib.tokens.fetch import EncodingError
from ssl_lib.tokens.vocabulary import SPECIAL, with_special

# Contractions, letters with one leading mark or space, digits, marks, line ends, other whitespace.
_PATTERN = (
    r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s"
)
_MINIMUM_COUNT = 2  # a merge that occurs once is no regularity


def train_encoding(texts: Iterable[str], size: int, digits: str) -> tiktoken.Encoding:
    """Byte-pair encoding of at most `size` ids in all: 256 bytes, digit groups, learned merges, then the special
    tokens.

    Each string of one to three ASCII digits is one token, leading zeros included (with `single` only the ten digits);
    `as_is` means `left3` here. Fewer ids result when the texts have no more pairs that occur twice. The result
    depends on the multiset of texts alone, to the byte, not on their order or on threads. Raises EncodingError if
    `size` has no room for the guaranteed entries.
    """
    if digits not in DIGIT_MODES:
        raise EncodingError(
            f"tokens.digits must be one of {', '.join(DIGIT_MODES)}, got {digits!r}"
        )
    groups = digit_groups(digits)
    room = size - 256 - len(groups) - len(SPECIAL)
    if room < 0:
        raise EncodingError(
            f"tokens.vocabulary_size must be at least {size - room} with digits {digits} (256 bytes, {len(groups)} "
            f"digit groups and {len(SPECIAL)} special tokens), got {size}"
        )
    learned = learned_entries(train_words(texts, 256 + room))
    ranks = {entry: rank for rank, entry in enumerate([*learned[:256], *groups, *learned[256:]])}
    rule = DIGIT_RULES["left3" if digits == "as_is" else digits]
    pattern = _PATTERN.replace("DIGITS", rule)
    return tiktoken.Encoding(
        f"trained+{digits}",
        pat_str=pattern,
        mergeable_ranks=ranks,
        special_tokens=with_special({}, len(ranks)),
    )


def digit_groups(digits: str) -> list[bytes]:
    """Guaranteed entries beside the ten digits, which are bytes: all pairs, then all triples."""
    lengths = () if digits == "single" else (2, 3)
    return [
        "".join(group).encode()
        for length in lengths
        for group in itertools.product("0123456789", repeat=length)
    ]


def train_words(texts: Iterable[str], size: int) -> Tokenizer:
    """The trainer's own encoding of `size` entries, with every digit a piece by itself, so that it learns words
    only."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(
        Regex(_PATTERN.replace("DIGITS", DIGIT_RULES["single"])), behavior="isolated"
    )
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_MINIMUM_COUNT,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(
        (text.encode("utf-8", "replace").decode() for text in texts), trainer
    )
    return tokenizer


def learned_entries(tokenizer: Tokenizer) -> list[bytes]:
    """Bytes of the trainer's entries in the order of their ids; the first 256 are the single bytes."""
    table = _byte_of_character()
    vocabulary = sorted(
        tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1]
    )
    entries = [bytes(table[character] for character in token) for token, _ in vocabulary]
    assert all(len(entry) == 1 for entry in entries[:256])
    assert len(set(entries)) == len(entries)
    return entries


def _byte_of_character() -> dict[str, int]:
    """The alphabet in which byte-level encodings spell bytes: printable Latin-1 as itself, the rest from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(0x100 + index): byte for index, byte in enumerate(hidden)
    }
