"""Do test texts repeat training text? Counts shared n-grams of tokens (13, as in Brown et al. 2020, appendix C).

The n-grams of the judged texts are hashed to 64 bits and sorted; the training tokens stream past in blocks, so
memory is bounded by the judged texts and one block, whatever the corpus. Two different n-grams share a hash about
once in 10^19 pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NGRAM = 13
BLOCK_TOKENS = 1_000_000
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


class Contamination(NamedTuple):
    """How much of N texts occurs in the training split: texts with a shared n-gram, n-grams shared and in all."""

    texts: int
    contaminated: int
    too_short: int
    ngrams: int
    shared: int
    flags: NDArray[np.bool_]  # [N], True for a text that shares at least one n-gram


def shared_ngrams(
    texts: Sequence[Sequence[int]],
    training: NDArray[np.integer],
    end: int,
    length: int = NGRAM,
    block: int = BLOCK_TOKENS,
) -> Contamination:
    """Count n-grams of `texts` (token ids, one sequence a text) that occur inside a document of `training`.

    `training` is the flat, possibly memory-mapped, array of all training tokens, in which `end` closes each
    document; n-grams that contain `end` are no text and are left out. Texts shorter than `length` tokens have no
    n-gram and are counted apart.
    """
    hashes = [_ngram_hashes(np.asarray(text, dtype=np.int64), end, length) for text in texts]
    owners_K = np.repeat(np.arange(len(texts)), [len(h) for h in hashes])
    own_K = np.concatenate(hashes) if hashes else np.empty(0, dtype=np.uint64)
    known_U, index_K = np.unique(own_K, return_inverse=True)
    seen_U = np.zeros(len(known_U), dtype=bool)
    for start in range(0, len(training) if len(known_U) else 0, block):
        piece = np.asarray(training[start : start + block + length - 1], dtype=np.int64)
        passing = np.unique(_ngram_hashes(piece, end, length))
        seen_U |= np.isin(known_U, passing, assume_unique=True)
    flags = np.zeros(len(texts), dtype=bool)
    flags[owners_K[seen_U[index_K]]] = True
    too_short = sum(len(h) == 0 for h in hashes)
    return Contamination(len(texts), int(flags.sum()), too_short, len(known_U), int(seen_U.sum()), flags)


def stated(statements: Sequence[str], documents: Iterable[str]) -> NDArray[np.bool_]:
    """Which statements [N], each of one or two sentences, stand word for word in a document, as whole sentences."""
    wanted, found = set(statements), set()
    for document in documents:
        sentences = _SENTENCE_END.split(document)
        pairs = (f"{first} {second}" for first, second in pairwise(sentences))
        found |= wanted & {*sentences, *pairs}
    return np.array([statement in found for statement in statements], dtype=bool)


def window_hashes(tokens_T: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Hashes of all windows of `length` tokens, [T - length + 1]: multilinear over mixed ids, modulo 2^64."""
    windows = max(0, len(tokens_T) - length + 1)
    hashes_W = np.zeros(windows, dtype=np.uint64)
    mixed_T = _mix(np.asarray(tokens_T).astype(np.uint64))
    factors = _mix(np.arange(1_000_003, 1_000_003 + length, dtype=np.uint64)) | np.uint64(1)
    for i in range(length if windows else 0):
        hashes_W += mixed_T[i : i + windows] * factors[i]
    return hashes_W


def _ngram_hashes(tokens_T: NDArray[np.int64], end: int, length: int) -> NDArray[np.uint64]:
    hashes_W = window_hashes(tokens_T, length)
    ends_T = np.concatenate([[0], np.cumsum(tokens_T == end)])
    return hashes_W[ends_T[length:] == ends_T[: len(hashes_W)]]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function (Steele et al. 2014): spreads small ids over all 64 bits."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
