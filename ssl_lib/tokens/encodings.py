"""Encodings: tiktoken's own with digits grouped by place value, and trained ones in one file.

Start with `encoding`. Every encoding here ends with the special tokens of SPECIAL; text in a
document never becomes one of them. A trained encoding is byte-pair encoding in two parts:
`tokenizers` learns the merges of words, the digit groups are added whole. Digits are split from
everything else, so no merge of a word ever meets a digit, and the groups get the same consecutive
ids in every one.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from ssl_lib.errors import UserError
from ssl_lib.tokens.digits import (
    DIGIT_MODES,
    DIGIT_RULES,
    groups_from_the_right,
    has_long_run,
    pieces,
    regroup,
)
from ssl_lib.tokens.fetch import VOCABULARY_FILES, EncodingError, ensure_cached
from ssl_lib.tokens.vocabulary import SPECIAL, token_bytes_table, with_special

_FORMAT = 1
_SURROGATES = re.compile(r"[\ud800-\udfff]+")
# Contractions, letters with one leading mark or space, digits, marks, line ends, other whitespace.
_PATTERN = (
    r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s"
)
_MINIMUM_COUNT = 2  # a merge that occurs once is no regularity


def encoding(name_or_path: str | Path, digits: str | None = None) -> tiktoken.Encoding:
    """A published vocabulary by its name, or a saved encoding by the path of its `encoding.json`.

    Both with SPECIAL at the end. `digits` is one of DIGIT_MODES; without it a published vocabulary
    gets `right3`, and a saved encoding is as it was saved. Raises EncodingError for an unknown name
    or mode, a damaged file, and a vocabulary that cannot be had (within 5 seconds).
    """
    name = os.fspath(name_or_path)
    if digits is not None and digits not in DIGIT_MODES:
        raise EncodingError(f"digits must be one of {', '.join(DIGIT_MODES)}, got {digits!r}")
    if name in VOCABULARY_FILES:
        return _published(name, digits or "right3")
    if not name.endswith(".json") and not Path(name).exists():
        names = ", ".join(VOCABULARY_FILES)
        raise EncodingError(
            f"encoding {name!r} is neither one of {names} nor the path of an encoding.json"
        )
    saved = _read(Path(name))
    # "trained+right3" with digits `single` becomes "trained+single"
    if digits in (None, "as_is"):
        return saved
    return _with_digits(saved, saved.name.partition("+")[0], digits)


@functools.lru_cache(maxsize=8)
def _published(name: str, digits: str) -> tiktoken.Encoding:
    ensure_cached(name)
    return _with_digits(tiktoken.get_encoding(name), name, digits)


def _with_digits(base: tiktoken.Encoding, name: str, digits: str) -> tiktoken.Encoding:
    try:
        pattern = regroup(base._pat_str, digits)
    except UserError as error:
        raise EncodingError(str(error)) from None
    special = with_special(base._special_tokens, base.n_vocab)
    return _build(f"{name}+{digits}", pattern, base._mergeable_ranks, special)


def _build(
    name: str, pattern: str, ranks: dict[bytes, int], special: dict[str, int]
) -> tiktoken.Encoding:
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def encode(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Ids of ordinary text; `decode` gives every str back as it was.

    Text that spells a special token stays text. Lone surrogates, which UTF-8 does not have, become
    the three bytes that its scheme would give them. Runs of whitespace are cut when they hold
    50,000 characters, because the matcher's stack is limited.
    """
    try:
        return _encode_valid(encoding, text)
    except UnicodeEncodeError:
        pass
    # "a\ud800b" → "a", the bytes ED A0 80, "b"
    ids: list[int] = []
    position = 0
    for run in _SURROGATES.finditer(text):
        ids += _encode_valid(encoding, text[position : run.start()])
        ids += encoding._core_bpe.encode_single_piece(run.group().encode("utf-8", "surrogatepass"))
        position = run.end()
    return ids + _encode_valid(encoding, text[position:])


