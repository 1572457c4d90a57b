"""Encodings: tiktoken's own with digits grouped by place value, and trained ones that are saved in one offline file.

Every encoding here ends with the special tokens of SPECIAL. Text in a document never becomes one of them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiktoken

from ssl_lib.errors import UserError
from ssl_lib.tokens.digits import DIGIT_MODES, groups_from_the_right, has_long_run, pieces, regroup
from ssl_lib.tokens.fetch import VOCABULARY_FILES, EncodingError, ensure_cached, fetch_encoding
from ssl_lib.tokens.training import train_encoding
from ssl_lib.tokens.vocabulary import (
    SPECIAL,
    SpecialIds,
    VocabularyTable,
    special_ids,
    token_bytes_table,
    vocabulary_table,
    with_special,
)

__all__ = [
    "DIGIT_MODES", "SPECIAL", "EncodingError", "SpecialIds", "VocabularyTable", "decode", "encode", "encoding",
    "fetch_encoding", "fingerprint", "save_encoding", "special_ids", "token_bytes_table", "train_encoding",
    "vocabulary_table",
]  # fmt: skip

_FORMAT = 1
_SURROGATES = re.compile(r"[\ud800-\udfff]+")


def encoding(name_or_path: str | Path, digits: str | None = None) -> tiktoken.Encoding:
    """A published vocabulary by its name, or a saved encoding by the path of its `encoding.json`, with SPECIAL at the
    end.

    `digits` is one of DIGIT_MODES; without it a published vocabulary gets `right3`, and a saved encoding is as it was
    saved. Raises EncodingError for an unknown name or mode, a damaged file, and a vocabulary that cannot be had
    (within 5 seconds).
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
    return (
        saved
        if digits in (None, "as_is")
        else _with_digits(saved, saved.name.partition("+")[0], digits)
    )


def encode(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Ids of ordinary text: `decode(encoding, encode(encoding, text)) == text` for every str.

    Text that spells a special token stays text. Lone surrogates, which UTF-8 does not have, become the three bytes
    that its scheme would give them. Runs of whitespace are cut when they hold 50,000 characters, because the
    matcher's stack is limited.
    """
    try:
        return _encode_valid(encoding, text)
    except UnicodeEncodeError:
        return _encode_with_surrogates(encoding, text)


def decode(encoding: tiktoken.Encoding, ids: Sequence[int]) -> str:
    """Text of ids; bytes that are part of no character become U+FFFD."""
    data = encoding.decode_bytes(ids)
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def fingerprint(encoding: tiktoken.Encoding) -> str:
    """SHA-256 (hexadecimal) of all that decides about ids: pattern, entries in the order of their ids, special
    tokens."""
    return hashlib.sha256(json.dumps(_payload(encoding), sort_keys=True).encode()).hexdigest()


def save_encoding(encoding: tiktoken.Encoding, path: str | Path) -> None:
    """Write everything needed to rebuild the encoding offline, with its fingerprint, as JSON."""
    content = {
        "format": _FORMAT,
        "name": encoding.name,
        "sha256": fingerprint(encoding),
        **_payload(encoding),
    }
    Path(path).write_text(json.dumps(content, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def _payload(encoding: tiktoken.Encoding) -> dict[str, Any]:
    return {
        "pattern": encoding._pat_str,
        "special_tokens": encoding._special_tokens,
        "tokens": [base64.b64encode(entry).decode() for entry in token_bytes_table(encoding)],
    }


def _read(path: Path) -> tiktoken.Encoding:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        ranks = {
            base64.b64decode(entry): rank for rank, entry in enumerate(content["tokens"]) if entry
        }
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
            f"{path}: does not match its fingerprint; restore it or run `ssl-lib tokenize` to write it anew"
        )
    return loaded


@functools.lru_cache(maxsize=8)
def _published(name: str, digits: str) -> tiktoken.Encoding:
    ensure_cached(name)
    return _with_digits(tiktoken.get_encoding(name), name, digits)


def _with_digits(base: tiktoken.Encoding, name: str, digits: str) -> tiktoken.Encoding:
    try:
        pattern = regroup(base._pat_str, digits)
    except UserError as error:
        raise EncodingError(str(error)) from None
    return _build(
        f"{name}+{digits}",
        pattern,
        base._mergeable_ranks,
        with_special(base._special_tokens, base.n_vocab),
    )


def _build(
    name: str, pattern: str, ranks: dict[bytes, int], special: dict[str, int]
) -> tiktoken.Encoding:
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)


def _encode_valid(encoding: tiktoken.Encoding, text: str) -> list[int]:
    """Like tiktoken's encode_ordinary, but lone surrogates raise UnicodeEncodeError."""
    from_the_right = groups_from_the_right(encoding._pat_str)
    if not has_long_run(text, from_the_right):
        return encoding._core_bpe.encode_ordinary(text)
    return [
        rank
        for piece in pieces(text, from_the_right)
        for rank in encoding._core_bpe.encode_ordinary(piece)
    ]


def _encode_with_surrogates(encoding: tiktoken.Encoding, text: str) -> list[int]:
    ids: list[int] = []
    position = 0
    for run in _SURROGATES.finditer(text):
        ids += _encode_valid(encoding, text[position : run.start()])
        ids += encoding._core_bpe.encode_single_piece(run.group().encode("utf-8", "surrogatepass"))
        position = run.end()
    return ids + _encode_valid(encoding, text[position:])