def _encode_valid(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Like tiktoken's encode_ordinary, but lone surrogates raise UnicodeEncodeError."""
    from_the_right = groups_from_the_right(encoding._pat_str)
    parts = pieces(text, from_the_right) if has_long_run(text, from_the_right) else [text]
    ids: list[int] = []
    for part in parts:
        ids += encoding._core_bpe.encode_ordinary(part)
    return ids


def decode(encoding: tiktoken.Encoding, ids: Sequence[int]) -> str:
    """Text of ids; bytes that are part of no character become U+FFFD."""
    data = encoding.decode_bytes(ids)
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def fingerprint(encoding: tiktoken.Encoding) -> str:
    """SHA-256 (hexadecimal) of all that decides about ids.

    That is the pattern, the entries in the order of their ids, and the special tokens.
    """
    content = json.dumps(_payload(encoding), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def save_encoding(encoding: tiktoken.Encoding, path: str | Path) -> None:
    """Write everything needed to rebuild the encoding offline, with its fingerprint, as JSON."""
    content = {"format": _FORMAT, "name": encoding.name, "sha256": fingerprint(encoding)}
    content |= _payload(encoding)
    Path(path).write_text(json.dumps(content, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def _payload(encoding: tiktoken.Encoding) -> dict[str, Any]:
    return {
        "pattern": encoding._pat_str,
        "special_tokens": encoding._special_tokens,
        "tokens": [base64.b64encode(entry).decode() for entry in token_bytes_table(encoding)],
    }


def _read(path: Path) -> tiktoken.Encoding:
    """What `save_encoding` wrote. Raises EncodingError if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        entries = [base64.b64decode(entry) for entry in content["tokens"]]
        ranks = {entry: rank for rank, entry in enumerate(entries) if entry}
        loaded = _build(content["name"], content["pattern"], ranks, content["special_tokens"])
        intact = fingerprint(loaded) == content["sha256"]
    except OSError as error:
        raise EncodingError(
            f"{path}: cannot be read ({error.strerror}); run `ssl-lib tokenize` first"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise EncodingError(
            f"{path}: is not an encoding; run `ssl-lib tokenize` to write it anew"
        ) from None
    if not intact:
        raise EncodingError(
            f"{path}: does not match its fingerprint; restore it or run `ssl-lib tokenize` "
            "to write it anew"
        )
    return loaded


def train_encoding(texts: Iterable[str], size: int, digits: str) -> tiktoken.Encoding:
    """Byte-pair encoding of at most `size` ids: 256 bytes, digit groups, merges, special tokens.

    Each string of one to three ASCII digits is one token, leading zeros included (with `single`
    only the ten digits); `as_is` means `left3` here. Fewer ids result when the texts have no more
    pairs that occur twice. The result depends on the multiset of texts alone, to the byte, not on
    their order or on threads. Raises EncodingError if `size` has no room for the guaranteed
    entries.
    """
    if digits not in DIGIT_MODES:
        modes = ", ".join(DIGIT_MODES)
        raise EncodingError(f"tokens.digits must be one of {modes}, got {digits!r}")
    groups = digit_groups(digits)
    # 1,440 ids with right3: 256 bytes, 1,100 digit groups, 80 merges, 4 special tokens
    room = size - 256 - len(groups) - len(SPECIAL)
    if room < 0:
        raise EncodingError(
            f"tokens.vocabulary_size must be at least {size - room} with digits {digits} (256 "
            f"bytes, {len(groups)} digit groups and {len(SPECIAL)} special tokens), got {size}"
        )
    learned = learned_entries(train_words(texts, 256 + room))
    # Lower ranks merge first; digits stand apart, so where the groups stand does not matter.
    entries = [*learned[:256], *groups, *learned[256:]]
    ranks = {entry: rank for rank, entry in enumerate(entries)}
    rule = DIGIT_RULES["left3" if digits == "as_is" else digits]
    special = with_special({}, len(ranks))
    return _build(f"trained+{digits}", _PATTERN.replace("DIGITS", rule), ranks, special)


def digit_groups(digits: str) -> list[bytes]:
    """Guaranteed entries beside the ten digits, which are bytes: all pairs, then all triples."""
    if digits == "single":
        return []
    pairs = itertools.product("0123456789", repeat=2)
    triples = itertools.product("0123456789", repeat=3)
    return ["".join(group).encode() for group in itertools.chain(pairs, triples)]


def train_words(texts: Iterable[str], size: int) -> Tokenizer:
    """The trainer's own encoding of `size` entries; every digit is a piece, so it learns words."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    pattern = Regex(_PATTERN.replace("DIGITS", DIGIT_RULES["single"]))
    split = pre_tokenizers.Split(pattern, behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=_MINIMUM_COUNT,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    valid = (text.encode("utf-8", "replace").decode() for text in texts)
    tokenizer.train_from_iterator(valid, trainer)
    return tokenizer


def learned_entries(tokenizer: Tokenizer) -> list[bytes]:
    """Bytes of the trainer's entries in the order of their ids; the first 256 are single bytes."""
    # Byte-level encodings spell bytes as characters: printable Latin-1 as itself, the others from
    # U+0100 on. "Ġmill" is b" mill".
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable}
    byte_of |= {chr(0x100 + index): byte for index, byte in enumerate(others)}
    rank_of = tokenizer.get_vocab(with_added_tokens=False)
    tokens = sorted(rank_of, key=rank_of.__getitem__)
    entries = [bytes(byte_of[character] for character in token) for token in tokens]
    assert all(len(entry) == 1 for entry in entries[:256])
    assert len(set(entries)) == len(entries)
    return entries
